//! The files that a program depends on: files, folders and patterns as they are listed, and what they lead to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use sndpipe_engine::StageError;
use sndpipe_engine::program::relative_paths;
use walkdir::{DirEntry, WalkDir};

/// Folders below a listed one that are passed over: history of version control, and what programs write beside their sources.
const PASSED_OVER: [&str; 10] = [
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "__pycache__",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".sndpipe",
];

/// As a shell matches: `*` stays within a folder and leaves out hidden files, `**` goes through folders.
const LIKE_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether an entry of `files` may be a pattern.
pub(super) fn is_pattern(entry: &str) -> bool {
    entry.contains(['*', '?', '['])
}

/// Whether a path, as it stands in an argument, lies below an entry of `files` or matches it.
pub(super) fn covers(entry: &str, path: &str) -> bool {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    below(entry.trim_end_matches('/'))
        || is_pattern(entry)
            && Pattern::new(entry).is_ok_and(|pattern| {
                let mut ancestors = Path::new(path).ancestors();
                ancestors.any(|path| pattern.matches_path_with(path, LIKE_A_SHELL))
            })
}

/// Every file that entries of `files` lead to, by the path as it is written there.
///
/// Of a folder, these are all files below it: links are followed, and what is neither file nor folder, broken links and folders such as `.git` and
/// `__pycache__`, or with a `CACHEDIR.TAG`, are passed over.
///
/// # Errors
/// [`StageError::Failed`] naming an entry that leads nowhere or a folder that cannot be read.
pub(super) fn expand(entries: &[String]) -> Result<BTreeMap<String, PathBuf>, StageError> {
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = Path::new(entry);
        match fs_err::metadata(path) {
            Ok(meta) if meta.is_file() => drop(files.insert(entry.clone(), path.to_owned())),
            Ok(meta) if meta.is_dir() => folder(entry.trim_end_matches('/'), path, &mut files)?,
            Ok(_) => return Err(wrong(entry, "is neither a file nor a folder")),
            Err(_) if is_pattern(entry) => matching(entry, &mut files)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let missing = wrong(entry, "does not exist");
                return Err(if path.is_absolute() { missing } else { missing.help(relative_paths()) });
            }
            Err(error) => return Err(wrong(entry, &format!("cannot be read: {error}"))),
        }
    }
    Ok(files)
}

fn wrong(entry: &str, what: &str) -> StageError {
    StageError::failed(format!("`files`: `{entry}` {what}"))
}

/// Adds all files below a folder.
fn folder(label: &str, path: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), StageError> {
    for found in walk(path, usize::MAX) {
        let Some(found) = present(label, found)? else { continue };
        if found.file_type().is_file() {
            files.insert(below(label, path, found.path()), found.into_path());
        }
    }
    Ok(())
}

/// Adds all files that match a pattern, or lie below a folder that does.
fn matching(entry: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<(), StageError> {
    let pattern = Pattern::new(entry).map_err(|error| {
        wrong(entry, &format!("is not a pattern: {}", error.msg))
            .help("`[` begins a list of characters: `[ab].py`")
    })?;
    let start = entry.find(['*', '?', '[']).unwrap_or(entry.len());
    let base = entry[..start].rfind('/').map_or("", |end| &entry[..=end]);
    let depth = match entry.contains("**") {
        true => usize::MAX,
        false => entry[base.len()..].split('/').count(),
    };
    let root = if base.is_empty() { Path::new(".") } else { Path::new(base) };
    let before = files.len();
    let mut some = false;
    for found in walk(root, depth) {
        let Some(found) = present(entry, found)? else { continue };
        let label = below(base.trim_end_matches('/'), root, found.path());
        let label = if base == "/" { format!("/{label}") } else { label };
        if found.depth() == 0 || !pattern.matches_with(&label, LIKE_A_SHELL) {
            continue;
        }
        if found.file_type().is_file() {
            some = true;
            files.insert(label, found.into_path());
        } else if found.file_type().is_dir() {
            folder(&label, found.path(), files)?;
        }
    }
    if some || files.len() > before {
        return Ok(());
    }
    let none = wrong(entry, "matches no file");
    Err(if entry.starts_with('/') { none } else { none.help(relative_paths()) })
}

fn walk(root: &Path, depth: usize) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let walk = WalkDir::new(root).follow_links(true).max_depth(depth).sort_by_file_name();
    walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_passed_over(entry))
}

/// A folder and all below it that are not passed over.
pub(super) fn folders(root: &Path) -> impl Iterator<Item = PathBuf> {
    let found = walk(root, usize::MAX).flatten().filter(|found| found.file_type().is_dir());
    found.map(DirEntry::into_path)
}

/// The names of folders in a folder that are passed over.
pub(super) fn passed_over(folder: &Path) -> impl Iterator<Item = OsString> {
    let found = WalkDir::new(folder).follow_links(true).min_depth(1).max_depth(1).into_iter().flatten();
    found.filter(is_passed_over).map(|entry| entry.file_name().to_owned())
}

fn is_passed_over(entry: &DirEntry) -> bool {
    entry.file_type().is_dir()
        && (PASSED_OVER.iter().any(|name| entry.file_name() == *name)
            || entry.path().join("CACHEDIR.TAG").is_file())
}

/// What was found, unless it is gone, a broken link, or a link to a folder that it lies in.
fn present(label: &str, found: walkdir::Result<DirEntry>) -> Result<Option<DirEntry>, StageError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.loop_ancestor().is_some() => Ok(None),
        Err(error) if error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) => {
            Ok(None)
        }
        Err(error) => Err(wrong(label, &format!("cannot be read: {error}"))),
    }
}

