//! Numbers as people read them.

use std::time::Duration;

use sndpipe_engine::Utc;

/// `0.4 s`, `1.9 s`, `47 s`, `3 min 05 s`, `2 h 14 min`.
pub fn duration(time: Duration) -> String {
    seconds(time.as_secs_f64())
}

/// As [`duration`], from seconds.
pub fn seconds(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a duration is positive and fits"
    )]
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 0.0995 => format!("{:.0} ms", seconds.max(0.0) * 1e3),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// `912 B`, `4.2 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if value < 9.95 { 1 } else { 0 };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// `2,000,000`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 stage`, `9 stages`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `2026-11-21 21:47:03 UTC` from milliseconds since 1970.
pub fn time(ms: u64) -> String {
    let Utc { year, month, day, hour, minute, second, .. } = Utc::of_unix_ms(ms);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The first digits of an id: enough to recognise it.
pub fn short(id: impl ToString) -> String {
    id.to_string().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_or_three_digits() {
        for (value, expected) in [
            (0.0, "0 ms"),
            (0.0123, "12 ms"),
            (0.4, "0.4 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (185.0, "3 min 05 s"),
            (8040.0, "2 h 14 min"),
        ] {
            assert_eq!(seconds(value), expected, "{value}");
        }
    }

    #[test]
    fn sizes_use_powers_of_a_thousand() {
        for (value, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (42_000_000, "42 MB"),
            (999_600, "1.0 MB"),
            (3_210_000_000, "3.2 GB"),
        ] {
            assert_eq!(bytes(value), expected, "{value}");
        }
    }

    #[test]
    fn counts_group_their_digits() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(2_000_000), "2,000,000");
        assert_eq!(plural(1, "stage"), "1 stage");
        assert_eq!(plural(0, "stage"), "0 stages");
    }

    #[test]
    fn times_are_civil_dates() {
        // `date -u -d @1792360023`, and the last day of a leap February.
        assert_eq!(time(1_792_360_023_000), "2026-10-18 21:47:03 UTC");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(time(0), "1970-01-01 00:00:00 UTC");
    }
}
