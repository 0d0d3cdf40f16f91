//! Programs of this machine: where they lie, and which files decide what they do.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::{SourceScan, StageError};

/// Interpreters of interpreters: as many as Linux follows.
const DEPTH: usize = 4;
/// What is read of a script's first line.
const LINE: u64 = 4096;

/// A program as it is started: the file, and whatever else decides what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it lies; an absolute path whose links are not resolved, for a virtual environment is known by the link.
    pub path: PathBuf,
    /// What its key says, and the file that is hashed: links lead to it.
    parts: Vec<(String, PathBuf)>,
}

impl Program {
    /// Finds the program of a command line, by its first word: as [`find`], and `env NAME=value python3` finds `python3` too.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it, or the interpreter that the first line of a script names, is not there or cannot be executed.
    pub fn find(words: &[&str]) -> Result<Self, StageError> {
        let word = words.first().copied().unwrap_or_default();
        let path = find(word)?;
        let name = base(word).to_owned();
        let mut program = Self { path: path.clone(), parts: vec![(format!("program {name}"), path.clone())] };
        let behind = (name == "env").then(|| behind_env(words[1..].iter().copied())).flatten();
        match behind {
            Some(word) => {
                let behind = find(word)?;
                program.parts.push((format!("program {}", base(word)), behind.clone()));
                program.interpreters(base(word), &behind)?;
            }
            None => program.interpreters(&name, &path)?,
        }
        Ok(program)
    }

    /// Adds what runs a script, and what runs that.
    fn interpreters(&mut self, script: &str, path: &Path) -> Result<(), StageError> {
        let mut path = path.to_owned();
        for _ in 0..DEPTH {
            let Some(line) = first_line(&path) else { return Ok(()) };
            // As the kernel parts it: a carriage return is a part of the name.
            let words = line.split([' ', '\t']).filter(|word| !word.is_empty());
            let Some(first) = words.clone().next() else { return Ok(()) };
            let word = match base(first) {
                // What `env` is does not matter, but what it finds.
                "env" => behind_env(words.skip(1)).unwrap_or(first),
                _ => first,
            };
            path = find(word).map_err(|error| interpreter(script, &line, error))?;
            self.parts.push((format!("interpreter {} of {script}", base(word)), path.clone()));
        }
        Ok(())
    }

    /// Declares its files, so that another program of this name gives another key. One that may be executed but not read is left out; see
    /// [`Program::unreadable`].
    ///
    /// # Errors
    /// As [`SourceScan::files`].
    pub fn declare(&self, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        let readable = self.parts.iter().filter(|(_, path)| is_readable(path));
        scan.files(readable.cloned().collect())
    }

    /// The files that may be executed but not read, of which a key cannot tell whether they changed.
    pub fn unreadable(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|(_, path)| path.as_path()).filter(|path| !is_readable(path))
    }
}

fn is_readable(path: &Path) -> bool {
    match fs_err::File::open(path) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::PermissionDenied,
    }
}

/// The last part of a path.
fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The program among the arguments of `env`.
fn behind_env<'a>(words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Options whose value is the next word.
    const WITH_VALUE: [&str; 4] = ["-u", "--unset", "-C", "--chdir"];
    let mut words = words;
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word) {
            words.next();
        } else if !word.starts_with('-') && !word.contains('=') {
            return Some(word);
        }
    }
    None
}