/// The label of a file below a folder; bytes that are no text are written as `\xff`, so that no two files have one label.
fn below(label: &str, folder: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(folder).unwrap_or(path).as_os_str();
    let rest = match rest.to_str() {
        Some(rest) => rest.to_owned(),
        None => rest.as_bytes().escape_ascii().to_string(),
    };
    if label.is_empty() { rest } else { format!("{label}/{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files in a folder of its own; entries are given below it.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[&str]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for file in files {
                let path = tree.0.path().join(file);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, file).unwrap();
            }
            tree
        }

        fn entry(&self, entry: &str) -> String {
            format!("{}/{entry}", self.0.path().to_str().unwrap())
        }

        /// What entries lead to, relative to the tree.
        fn expand(&self, entries: &[&str]) -> Result<Vec<String>, String> {
            let entries: Vec<String> = entries.iter().map(|entry| self.entry(entry)).collect();
            let files = expand(&entries).map_err(|error| error.to_string().replace(&self.entry(""), ""))?;
            assert!(files.iter().all(|(label, path)| Path::new(label) == path || label.contains("\\x")));
            Ok(files.into_keys().map(|label| label.replace(&self.entry(""), "")).collect())
        }
    }

    #[test]
    fn a_folder_is_every_file_below_it() {
        let tree = Tree::new(&[
            "lib/b.py",
            "lib/a/x.py",
            "lib/.env",
            "lib/.git/HEAD",
            "lib/a/__pycache__/x.pyc",
            "else.py",
        ]);
        fs_err::create_dir_all(tree.entry("lib/cache")).unwrap();
        fs_err::write(tree.entry("lib/cache/CACHEDIR.TAG"), "").unwrap();
        assert_eq!(tree.expand(&["lib"]).unwrap(), ["lib/.env", "lib/a/x.py", "lib/b.py"]);
        assert_eq!(tree.expand(&["lib/", "lib/b.py"]).unwrap(), ["lib/.env", "lib/a/x.py", "lib/b.py"]);
        // What is listed itself counts whatever its name.
        assert_eq!(tree.expand(&["lib/.git"]).unwrap(), ["lib/.git/HEAD"]);
    }

    #[test]
    fn links_are_followed_and_what_is_no_file_is_passed_over() {
        let tree = Tree::new(&["lib/a", "far/b"]);
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, tree.entry(from)).unwrap();
        link("../far", "lib/folder");
        link("a", "lib/file");
        link("..", "lib/loop");
        link("nowhere", "lib/.#a");
        let _socket = std::os::unix::net::UnixListener::bind(tree.entry("lib/socket")).unwrap();
        let found = tree.expand(&["lib"]).unwrap();
        assert!(
            ["lib/a", "lib/file", "lib/folder/b"].iter().all(|file| found.contains(&(*file).to_owned())),
            "{found:?}"
        );
        assert!(!found.iter().any(|file| file.contains("socket") || file.contains(".#a")), "{found:?}");
        assert_eq!(
            tree.expand(&["lib/socket"]).unwrap_err(),
            "`files`: `lib/socket` is neither a file nor a folder"
        );
    }

    #[test]
    fn patterns_match_as_a_shell_does() {
        let tree = Tree::new(&[
            "src/a.py",
            "src/b.txt",
            "src/deep/c.py",
            "src/.hidden.py",
            "src/deep/er/d.py",
            "x[1].py",
        ]);
        let check = |entry: &str, want: &[&str]| assert_eq!(tree.expand(&[entry]).unwrap(), want, "{entry}");
        check("src/*.py", &["src/a.py"]);
        check("src/**/*.py", &["src/a.py", "src/deep/c.py", "src/deep/er/d.py"]);
        check("src/?.*", &["src/a.py", "src/b.txt"]);
        check("src/[ab].*", &["src/a.py", "src/b.txt"]);
        check("src/**", &["src/a.py", "src/b.txt", "src/deep/c.py", "src/deep/er/d.py"]);
        // A folder that matches is all that lies below it, and a file of exactly this name is no pattern.
        check("s*", &["src/.hidden.py", "src/a.py", "src/b.txt", "src/deep/c.py", "src/deep/er/d.py"]);
        check("x[1].py", &["x[1].py"]);
        assert_eq!(tree.expand(&["src/*.rs"]).unwrap_err(), "`files`: `src/*.rs` matches no file");
        assert_eq!(tree.expand(&["src/a.rs"]).unwrap_err(), "`files`: `src/a.rs` does not exist");
        assert!(tree.expand(&["src/[a"]).unwrap_err().contains("is not a pattern"));
    }

    #[test]
    fn names_that_are_no_text_stay_apart() {
        use std::ffi::OsStr;

        let tree = Tree::new(&["lib/a"]);
        for byte in [0xfe, 0xff] {
            fs_err::write(Path::new(&tree.entry("lib")).join(OsStr::from_bytes(&[byte])), "").unwrap();
        }
        assert_eq!(tree.expand(&["lib"]).unwrap(), ["lib/\\xfe", "lib/\\xff", "lib/a"]);
    }

    #[test]
    fn paths_below_entries_are_covered() {
        for (entry, path, want) in [
            ("lib", "lib/a.py", true),
            ("lib/", "lib/a/b.py", true),
            ("lib", "library/a.py", false),
            ("src/**/*.py", "src/x/a.py", true),
            ("src/*.py", "src/x/a.py", false),
            ("exp*", "exp1/a.py", true),
        ] {
            assert_eq!(covers(entry, path), want, "{entry} {path}");
        }
    }
}
