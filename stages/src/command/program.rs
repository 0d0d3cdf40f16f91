//! The program of a `command`: placeholders and where the program lies.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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
    /// `files` as written -> absolute.
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

/// Where a program lies: as written if it has a `/`, else in `PATH`.
///
/// # Errors
/// [`StageError::Failed`] if it is not there or cannot be executed.
pub(super) fn find(program: &str) -> Result<PathBuf, StageError> {
    let runs = |path: &Path| {
        fs_err::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        let path = std::path::absolute(program)?;
        if runs(&path) {
            return Ok(path);
        }
        let (message, help) = if path.exists() {
            (
                format!("the program `{program}` is not executable"),
                "make it executable, or name its interpreter first",
            )
        } else {
            (
                format!("the program `{program}` does not exist"),
                "relative paths are taken from the current directory",
            )
        };
        return Err(StageError::failed(message).help(help));
    }
    // A thousand stages that call `sh` look through PATH once.
    static FOUND: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = found.get(program) {
        return Ok(path.clone());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| runs(path));
    let path = path.ok_or_else(|| {
        StageError::failed(format!("the program `{program}` is not in PATH"))
            .help("install it, activate its environment, or write its path with a `/`")
    })?;
    found.insert(program.to_owned(), path.clone());
    Ok(path)
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

    #[test]
    fn programs_are_found_or_missed() {
        assert!(find("cp").unwrap().is_absolute());
        let missing = find("no-such-program-here").unwrap_err().to_string();
        assert_eq!(missing, "the program `no-such-program-here` is not in PATH");
        assert!(find("./no/such").unwrap_err().to_string().contains("does not exist"));
        assert!(find("./Cargo.toml").unwrap_err().to_string().contains("not executable"));
    }
}
