//! When a source file is read, and when its digest is remembered.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sndpipe_cache::{CacheError, Digest, Store};

use crate::kit::Kit;

struct Sources {
    kit: Kit,
    paths: Vec<PathBuf>,
}

impl Sources {
    /// Three files in two folders, and a clock a second ahead, so that they are old.
    fn new() -> Sources {
        let kit = Kit::new();
        kit.store.put_clock_ahead(Duration::from_secs(1));
        let paths: Vec<PathBuf> =
            ["x/a", "x/b", "y/a"].iter().map(|name| kit.dir.path().join(name)).collect();
        for path in &paths {
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        Sources { kit, paths }
    }

    /// Digests all and returns them with the number of files that were read for it.
    fn digest(&self) -> (Vec<Digest>, u64) {
        let before = self.kit.store.files_hashed();
        let digests = self.kit.store.digests(&self.paths).into_iter().map(|file| file.unwrap().digest);
        (digests.collect(), self.kit.store.files_hashed() - before)
    }

    fn touch(&self, i: usize, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs_err::OpenOptions::new()
            .write(true)
            .open(&self.paths[i])
            .unwrap()
            .file()
            .set_modified(time)
            .unwrap();
    }
}

#[test]
fn a_file_is_read_once_and_once_more_when_touched() {
    let sources = Sources::new();
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_eq!(sources.digest(), (vec![a, b, a], 3));
    assert_eq!(sources.digest(), (vec![a, b, a], 0));
    sources.touch(1, 1_000_000_000);
    assert_eq!(sources.digest(), (vec![a, b, a], 1));
    assert_eq!(sources.digest(), (vec![a, b, a], 0));
    let next = Store::open(sources.kit.store.dir()).unwrap();
    assert_eq!(next.digests(&sources.paths).len(), 3);
    assert_eq!(next.files_hashed(), 0);
}

#[test]
fn a_changed_file_is_noticed_though_size_and_mtime_are_the_same() {
    let sources = Sources::new();
    sources.touch(0, 1_000_000_000);
    sources.digest();
    fs_err::write(&sources.paths[0], "c").unwrap();
    sources.touch(0, 1_000_000_000);
    assert_eq!(sources.digest().0[0], Digest::of(b"c"));
}

#[test]
fn a_young_file_is_not_remembered() {
    let sources = Sources::new();
    sources.kit.store.put_clock_ahead(Duration::ZERO);
    // Written through this handle just now, whatever the machine did meanwhile.
    for path in &sources.paths {
        let future = SystemTime::now() + Duration::from_secs(3600);
        fs_err::OpenOptions::new().write(true).open(path).unwrap().file().set_modified(future).unwrap();
    }
    assert_eq!(sources.digest().1, 3);
    assert_eq!(sources.digest().1, 3);
    assert!(!sources.kit.store.dir().join("digests-v2").exists());
}

#[test]
fn what_is_no_file_is_an_error_by_itself() {
    let sources = Sources::new();
    let mut paths = sources.paths.clone();
    paths.push(sources.kit.dir.path().join("gone"));
    paths.push(sources.kit.dir.path().join("x"));
    let results = sources.kit.store.digests(&paths);
    assert!(results[..3].iter().all(Result::is_ok));
    for (result, path) in results[3..].iter().zip(&paths[3..]) {
        assert!(matches!(result, Err(CacheError::Io { path: at, .. }) if at == path));
    }
}

#[test]
fn recheck_reads_what_was_touched_and_names_what_differs() {
    let sources = Sources::new();
    let store = &sources.kit.store;
    let seen: Vec<_> = store.digests(&sources.paths).into_iter().map(Result::unwrap).collect();
    let hashed = store.files_hashed();
    assert_eq!(store.recheck(&seen), Vec::<usize>::new());
    assert_eq!(store.files_hashed(), hashed);
    sources.touch(0, 1_000_000_000);
    assert_eq!(store.recheck(&seen), Vec::<usize>::new());
    assert_eq!(store.files_hashed(), hashed + 1);
    fs_err::write(&sources.paths[1], "changed").unwrap();
    fs_err::remove_file(&sources.paths[2]).unwrap();
    assert_eq!(store.recheck(&seen), [1, 2]);
}

#[test]
fn not_being_able_to_remember_is_a_warning() {
    let sources = Sources::new();
    let full = sndpipe_cache::IoFault { after: 0, kind: std::io::ErrorKind::StorageFull };
    sources.kit.store.inject(Some(full));
    assert_eq!(sources.digest().0[1], Digest::of(b"b"));
    assert_eq!(sources.kit.warned(), 2);
}
