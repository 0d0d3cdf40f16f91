//! Text of programs and files on its way to a terminal, without the control characters that would move the cursor, set the title or ring the bell.
//!
//! Sequences as in ECMA-48, section 5.

use std::borrow::Cow;

/// What a program printed, as a terminal would be left with: without control sequences, and of a line that it drew over and over, as progress
/// bars do, what it drew last.
pub fn output(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(last_drawn).collect::<Vec<_>>().join("\n"))
}

/// A name or a cell of a table, with its control characters written as in `\n` and `\u{1b}`.
pub fn name(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_control(c) || c == '\n' || c == '\t') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_control(c) || c == '\n' || c == '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A line that this program paints itself: colours stay, whatever else controls a terminal goes.
pub fn painted(text: &str) -> Cow<'_, str> {
    if text.contains(is_control) { Cow::Owned(strip(text, true)) } else { Cow::Borrowed(text) }
}

/// Characters that control a terminal, or the direction in which it writes. Tabs and line ends are text.
fn is_control(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The last of the states of a line, which carriage returns part, in which something is to be seen.
fn last_drawn(line: &str) -> String {
    let states = line.rsplit('\r').map(|state| strip(state, false));
    let mut seen = states.filter(|state| !state.trim().is_empty());
    seen.next().unwrap_or_default()
}

/// Removes control sequences and characters; `colours` keeps sequences that only select colours and weights.
fn strip(text: &str, colours: bool) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if !is_control(c) {
            plain.push(c);
            rest = after;
            continue;
        }
        rest = match (c, after.chars().next()) {
            ('\u{1b}', Some('[')) => {
                let end = parameters(&after[1..]);
                let (sequence, left) = after.split_at(1 + end);
                if colours && sequence.ends_with('m') {
                    plain.push(c);
                    plain.push_str(sequence);
                }
                left
            }
            ('\u{1b}', Some(']' | 'P' | 'X' | '^' | '_')) => string(&after[1..]),
            ('\u{1b}', Some(_)) => escape(after),
            ('\u{9b}', _) => &after[parameters(after)..],
            ('\u{9d}' | '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}', _) => string(after),
            ('\u{8}', _) => {
                plain.pop();
                after
            }
            _ => after,
        };
    }
    plain
}

/// The length of the parameters of a control sequence and its final byte. What does not belong there ends it.
fn parameters(text: &str) -> usize {
    let bytes = text.bytes().take_while(|byte| (0x20..=0x3f).contains(byte)).count();
    match text.as_bytes().get(bytes) {
        Some(0x40..=0x7e) => bytes + 1,
        _ => bytes,
    }
}

/// What follows a control string such as a title. One without an end is no more than its first characters, so that nothing can hide behind it.
fn string(text: &str) -> &str {
    let ends = [("\u{7}", 1), ("\u{1b}\\", 2), ("\u{9c}", 2)];
    let end = ends.iter().filter_map(|(end, length)| Some((text.find(end)?, length))).min();
    end.map_or(text, |(at, length)| &text[at + length..])
}

/// What follows an escape sequence of intermediate bytes and a final one.
fn escape(text: &str) -> &str {
    let between = text.bytes().take_while(|byte| (0x20..=0x2f).contains(byte)).count();
    match text.as_bytes().get(between) {
        Some(0x30..=0x7e) => &text[between + 1..],
        _ => &text[between..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_programs_are_removed() {
        for (text, want) in [
            ("plain ünïcode\ttab\nline", "plain ünïcode\ttab\nline"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[1;1Hclear", "clear"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "alink"),
            ("\u{1b}]0;never ends", "0;never ends"),
            ("bell\u{7}\u{0}", "bell"),
            ("\u{9b}31mC1\u{9d}title\u{9c}!", "C1!"),
            ("\u{1b}(B\u{1b}7saved\u{1b}=", "saved"),
            ("back\u{8}\u{8}d", "bad"),
            ("10 %\r50 %\r100 %\r", "100 %"),
            ("100 %\r     \r", "100 %"),
            ("windows\r\nlines\r\n", "windows\nlines\n"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            ("\u{1b}", ""),
            ("\u{1b}[12", ""),
        ] {
            assert_eq!(output(text), want, "{text:?}");
        }
    }

    #[test]
    fn names_show_what_they_hold() {
        assert_eq!(name("a.wav"), "a.wav");
        assert_eq!(name("a\nb\u{1b}[31m.wav"), "a\\nb\\u{1b}[31m.wav");
    }

    #[test]
    fn colours_of_our_own_stay() {
        assert_eq!(painted("\u{1b}[1mbold\u{1b}[0m\u{1b}[2J\u{7}"), "\u{1b}[1mbold\u{1b}[0m");
        assert_eq!(painted("\u{1b}[38;2;1;2;3mtrue\u{1b}[0m"), "\u{1b}[38;2;1;2;3mtrue\u{1b}[0m");
    }
}
