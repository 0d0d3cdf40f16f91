//! What serde says about a value, said to a person.

/// A message taken apart.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wording {
    pub message: String,
    pub help: Option<String>,
    /// The field that is not known.
    pub unknown: Option<String>,
    /// The field that is missing.
    pub missing: Option<String>,
    /// The choice that does not exist.
    pub variant: Option<String>,
    /// What there is instead of an unknown field or choice.
    pub expected: Vec<String>,
}

/// Takes a message of serde apart; any other message stays as it is.
pub(super) fn translate(message: &str) -> Wording {
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let plain = Wording { message: message.to_owned(), ..Wording::default() };
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (field, rest) = rest.split_once('`').unwrap_or((rest, ""));
        return Wording { unknown: Some(field.to_owned()), expected: quoted(rest), ..plain };
    }
    if let Some(field) = message.strip_prefix('`').and_then(|rest| rest.strip_suffix("` is missing")) {
        return Wording { missing: Some(field.to_owned()), ..plain };
    }
    if let Some(field) = message.strip_prefix("missing field `") {
        return Wording { missing: field.split('`').next().map(str::to_owned), ..plain };
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let (variant, rest) = rest.split_once('`').unwrap_or((rest, ""));
        let expected = quoted(rest);
        let list: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        let message = match list.as_slice() {
            [] => format!("`{variant}` is not possible"),
            [one] => format!("`{variant}` is not {one}"),
            list => format!("`{variant}` is not one of {}", list.join(", ")),
        };
        return Wording { message, variant: Some(variant.to_owned()), expected, ..plain };
    }
    if message.starts_with("data did not match any variant") {
        return Wording { message: "the value has none of the possible forms".to_owned(), ..plain };
    }
    let typed = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = typed.and_then(|rest| rest.rsplit_once(", expected ")) {
        let message = format!("expected {}, found {}", expectation(expected), finding(found));
        let help = typed_help(expected, found);
        return Wording { message, help, ..plain };
    }
    plain
}

fn expectation(expected: &str) -> String {
    let text = match expected {
        "f32" | "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "u128" | "usize" => "a whole number, at least 0",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "a boolean" => "`true` or `false`",
        "a string" | "str" | "a borrowed string" | "path string" => "a string",
        "a sequence" => "a list",
        "a map" => "a map",
        "string or map" | "variant identifier" => "the name of a choice",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number, at least 1",
        other if other.starts_with("struct ") => "a map",
        other if other.starts_with("enum ") || other.starts_with("internally tagged enum ") => {
            "one of its forms"
        }
        other => return other.to_owned(),
    };
    text.to_owned()
}

fn finding(found: &str) -> String {
    let inside = |prefix: &str, quote: char| {
        found
            .strip_prefix(prefix)
            .map(|rest| rest.trim_matches(quote).replace("\\\"", "\"").replace("\\\\", "\\"))
    };
    if let Some(text) = inside("string ", '"') {
        return format!("the string `{}`", super::node::shorten(&text));
    }
    if let Some(number) = inside("integer ", '`').or_else(|| inside("floating point ", '`')) {
        return format!("the number `{number}`");
    }
    if let Some(value) = inside("boolean ", '`') {
        return format!("`{value}`");
    }
    match found {
        "null" | "unit value" | "Option value" => "nothing".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a map".to_owned(),
        other => other.to_owned(),
    }
}

fn typed_help(expected: &str, found: &str) -> Option<String> {
    let text = found.strip_prefix("string \"")?.strip_suffix('"')?;
    match (expectation(expected).as_str(), text.to_lowercase().as_str()) {
        ("`true` or `false`", "yes" | "on" | "y") => {
            Some("in YAML 1.2 this is a text: write `true`".to_owned())
        }
        ("`true` or `false`", "no" | "off" | "n") => {
            Some("in YAML 1.2 this is a text: write `false`".to_owned())
        }
        (expected, _) if expected.contains("number") && text.parse::<f64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        _ => None,
    }
}

/// The names on a circle and the first one again, those in the middle of a long one left out.
pub(super) fn round<'n>(members: &[usize], name: impl Fn(usize) -> &'n str, arrow: &str) -> String {
    /// So many are named at each end.
    const ENDS: usize = 6;
    let mut names: Vec<String> = members.iter().take(ENDS).map(|&at| name(at).to_owned()).collect();
    let rest = &members[names.len()..];
    if rest.len() > ENDS + 1 {
        names.push(format!("… {} more …", rest.len() - ENDS));
        names.extend(rest[rest.len() - ENDS..].iter().map(|&at| name(at).to_owned()));
    } else {
        names.extend(rest.iter().map(|&at| name(at).to_owned()));
    }
    names.extend(names.first().cloned());
    names.join(arrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(translate(message).message, expected);
    }

    #[test]
    fn types_are_named_in_plain_words() {
        check("invalid type: string \"abc\", expected f64", "expected a number, found the string `abc`");
        check(
            "invalid value: integer `-1`, expected usize",
            "expected a whole number, at least 0, found the number `-1`",
        );
        check(
            "invalid type: floating point `0.5`, expected u32",
            "expected a whole number, at least 0, found the number `0.5`",
        );
        check("invalid type: null, expected a string", "expected a string, found nothing");
        check("invalid type: map, expected a boolean", "expected `true` or `false`, found a map");
        check(
            "invalid type: string \"a, expected b\", expected u8",
            "expected a whole number from 0 to 255, found the string `a, expected b`",
        );
        check("unknown variant `x`, expected one of `a`, `b`", "`x` is not one of `a`, `b`");
        check("0 is outside 1..=8", "0 is outside 1..=8");
    }

    #[test]
    fn fields_are_found_in_messages() {
        let unknown = translate("unknown field `bandz`, expected `bands` or `hop`");
        assert_eq!(
            (unknown.unknown.as_deref(), unknown.expected),
            (Some("bandz"), vec!["bands".to_owned(), "hop".to_owned()])
        );
        assert_eq!(translate("`bands` is missing").missing.as_deref(), Some("bands"));
        assert_eq!(
            translate("invalid type: string \"yes\", expected a boolean").help.as_deref(),
            Some("in YAML 1.2 this is a text: write `true`")
        );
        assert_eq!(
            translate("invalid type: string \"3\", expected u32").help.as_deref(),
            Some("write 3 without quotes")
        );
    }
}
