//! How far the hashing of source files is, for people: it may take minutes before the first stage starts.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sndpipe_cache::{Hashing, HashingHook};

use super::bars::style;
use crate::console;
use crate::human::{bytes, count, duration};
use crate::paint::Paint;

/// Nothing is shown of what takes less time.
const BRIEF: Duration = Duration::from_secs(1);
/// How often a line is written where no bar is.
const EVERY: Duration = Duration::from_secs(5);

/// Shows a bar on a terminal, and a line now and then elsewhere.
pub fn hashing(paint: Paint) -> HashingHook {
    let state = Mutex::new(State { begun: Instant::now(), said: Instant::now(), bar: None });
    let is_terminal = console::is_terminal();
    Box::new(move |now| state.lock().unwrap_or_else(PoisonError::into_inner).show(now, is_terminal, paint))
}

struct State {
    begun: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

impl State {
    fn show(&mut self, now: Hashing, is_terminal: bool, paint: Paint) {
        if now.is_done() {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
                console::bars().remove(&bar);
            }
            (self.begun, self.said) = (Instant::now(), Instant::now());
        } else if !is_terminal {
            if self.said.elapsed() >= EVERY {
                self.said = Instant::now();
                console::line(&line(now, self.begun.elapsed()));
            }
        } else if self.begun.elapsed() >= BRIEF {
            let bar = self.bar.get_or_insert_with(|| {
                let template = "{spinner} hashing source files  {bar:20.cyan} {msg}";
                console::bars().add(ProgressBar::new(now.of_bytes).with_style(style(template, paint)))
            });
            bar.set_position(now.bytes);
            bar.set_message(how_far(now, self.begun.elapsed()));
        }
    }
}

fn line(now: Hashing, elapsed: Duration) -> String {
    format!("  hashing source files: {}", how_far(now, elapsed))
}

/// `120/2,000 files, 1.2 GB of 30 GB, 300 MB/s, 1 min 36 s left`.
fn how_far(now: Hashing, elapsed: Duration) -> String {
    let Hashing { files, of_files, bytes: done, of_bytes } = now;
    let mut text =
        format!("{}/{} files, {} of {}", count(files), count(of_files), bytes(done), bytes(of_bytes));
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
    if rate >= 1.0 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let left = of_bytes.saturating_sub(done) as f64 / rate;
        let left = duration(Duration::try_from_secs_f64(left).unwrap_or_default());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of bytes a second"
        )]
        let rate = bytes(rate as u64);
        text.push_str(&format!(", {rate}/s, {left} left"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_bytes_speed_and_what_is_left_are_told() {
        let now = Hashing { files: 120, of_files: 2000, bytes: 1_200_000_000, of_bytes: 30_000_000_000 };
        let text = line(now, Duration::from_secs(4));
        assert_eq!(
            text,
            "  hashing source files: 120/2,000 files, 1.2 GB of 30 GB, 300 MB/s, 1 min 36 s left"
        );
        let none = Hashing { files: 0, of_files: 1, bytes: 0, of_bytes: 5 };
        assert_eq!(how_far(none, Duration::from_secs(4)), "0/1 files, 0 B of 5 B");
    }
}
