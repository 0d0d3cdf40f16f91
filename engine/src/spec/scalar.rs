//! Plain scalars by the core schema of YAML 1.2: `no` and `yes` are strings, `1e3` is a number.

use serde_json::Number;

use super::node::Value;

/// The value of an unquoted scalar.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let first = text.as_bytes().first().copied().unwrap_or(0);
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return Value::Str(text.to_owned());
    }
    number(text).unwrap_or_else(|| Value::Str(text.to_owned()))
}

/// The number that a text is, if it is one.
pub(super) fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Value::BadNumber(text.to_owned()));
    }
    let radix = |digits: &str, radix: u32| {
        let fits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        fits.then(|| {
            u64::from_str_radix(digits, radix).map_or_else(|_| bad(text), |n| Value::Number(n.into()))
        })
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        if negative {
            return Some(text.parse::<i64>().map_or_else(|_| bad(text), |n| Value::Number(n.into())));
        }
        return Some(unsigned.parse::<u64>().map_or_else(|_| bad(text), |n| Value::Number(n.into())));
    }
    if !is_float(unsigned) {
        return None;
    }
    let parsed = text.parse::<f64>().ok().and_then(Number::from_f64);
    Some(parsed.map_or_else(|| bad(text), Value::Number))
}

fn bad(text: &str) -> Value {
    Value::BadNumber(text.to_owned())
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa_fits
        && exponent.is_none_or(|part| {
            let part = part.strip_prefix(['+', '-']).unwrap_or(part);
            !part.is_empty() && digits(part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match resolve(text) {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => format!("bool {value}"),
            Value::Number(value) => format!("number {value}"),
            Value::BadNumber(text) => format!("bad {text}"),
            Value::Str(text) => format!("string {text}"),
            other => format!("{other:?}"),
        };
        assert_eq!(got, expected, "{text}");
    }

    /// Expectations: YAML 1.2.2, section 10.3.2.
    #[test]
    fn the_core_schema() {
        check("", "null");
        check("~", "null");
        check("no", "string no");
        check("yes", "string yes");
        check("True", "bool true");
        check("tRue", "string tRue");
        check("12", "number 12");
        check("-0", "number 0");
        check("+12", "number 12");
        check("007", "number 7");
        check("0o14", "number 12");
        check("0xC", "number 12");
        check("18446744073709551615", "number 18446744073709551615");
        check("18446744073709551616", "bad 18446744073709551616");
        check("-9223372036854775808", "number -9223372036854775808");
        check("1.", "number 1.0");
        check(".5", "number 0.5");
        check("1e3", "number 1000.0");
        check("1e999", "bad 1e999");
        check("-.inf", "bad -.inf");
        check(".nan", "bad .nan");
        check("-.nan", "string -.nan");
        check("1_000", "string 1_000");
        check("12:30", "string 12:30");
        check("-", "string -");
        check(".", "string .");
        check("1.2.3", "string 1.2.3");
        check("1e", "string 1e");
    }
}
