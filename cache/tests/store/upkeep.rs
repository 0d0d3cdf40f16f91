//! Counting, listing, folders.

use std::cell::RefCell;

use sndpipe_cache::{Bucket, CacheError};

use crate::kit::{Kit, commit, key, meta, rows, table};

#[test]
fn stats_count_artefacts_rows_and_orphans() {
    let kit = Kit::new();
    kit.store.put_table("clips", meta(1), &table()).unwrap();
    kit.store.put_table("clips", meta(2), &table()).unwrap();
    let features = rows(&kit.store);
    kit.store.put_document(Bucket::Records, "r1", b"").unwrap();
    // Known to a row map only: not an orphan.
    commit(&kit.store.row_map(&key(2)).unwrap(), &[77]);
    let stats = kit.store.stats().unwrap();
    let clips = &stats.kinds["clips"];
    // Two artefacts that differ in metadata share their file.
    assert_eq!((clips.artefacts, clips.rows, clips.files), (2, 6, 1));
    assert_eq!(stats.kinds["features"].bytes, features.bytes());
    assert_eq!((stats.records, stats.runs, stats.row_files, stats.orphan_files), (1, 0, 2, 0));
    let files = kit.files();
    let total: u64 = files.iter().map(|path| fs_err::metadata(path).unwrap().len()).sum();
    assert_eq!(stats.total_bytes, total);

    let blob = kit.store.put_blob("model", meta(1), b"12345", "bin").unwrap();
    let manifest =
        files_of(&kit, "artefacts-v1").into_iter().find(|path| path.contains(&blob.id.to_string()));
    fs_err::remove_file(manifest.unwrap()).unwrap();
    let stats = kit.store.stats().unwrap();
    assert_eq!((stats.orphan_files, stats.orphan_bytes), (1, 5));
}

fn files_of(kit: &Kit, bucket: &str) -> Vec<String> {
    let files = kit.files().into_iter().map(|path| path.to_string_lossy().into_owned());
    files.filter(|path| path.contains(bucket)).collect()
}

#[test]
fn verify_reports_its_progress_to_the_end() {
    let kit = Kit::new();
    rows(&kit.store);
    let seen = RefCell::new(Vec::new());
    assert_eq!(kit.store.verify(&|done, total| seen.borrow_mut().push((done, total))).unwrap(), []);
    let seen = seen.into_inner();
    assert!(seen.is_sorted());
    assert_eq!(seen[0].0, 0);
    let (done, total) = *seen.last().unwrap();
    assert!(total > 0 && done == total, "{done} of {total}");
}

#[test]
fn documents_are_listed_sorted_and_removed() {
    let kit = Kit::new();
    for name in ["b2", "run-1", "a1"] {
        kit.store.put_document(Bucket::Runs, name, name.as_bytes()).unwrap();
    }
    kit.store.put_document(Bucket::Runs, "a1", b"").unwrap();
    assert_eq!(kit.store.documents(Bucket::Runs).unwrap(), ["a1", "b2", "run-1"]);
    assert_eq!(kit.store.document(Bucket::Runs, "a1").unwrap(), Some(vec![]));
    assert_eq!(kit.store.document(Bucket::Records, "a1").unwrap(), None);
    kit.store.remove_document(Bucket::Runs, "b2").unwrap();
    kit.store.remove_document(Bucket::Runs, "b2").unwrap();
    assert_eq!(kit.store.documents(Bucket::Runs).unwrap(), ["a1", "run-1"]);
    for name in ["", "..", "a/b", ".hidden", "a\0"] {
        let error = kit.store.put_document(Bucket::Runs, name, b"").unwrap_err();
        assert!(matches!(error, CacheError::Invalid { .. }), "{name:?}: {error}");
    }
}

#[test]
fn the_folder_marks_itself_as_a_cache() {
    let kit = Kit::new();
    let read = |name: &str| fs_err::read_to_string(kit.store.dir().join(name)).unwrap();
    assert!(read("CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    assert_eq!(read(".gitignore"), "*\n");
}

#[test]
fn logs_and_working_folders_are_where_they_were() {
    let kit = Kit::new();
    let log = kit.store.log_path(&key(1));
    fs_err::write(&log, "said").unwrap();
    assert_eq!(kit.store.log_path(&key(1)), log);
    let work = kit.store.work_dir(&key(1)).unwrap();
    fs_err::write(work.join("checkpoint"), "epoch 3").unwrap();
    assert_eq!(kit.store.work_dir(&key(1)).unwrap(), work);
    assert!(work.join("checkpoint").exists());
    kit.store.remove_work_dir(&key(1));
    kit.store.remove_work_dir(&key(1));
    assert!(!work.exists());
}
