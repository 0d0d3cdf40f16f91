//! Placeholders in the arguments of a `command`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use sndpipe_engine::StageError;

/// A piece of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(String),
    In(&'a str),
    Out(&'a str),
    File(&'a str),
    Dir,
}

/// Splits an argument at its placeholders.
///
/// # Errors
/// What is wrong with a placeholder.
pub(super) fn pieces(argument: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), argument);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else {
            let end = rest.find('}').filter(|_| rest.starts_with('{'));
            let Some(end) = end else { return Err(format!("a single brace in `{argument}`")) };
            let name = &rest[1..end];
            let piece = match name.split_once('.') {
                None if name == "dir" => Piece::Dir,
                Some(("in", name)) => Piece::In(name),
                Some(("out", name)) => Piece::Out(name),
                Some(("file", path)) => Piece::File(path),
                _ => return Err(format!("`{{{name}}}` is no placeholder")),
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
            rest = &rest[end + 1..];
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The files that placeholders stand for.
pub(super) struct Places {
    pub inputs: BTreeMap<String, PathBuf>,
    pub outputs: BTreeMap<String, PathBuf>,
    /// `files` as written, and every file below a folder of them -> absolute.
    pub files: BTreeMap<String, PathBuf>,
    pub dir: PathBuf,
}

impl Places {
    /// An argument with its placeholders replaced.
    ///
    /// # Errors
    /// [`StageError::Failed`] where `check` was not called.
    pub fn fill(&self, argument: &str) -> Result<OsString, StageError> {
        if let Some(path) = self.files.get(argument) {
            return Ok(path.clone().into());
        }
        let mut filled = OsString::new();
        for piece in pieces(argument).map_err(StageError::failed)? {
            let path = match &piece {
                Piece::Text(text) => {
                    filled.push(text);
                    continue;
                }
                Piece::In(name) => self.inputs.get(*name),
                Piece::Out(name) => self.outputs.get(*name),
                Piece::File(path) => self.files.get(*path),
                Piece::Dir => Some(&self.dir),
            };
            filled.push(path.ok_or_else(|| StageError::failed(format!("nothing stands for {piece:?}")))?);
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found() {
        let found = pieces("--from={in.mel}:{dir}/x{{1}}").unwrap();
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(found, [text("--from="), Piece::In("mel"), text(":"), Piece::Dir, text("/x{1}")]);
        assert_eq!(pieces("{file.a/b.py}").unwrap(), [Piece::File("a/b.py")]);
        assert!(pieces("").unwrap().is_empty());
        for wrong in ["{", "a}b", "{x}", "{in}", "{dir"] {
            assert!(pieces(wrong).is_err(), "{wrong}");
        }
    }
}
