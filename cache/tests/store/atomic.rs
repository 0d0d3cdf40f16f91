//! A disk that fills up at any moment: an error that says so, nothing half-written, and a retry that works.

use std::io::ErrorKind;
use std::path::Path;

use sndpipe_cache::{Bucket, CacheError, Digest, IoFault, RowOutcome, Store};

use crate::kit::{Kit, key, meta, put, row, rows, table};

/// Lets the n-th write operation fail, for every n, until the action gets through.
#[track_caller]
fn sweep(least: u32, action: impl Fn(&Store) -> Result<(), CacheError>) {
    for after in 0.. {
        let kit = Kit::new();
        kit.store.inject(Some(IoFault { after, kind: ErrorKind::StorageFull }));
        let result = action(&kit.store);
        kit.store.inject(None);
        for path in kit.files() {
            assert!(!path.to_string_lossy().contains(".tmp-"), "{} after {after}", path.display());
        }
        // What is there is whole.
        let faults = kit.store.verify(&|_, _| {}).unwrap();
        assert_eq!(faults, [], "after {after}");
        action(&kit.store).unwrap();
        match result {
            Ok(()) => {
                assert!(after >= least, "only {after} operations");
                return;
            }
            Err(CacheError::Full { path, .. }) => assert!(path.starts_with(kit.store.dir())),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    sweep(9, |store| store.put_table("clips", meta(1), &table()).map(drop));
    sweep(9, |store| store.put_blob("model", meta(1), b"weights", "bin").map(drop));
    sweep(5, |store| store.put_document(Bucket::Runs, "one", b"run"));
}

#[test]
fn a_commit_on_a_full_disk_is_not_known() {
    sweep(8, |store| {
        let map = store.row_map(&key(1))?;
        let result = map.commit(vec![(key(1), row(1))], vec![], vec![(key(2), "bad".into())]);
        let again = store.row_map(&key(1))?;
        for map in [&map, &again] {
            assert_eq!(map.get(&key(1)).is_some(), result.is_ok());
            let skipped = RowOutcome::Skipped("bad".into());
            assert_eq!(map.get(&key(2)), result.is_ok().then_some(skipped));
        }
        result.map(drop)
    });
}

#[test]
fn a_read_only_disk_is_unusable() {
    let kit = Kit::new();
    kit.store.inject(Some(IoFault { after: 0, kind: ErrorKind::ReadOnlyFilesystem }));
    let error = kit.store.put_document(Bucket::Runs, "one", b"run").unwrap_err();
    assert!(matches!(error, CacheError::Unusable { .. }), "{error}");
}

#[test]
fn a_folder_that_cannot_be_is_unusable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs_err::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = Store::open(&path).err().unwrap();
        assert!(matches!(error, CacheError::Unusable { .. }), "{error}");
    }
    let newer = dir.path().join("newer");
    fs_err::create_dir(&newer).unwrap();
    let checksum = &Digest::of(b"2").to_hex()[..16];
    fs_err::write(newer.join("version"), format!("2 {checksum}\n")).unwrap();
    let refusal = |folder: &Path| match Store::open(folder) {
        Err(CacheError::Unusable { source, .. }) => source.to_string(),
        _ => panic!("{} can be used", folder.display()),
    };
    assert!(refusal(&newer).contains("it has format version 2, this program knows version 1"));
    // A folder of somebody else keeps its file.
    fs_err::write(newer.join("version"), "1.2.3").unwrap();
    assert!(refusal(&newer).contains("a file `version` that sndpipe has not written"));
    assert_eq!(fs_err::read(newer.join("version")).unwrap(), b"1.2.3");
    // That of a cache is written again.
    let kit = Kit::new();
    kit.store.put_blob("model", meta(1), b"weights", "bin").unwrap();
    let version = kit.store.dir().join("version");
    let before = fs_err::read(&version).unwrap();
    fs_err::write(&version, "*\n").unwrap();
    Store::open(kit.store.dir()).unwrap();
    assert_eq!(fs_err::read(&version).unwrap(), before);
}

#[test]
fn what_exists_is_kept() {
    let kit = Kit::new();
    let first = rows(&kit.store);
    kit.store.inject(Some(IoFault { after: 0, kind: ErrorKind::StorageFull }));
    let index = {
        let opened = kit.store.open_rows(&first).unwrap();
        let row = |i: usize| (opened.ids()[i].to_owned(), opened.at(i));
        (0..opened.len()).map(row).collect()
    };
    let again = put(&kit.store, "features", meta(16_000), index, vec![("bad".into(), "no samples".into())]);
    assert_eq!(again.unwrap(), first);
}

#[test]
fn a_full_disk_and_a_quota_tell_what_is_missing() {
    let kit = Kit::new();
    let error = |kind| {
        kit.store.inject(Some(IoFault { after: 1, kind }));
        kit.store.put_blob("model", meta(1), &[7; 1234], "bin").unwrap_err()
    };
    let full = error(ErrorKind::StorageFull);
    let CacheError::Full { needed: 1234, free: Some(free), .. } = full else { panic!("{full:?}") };
    assert!(full.to_string().ends_with(&format!(": 1234 bytes are needed, {free} are free")), "{full}");
    let quota = error(ErrorKind::QuotaExceeded);
    assert!(matches!(quota, CacheError::Full { needed: 1234, free: None, .. }), "{quota:?}");
    assert!(quota.to_string().ends_with(": 1234 bytes are needed and the quota is used up"), "{quota}");
}
