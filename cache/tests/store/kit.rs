//! What the tests share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_array::{Float32Array, Int64Array, RecordBatch, StringArray};
use sndpipe_cache::{
    CacheError, Digest, IndexBuilder, Manifest, Meta, Row, RowAt, RowMap, Rows, Store, Values,
};

/// A store in a folder of its own, and the warnings it gave.
pub struct Kit {
    /// Removed when the test ends; sources may lie beside the cache.
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub warnings: Arc<Mutex<Vec<String>>>,
}

impl Kit {
    pub fn new() -> Kit {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&warnings);
        store.on_warning(Box::new(move |warning| {
            sink.lock().unwrap().push(format!("{}: {}", warning.path.display(), warning.what));
        }));
        Kit { dir, store, warnings }
    }

    /// All files of the cache, sorted, except marks and locks of running processes.
    pub fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &std::path::Path, out: &mut Vec<PathBuf>) {
            for entry in fs_err::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, out) } else { out.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(self.store.dir(), &mut files);
        let passing = |part: std::path::Component| {
            ["writers-v1", "locks-v1"].map(|name| part.as_os_str() == name) != [false; 2]
        };
        files.retain(|path| !path.components().any(passing));
        files.sort();
        files
    }

    /// The one file of a bucket.
    #[track_caller]
    pub fn only(&self, bucket: &str, extension: &str) -> PathBuf {
        let root = self.store.dir().join(bucket);
        let mut files = self.files();
        files.retain(|path| path.starts_with(&root) && path.extension().unwrap_or_default() == extension);
        assert_eq!(files.len(), 1, "{bucket} *.{extension}: {files:?}");
        files.remove(0)
    }

    pub fn warned(&self) -> usize {
        self.warnings.lock().unwrap().len()
    }
}

pub fn key(n: u64) -> Digest {
    Digest::of(&n.to_le_bytes())
}

/// A row whose content follows from `seed` alone.
pub fn row(seed: u32) -> Row {
    let values = (0..40 + seed % 7).map(|i| (seed * 1000 + i) as f32).collect();
    Row { frames: seed, values: Values::F32(values) }
}

/// Commits rows made of `seeds` and returns an index that calls them `clip-<seed>`.
pub fn commit(map: &RowMap, seeds: &[u32]) -> Vec<(String, RowAt)> {
    let rows = seeds.iter().map(|&seed| (key(seed.into()), row(seed))).collect();
    let at = map.commit(rows, vec![], vec![]).unwrap();
    seeds.iter().zip(at).map(|(seed, (_, row))| (format!("clip-{seed:04}"), row)).collect()
}

/// Stores an artefact of clips with and without rows.
pub fn put(
    store: &Store,
    kind: &str,
    meta: Meta,
    clips: Vec<(String, RowAt)>,
    skipped: Vec<(String, String)>,
) -> Result<Manifest, CacheError> {
    let mut index = IndexBuilder::default();
    clips.iter().for_each(|(id, row)| index.push(id, row));
    skipped.iter().for_each(|(id, reason)| index.skip(id, reason));
    store.put_rows(kind, meta, index)
}

/// The clips of an opened artefact.
pub fn ids(rows: &Rows) -> Vec<&str> {
    rows.ids().iter().collect()
}

pub fn meta(rate: u32) -> Meta {
    Meta::from([("sample_rate".to_owned(), rate.into()), ("gain".to_owned(), 0.1.into())])
}

pub fn table() -> RecordBatch {
    RecordBatch::try_from_iter([
        ("clip_id", Arc::new(StringArray::from(vec!["a", "b", "c"])) as _),
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)])) as _),
        ("x", Arc::new(Float32Array::from(vec![0.5, -0.0, f32::NAN])) as _),
    ])
    .unwrap()
}

/// An artefact of rows 1 to 5 under map key 1, with one clip skipped.
pub fn rows(store: &Store) -> Manifest {
    let map = store.row_map(&key(1)).unwrap();
    let index = commit(&map, &[1, 2, 3, 4, 5]);
    put(store, "features", meta(16_000), index, vec![("bad".into(), "no samples".into())]).unwrap()
}
