//! Damage of every kind in every kind of file: noticed, never a panic, never wrong data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sndpipe_cache::{Bucket, CacheError, Digest, FileDigest, Manifest, RowOutcome, Store};

use crate::kit::{Kit, ids, key, meta, row, rows, table};

/// A cache with one of everything, and how it should read.
struct Full {
    kit: Kit,
    table: Manifest,
    rows: Manifest,
    blob: Manifest,
    source: PathBuf,
}

impl Full {
    fn new() -> Full {
        let kit = Kit::new();
        kit.store.put_clock_ahead(Duration::from_secs(1));
        let source = kit.dir.path().join("a.wav");
        fs_err::write(&source, "sound").unwrap();
        kit.store.digests(std::slice::from_ref(&source))[0].as_ref().unwrap();
        kit.store.put_document(Bucket::Records, "abcd", b"a record").unwrap();
        kit.store.row_map(&key(1)).unwrap().commit(vec![], vec![], vec![(key(9), "silent".into())]).unwrap();
        let table = kit.store.put_table("clips", meta(1), &table()).unwrap();
        let rows = rows(&kit.store);
        let blob = kit.store.put_blob("model", meta(1), b"some weights", "bin").unwrap();
        Full { kit, table, rows, blob, source }
    }

    /// Reads everything as a new process would. Whatever is read is right; returns how much was missed.
    #[track_caller]
    fn read(&self) -> usize {
        let store = Store::open(self.kit.store.dir()).unwrap();
        store.on_warning(Box::new(|_| {}));
        let mut missed = 0;
        let mut note = |error: CacheError, manifest: &Manifest| match error {
            CacheError::Damaged { artefact, .. } => {
                assert_eq!(artefact, manifest.id);
                missed += 1;
            }
            other => panic!("{other}"),
        };
        for (manifest, name) in [(&self.table, "table"), (&self.rows, "rows"), (&self.blob, "blob")] {
            match store.manifest(&manifest.id) {
                Some(found) => assert_eq!(&found, manifest, "{name}"),
                None => note(
                    CacheError::Damaged { path: "".into(), artefact: manifest.id, what: String::new() },
                    manifest,
                ),
            }
        }
        match store.read_table(&self.table, None) {
            // Compared as text: a NaN differs from itself.
            Ok(read) => assert_eq!(format!("{:?}", read.columns()), format!("{:?}", table().columns())),
            Err(error) => note(error, &self.table),
        }
        match store.read_blob(&self.blob) {
            Ok(read) => assert_eq!(read, b"some weights"),
            Err(error) => note(error, &self.blob),
        }
        match store.open_rows(&self.rows) {
            Ok(rows) => {
                assert_eq!(ids(&rows), ["clip-0001", "clip-0002", "clip-0003", "clip-0004", "clip-0005"]);
                assert_eq!(rows.skipped(), [("bad".to_owned(), "no samples".to_owned())]);
                for i in 0..5 {
                    match rows.row(i) {
                        Ok(found) => assert_eq!(found.to_row(), row(i as u32 + 1)),
                        Err(error) => note(error, &self.rows),
                    }
                }
            }
            Err(error) => note(error, &self.rows),
        }
        match store.document(Bucket::Records, "abcd").unwrap() {
            Some(found) => assert_eq!(found, b"a record"),
            None => missed += 1,
        }
        let map = store.row_map(&key(1)).unwrap();
        for seed in 1..=5 {
            match map.get(&key(seed)) {
                Some(RowOutcome::Row(at, _)) => assert_eq!(at.hash, row(seed as u32).hash()),
                Some(other) => panic!("{other:?}"),
                None => missed += 1,
            }
        }
        match map.get(&key(9)) {
            Some(found) => assert_eq!(found, RowOutcome::Skipped("silent".into())),
            None => missed += 1,
        }
        let source = store.digests(std::slice::from_ref(&self.source));
        let FileDigest { digest, .. } = source[0].as_ref().unwrap();
        assert_eq!(*digest, Digest::of(b"sound"));
        missed + store.files_hashed() as usize
    }

    /// The files with a checksum, without those that only mark the folder.
    fn files(&self) -> Vec<PathBuf> {
        let dir = self.kit.store.dir();
        self.kit.files().into_iter().filter(|path| path.parent() != Some(dir)).collect()
    }

    #[track_caller]
    fn faults(&self) -> Vec<PathBuf> {
        self.kit.store.verify(&|_, _| {}).unwrap().into_iter().map(|fault| fault.path).collect()
    }
}

fn is_shard(path: &Path, full: &Full) -> bool {
    full.rows.files().skip(1).any(|file| full.kit.store.file_path(file) == path)
}

