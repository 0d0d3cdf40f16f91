//! The tree of a YAML file, every node with its place.

use serde_json::Number;

use super::source::Span;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub span: Span,
    /// One more than where the characters of a scalar begin, if they stand in the file exactly as they are; else 0.
    pub verbatim: u32,
    pub value: Value,
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub text: String,
    pub span: Span,
}

/// The entries of a map in the order of the file, without duplicates.
pub(super) type Entries = Vec<(Key, Node)>;

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    /// `.nan`, `.inf`, or an integer that fits no machine word: as written.
    BadNumber(String),
    Str(String),
    Seq(Vec<Node>),
    Map(Entries),
}

impl Node {
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Entries> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, node)| node)
    }

    pub fn entry(&self, key: &str) -> Option<(&Key, &Self)> {
        self.as_map()?.iter().find(|(other, _)| other.text == key).map(|(key, node)| (key, node))
    }

    /// The place of a part of a string, by byte offsets in the string.
    pub fn part(&self, start: usize, end: usize) -> Span {
        if self.verbatim == 0 {
            return self.span;
        }
        let base = self.verbatim as usize - 1;
        Span::new(u16::try_from(self.span.file()).unwrap_or(u16::MAX), base + start, base + end)
    }

    /// What it is, for messages: "the string `abc`".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(value) => format!("the number `{value}`"),
            Value::BadNumber(text) => format!("`{text}`"),
            Value::Str(text) => format!("the string `{}`", shorten(text)),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// At most 40 characters of a text, on one line.
pub(super) fn shorten(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(41).collect();
    if flat.chars().count() > 40 { format!("{}…", flat.chars().take(39).collect::<String>()) } else { flat }
}
