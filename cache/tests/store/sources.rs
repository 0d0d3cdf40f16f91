//! When a source file is read, and when its digest is remembered.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sndpipe_cache::{CacheError, Change, Digest, Store};

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
    assert!(!sources.kit.store.dir().join("digests-v3").exists());
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
fn recheck_names_what_differs_and_what_was_only_touched() {
    let sources = Sources::new();
    let store = &sources.kit.store;
    let seen: Vec<_> = store.digests(&sources.paths).into_iter().map(Result::unwrap).collect();
    let hashed = store.files_hashed();
    assert_eq!(store.recheck(&seen), []);
    assert_eq!(store.files_hashed(), hashed, "their versions tell");
    sources.touch(0, 1_000_000_000);
    assert_eq!(store.recheck(&seen), [(0, Change::Version)]);
    fs_err::write(&sources.paths[1], "changed").unwrap();
    fs_err::remove_file(&sources.paths[2]).unwrap();
    let content = Change::Content;
    assert_eq!(store.recheck(&seen), [(0, Change::Version), (1, content), (2, content)]);
}

#[test]
fn a_file_that_went_and_came_back_is_another_version() {
    let sources = Sources::new();
    let store = &sources.kit.store;
    let seen: Vec<_> = store.digests(&sources.paths).into_iter().map(Result::unwrap).collect();
    fs_err::write(&sources.paths[0], "other").unwrap();
    fs_err::write(&sources.paths[0], "a").unwrap();
    let aside = sources.paths[1].with_extension("aside");
    fs_err::rename(&sources.paths[1], &aside).unwrap();
    fs_err::write(&sources.paths[1], "other").unwrap();
    fs_err::rename(&aside, &sources.paths[1]).unwrap();
    assert_eq!(store.recheck(&seen), [(0, Change::Version), (1, Change::Version)]);
}

#[test]
fn a_young_file_is_read_again_when_it_is_checked_and_remembered_once_it_settled() {
    let sources = Sources::new();
    let store = &sources.kit.store;
    store.put_clock_ahead(Duration::ZERO);
    let future = SystemTime::now() + Duration::from_secs(3600);
    for path in &sources.paths {
        fs_err::OpenOptions::new().write(true).open(path).unwrap().file().set_modified(future).unwrap();
    }
    let seen: Vec<_> = store.digests(&sources.paths).into_iter().map(Result::unwrap).collect();
    assert_eq!(store.files_hashed(), 3);
    assert_eq!(store.recheck(&seen), []);
    assert_eq!(store.files_hashed(), 6, "a version that may not tell is not relied on");
    while let Some(left) =
        seen.iter().filter_map(sndpipe_cache::FileDigest::settles_in).max().filter(|left| !left.is_zero())
    {
        std::thread::sleep(left);
    }
    let settled: Vec<_> = store.settle(&seen).into_iter().map(Result::unwrap).collect();
    assert!(settled.iter().all(|file| file.settles_in().is_none()), "{settled:?}");
    let hashed = store.files_hashed();
    assert_eq!(store.recheck(&settled), []);
    assert_eq!(sources.digest().1, 0);
    assert_eq!(store.files_hashed(), hashed);
}

#[test]
fn what_is_forgotten_is_read_again() {
    let sources = Sources::new();
    sources.digest();
    sources.kit.store.forget_digest(&sources.paths[1]);
    assert_eq!(sources.digest().1, 1);
    assert_eq!(sources.digest().1, 0);
    sources.kit.store.forget_digest(&sources.paths[1].with_file_name("never-seen"));
    assert_eq!(sources.kit.warned(), 0);
}

#[test]
fn whoever_distrusts_reads_all_and_remembers_it() {
    let sources = Sources::new();
    sources.digest();
    let doubter = Store::open(sources.kit.store.dir()).unwrap();
    doubter.put_clock_ahead(Duration::from_secs(1));
    doubter.distrust_digests();
    doubter.forget_digest(&sources.paths[0]);
    assert_eq!(doubter.digests(&sources.paths).len(), 3);
    assert_eq!(doubter.files_hashed(), 3);
    assert_eq!(sources.digest().1, 0);
}

#[test]
fn a_store_to_mapped_memory_is_noticed_though_the_file_keeps_its_times() {
    let sources = Sources::new();
    let store = &sources.kit.store;
    let path = &sources.paths[0];
    fs_err::write(path, [0; 8192]).unwrap();
    let file = fs_err::OpenOptions::new().read(true).write(true).open(path).unwrap();
    // SAFETY: the file is this test's, and nothing cuts it.
    let mut map = unsafe { memmap2::MmapMut::map_mut(file.file()) }.unwrap();
    drop(file);
    map[..4].copy_from_slice(b"AAAA");
    let seen = store.digests(std::slice::from_ref(path)).remove(0).unwrap();
    // One that comes right after may get the same time, where the file system's clock is no finer: the test waits for one tick.
    std::thread::sleep(Duration::from_millis(20));
    map[..4].copy_from_slice(b"BBBB");
    let now = Digest::of(&fs_err::read(path).unwrap());
    assert_ne!(seen.digest, now);
    assert_eq!(store.recheck(std::slice::from_ref(&seen)), [(0, Change::Content)]);
    drop(map);
    assert_eq!(store.digests(std::slice::from_ref(path)).remove(0).unwrap().digest, now);
}

#[test]
fn hashing_that_takes_long_is_told() {
    let sources = Sources::new();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = std::sync::Arc::clone(&told);
    sources.kit.store.on_hashing(Box::new(move |now| sink.lock().unwrap().push(now)));
    sources.digest();
    // A sparse file that takes some tenths of a second to read.
    let file = fs_err::File::create(&sources.paths[0]).unwrap();
    file.set_len(1 << 30).unwrap();
    drop(file);
    sources.kit.store.put_clock_ahead(Duration::ZERO);
    assert_eq!(sources.digest().1, 1);
    assert_eq!(sources.digest().1, 0, "what is young and large is waited for, not hashed twice");
    let told = told.lock().unwrap();
    let last = told.last().unwrap();
    assert!(last.is_done() && last.bytes == 1 << 30 && last.of_files == 1, "{told:?}");
    assert!(told.iter().all(|now| now.of_bytes == 1 << 30 && now.bytes <= now.of_bytes), "{told:?}");
}

#[test]
fn not_being_able_to_remember_is_a_warning() {
    let sources = Sources::new();
    let full = sndpipe_cache::IoFault { after: 0, kind: std::io::ErrorKind::StorageFull };
    sources.kit.store.inject(Some(full));
    assert_eq!(sources.digest().0[1], Digest::of(b"b"));
    assert_eq!(sources.kit.warned(), 2);
}