/// What follows `#!` in the first line of a script.
fn first_line(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    fs_err::File::open(path).ok()?.take(LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok().map(str::to_owned)
}

fn interpreter(script: &str, line: &str, error: StageError) -> StageError {
    let StageError::Failed { message, help } = error else { return error };
    let failed =
        StageError::failed(format!("the first line of `{script}` says `#!{}`: {message}", line.trim()));
    match help {
        _ if line.ends_with('\r') => failed.help("its lines end as on Windows; `dos2unix` changes that"),
        Some(help) => failed.help(help),
        None => failed,
    }
}

/// Where a program lies: as written if it has a `/`, else in `PATH`.
///
/// # Errors
/// [`StageError::Failed`] if it is not there or cannot be executed.
pub fn find(program: &str) -> Result<PathBuf, StageError> {
    if program.contains('/') {
        let path = std::path::absolute(program)?;
        if is_executable(&path) {
            return Ok(path);
        }
        return Err(if path.exists() {
            StageError::failed(format!("the program `{program}` is not executable"))
                .help("make it executable, or name its interpreter first")
        } else {
            let missing = StageError::failed(format!("the program `{program}` does not exist"));
            if program.starts_with('/') { missing } else { missing.help(relative_paths()) }
        });
    }
    // A thousand stages that call `sh` look through PATH once.
    static FOUND: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = found.get(program).filter(|path| is_executable(path)) {
        return Ok(path.clone());
    }
    let folders = std::env::var_os("PATH").filter(|path| !path.as_bytes().is_empty());
    let folders = folders.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let path =
        std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| is_executable(path));
    let path = path.ok_or_else(|| {
        StageError::failed(format!("the program `{program}` is not in PATH"))
            .help("install it, activate its environment, or write its path with a `/`")
    })?;
    let path = std::path::absolute(path)?;
    found.insert(program.to_owned(), path.clone());
    Ok(path)
}

fn is_executable(path: &Path) -> bool {
    fs_err::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Where relative paths are taken from.
pub fn relative_paths() -> String {
    match std::env::current_dir() {
        Ok(folder) => format!("relative paths are taken from the current folder, `{}`", folder.display()),
        Err(_) => "relative paths are taken from the current folder".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script with this first line in a folder of its own.
    fn script(first: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        fs_err::write(&path, format!("{first}\nexit 0\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (dir, path)
    }

    fn labels(words: &[&str]) -> Vec<String> {
        Program::find(words).unwrap().parts.into_iter().map(|(label, _)| label).collect()
    }

    #[test]
    fn programs_are_found_or_missed() {
        assert!(find("cp").unwrap().is_absolute());
        let missing = find("no-such-program-here").unwrap_err().to_string();
        assert_eq!(missing, "the program `no-such-program-here` is not in PATH");
        assert!(find("./no/such").unwrap_err().to_string().contains("does not exist"));
        assert!(find("./Cargo.toml").unwrap_err().to_string().contains("not executable"));
    }

    #[test]
    fn an_interpreter_counts_as_the_program_does() {
        for (first, interpreter) in [
            ("#!/bin/sh", "sh"),
            ("#! /bin/sh -e", "sh"),
            ("#!/usr/bin/env sh", "sh"),
            ("#!/usr/bin/env -S A=1 sh -e", "sh"),
            ("#!/usr/bin/env -u HOME cat", "cat"),
        ] {
            let (_dir, path) = script(first);
            let want = ["program tool".to_owned(), format!("interpreter {interpreter} of tool")];
            assert_eq!(labels(&[&path]), want, "{first}");
        }
        let (_inner, inner) = script("#!/bin/sh");
        let (_outer, outer) = script(&format!("#!{inner}"));
        assert_eq!(labels(&[&outer]), ["program tool", "interpreter tool of tool", "interpreter sh of tool"]);
        let (_dir, plain) = script("echo no first line that says so");
        assert_eq!(labels(&[&plain]), ["program tool"]);
        assert_eq!(labels(&["env", "-i", "A=1", "cp", "x"]), ["program env", "program cp"]);
        assert_eq!(labels(&["env"]), ["program env"]);
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let failed = |first: &str| {
            let (_dir, path) = script(first);
            match Program::find(&[&path]).unwrap_err() {
                StageError::Failed { message, help } => format!("{message} / {}", help.unwrap_or_default()),
                other => panic!("{other}"),
            }
        };
        let said = failed("#!/no/such/sh");
        assert!(said.starts_with("the first line of `tool` says `#!/no/such/sh`: the program"), "{said}");
        assert!(failed("#!/bin/sh\r").contains("end as on Windows"));
    }
}