#[test]
fn what_is_whole_reads_whole() {
    let full = Full::new();
    // table, blob, index, shard; three manifests; two row files; a memo; a record
    assert_eq!(full.files().len(), 11);
    assert_eq!(full.read(), 0);
    assert_eq!(full.faults(), Vec::<PathBuf>::new());
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_is() {
    let full = Full::new();
    for path in full.files() {
        let good = fs_err::read(&path).unwrap();
        let step = good.len() / 60 + 1;
        for at in (0..good.len()).step_by(step).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs_err::write(&path, bad).unwrap();
            assert_eq!(full.faults(), [path.as_path()], "byte {at}");
            let missed = full.read();
            // Padding and descriptions in a shard say nothing about rows; `verify` minds them too.
            assert!(missed > 0 || is_shard(&path, &full), "{} byte {at}", path.display());
        }
        fs_err::write(&path, good).unwrap();
    }
    assert_eq!(full.read(), 0);
}

#[test]
fn a_flipped_bit_in_a_row_is_noticed_at_its_touch_only() {
    let full = Full::new();
    let path = full.files().into_iter().find(|path| is_shard(path, &full)).unwrap();
    let good = fs_err::read(&path).unwrap();
    // Row 3 begins with 3000.0, which nothing else contains.
    let at = good.windows(4).position(|window| window == 3000f32.to_le_bytes()).unwrap();
    let mut bad = good;
    bad[at] ^= 1;
    fs_err::write(&path, bad).unwrap();
    let rows = full.kit.store.open_rows(&full.rows).unwrap();
    let right: Vec<bool> = (0..5).map(|i| rows.row(i).is_ok()).collect();
    assert_eq!(right, [true, true, false, true, true]);
    assert!(matches!(rows.row(2), Err(CacheError::Damaged { path: at, artefact, .. })
        if at == path && artefact == full.rows.id));
}

#[test]
fn a_cut_or_missing_or_longer_file_is_noticed() {
    let full = Full::new();
    for path in full.files() {
        let good = fs_err::read(&path).unwrap();
        for length in [0, 1, 8, good.len() / 2, good.len() - 1] {
            fs_err::write(&path, &good[..length]).unwrap();
            assert!(full.read() > 0, "{} cut to {length}", path.display());
        }
        fs_err::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert!(full.read() > 0, "{} longer", path.display());
        // A damaged commit to a row map was removed when it was read.
        let _ = fs_err::remove_file(&path);
        assert!(full.read() > 0, "{} missing", path.display());
        fs_err::write(&path, good).unwrap();
    }
    assert_eq!(full.read(), 0);
}

#[test]
fn a_dropped_artefact_is_made_again() {
    let full = Full::new();
    let kit = &full.kit;
    for path in full.files() {
        let name = path.to_string_lossy();
        if !name.contains("files-v1") {
            continue;
        }
        let mut bad = fs_err::read(&path).unwrap();
        let middle = bad.len() / 2;
        bad[middle] ^= 4;
        fs_err::write(&path, bad).unwrap();
        let map = kit.store.row_map(&key(1)).unwrap();
        for manifest in [&full.table, &full.rows, &full.blob] {
            if manifest.files().any(|file| kit.store.file_path(file) == path) {
                kit.store.drop_artefact(manifest);
                assert_eq!(kit.store.manifest(&manifest.id), None);
                assert!(!kit.store.is_present(manifest));
            }
        }
        assert!(!path.exists());
        // A map that was open notices too.
        assert_eq!(map.get(&key(1)).is_none(), is_shard(&path, &full));
        kit.store.put_table("clips", meta(1), &table()).unwrap();
        kit.store.put_blob("model", meta(1), b"some weights", "bin").unwrap();
        rows(&kit.store);
        assert!(map.get(&key(1)).is_some());
        assert_eq!(full.read(), 0, "{name}");
    }
}

#[test]
fn documents_do_not_answer_for_each_other() {
    let full = Full::new();
    full.kit.store.put_document(Bucket::Records, "abce", b"another").unwrap();
    let folder = full.kit.store.dir().join("records-v1/ab");
    fs_err::copy(folder.join("abce"), folder.join("abcd")).unwrap();
    assert_eq!(full.kit.store.document(Bucket::Records, "abcd").unwrap(), None);
    assert_eq!(full.kit.warned(), 1);
}

#[test]
fn a_damaged_document_is_warned_about_once_and_replaced() {
    let kit = Kit::new();
    kit.store.put_document(Bucket::Records, "abc", b"hello").unwrap();
    let path = kit.only("records-v1", "");
    fs_err::write(&path, "hello").unwrap();
    assert_eq!(kit.store.document(Bucket::Records, "abc").unwrap(), None);
    assert_eq!(kit.store.document(Bucket::Records, "abc").unwrap(), None);
    assert_eq!(kit.warned(), 1);
    kit.store.put_document(Bucket::Records, "abc", b"hello").unwrap();
    assert_eq!(kit.store.document(Bucket::Records, "abc").unwrap().as_deref(), Some(&b"hello"[..]));
}
