//! Listed folders while a program runs: what comes and goes meanwhile is in no list of files before or after.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::files;

/// Every folder that `files` lists, and those below.
pub(super) struct Folders(BTreeMap<PathBuf, Folder>);

#[derive(PartialEq)]
struct Folder {
    /// When a name in it last came or went.
    changed: Option<SystemTime>,
    /// Folders in it that are passed over: a program that makes a `__pycache__` changes nothing else.
    passed_over: BTreeSet<OsString>,
}

impl Folders {
    /// Looks at the folders as they are now.
    pub fn of(entries: &[String]) -> Self {
        let folders = entries.iter().map(Path::new).filter(|entry| entry.is_dir());
        let all = folders.flat_map(files::folders).map(|path| {
            let changed = fs_err::metadata(&path).and_then(|meta| meta.modified()).ok();
            let passed_over = files::passed_over(&path).collect();
            (path, Folder { changed, passed_over })
        });
        Self(all.collect())
    }

    /// The first folder in which, by its time, something came or went since `before`, though the same is there.
    pub fn touched_since(&self, before: &Self) -> Option<&Path> {
        let touched = |(path, now): &(&PathBuf, &Folder)| {
            before
                .0
                .get(*path)
                .is_some_and(|before| before.changed != now.changed && before.passed_over == now.passed_over)
        };
        self.0.iter().find(touched).map(|(path, _)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_is_told_and_what_is_passed_over_is_not() {
        let tree = tempfile::tempdir().unwrap();
        let (root, below) = (tree.path().to_owned(), tree.path().join("below"));
        fs_err::create_dir(&below).unwrap();
        fs_err::write(below.join("a.py"), "").unwrap();
        let old = |folder: &Path| {
            fs_err::File::open(folder).unwrap().file().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        };
        let touched = |change: &dyn Fn()| {
            old(&root);
            old(&below);
            let entries = [root.to_str().unwrap().to_owned()];
            let before = Folders::of(&entries);
            change();
            Folders::of(&entries).touched_since(&before).map(Path::to_owned)
        };
        let come_and_go = |folder: &Path| {
            fs_err::write(folder.join("x"), "").unwrap();
            fs_err::remove_file(folder.join("x")).unwrap();
        };
        assert_eq!(touched(&|| ()), None);
        assert_eq!(touched(&|| come_and_go(&below)), Some(below.clone()));
        assert_eq!(touched(&|| come_and_go(&root)), Some(root.clone()));
        assert_eq!(touched(&|| fs_err::create_dir(below.join("__pycache__")).unwrap()), None);
        assert_eq!(touched(&|| come_and_go(&below.join("__pycache__"))), None);
        assert_eq!(
            touched(&|| fs_err::write(below.join("a.py"), "1").unwrap()),
            None,
            "the file itself tells"
        );
    }
}
