//! A cache from elsewhere: every checksum is right and the files lie. Reading it is an error or not, never a panic, and takes no memory that the
//! files do not account for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arrow_array::{Float32Array, Int64Array, RecordBatch, StringArray};
use sndpipe_cache::{CacheError, Digest, Hasher, IndexBuilder, Manifest, Meta, Row, Store, Values};

/// The system's allocator, which remembers the largest piece that was asked for.
struct Counting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Numbers that depend on nothing but where they begin.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Replaces a file of an artefact and makes everything that names it agree.
fn forge(store: &Store, manifest: &Manifest, file: usize, bytes: &[u8]) -> PathBuf {
    let path = |id: &Digest| {
        let name = id.to_hex();
        let bucket = if *id == manifest.id { "artefacts-v1" } else { "files-v1" };
        let end = if *id == manifest.id { "json" } else { &manifest.files().nth(file).unwrap().extension };
        store.dir().join(bucket).join(&name[..2]).join(format!("{name}.{end}"))
    };
    let mut text = serde_json::to_string(manifest).unwrap();
    let (old, new) = (manifest.files().nth(file).unwrap(), Digest::of(bytes));
    text = text.replace(&old.id.to_hex(), &new.to_hex());
    text = text.replace(&format!("\"bytes\":{}", old.bytes), &format!("\"bytes\":{}", bytes.len()));
    let checksum = Hasher::new("document")
        .str("artefacts-v1")
        .str(&manifest.id.to_hex())
        .bytes(text.as_bytes())
        .finish();
    let target = path(&new);
    fs_err::create_dir_all(target.parent().unwrap()).unwrap();
    fs_err::write(&target, bytes).unwrap();
    fs_err::write(path(&manifest.id), format!("{text}\n{checksum}\n")).unwrap();
    target
}

/// Reads an artefact to the last row.
fn read(store: &Store, id: &Digest) -> Result<(), CacheError> {
    let manifest = store.manifest(id).unwrap();
    if manifest.kind == "clips" {
        return store.read_table(&manifest, None).map(drop);
    }
    let rows = store.open_rows(&manifest)?;
    (0..rows.len()).try_for_each(|i| rows.row(i).map(drop))
}

/// Lets the header of a file lie in many ways; `least` of them must be noticed.
fn lies(store: &Store, manifest: &Manifest, file: usize, least: usize, seed: u64) {
    const MOST: usize = 64 << 20;
    let path = store.file_path(manifest.files().nth(file).unwrap());
    let good = fs_err::read(&path).unwrap();
    let mut dice = Dice(seed);
    let mut refused = 0;
    for round in 0..1000 {
        let mut bad = good.clone();
        for _ in 0..1 + dice.below(3) {
            // Most of what a header says stands at one of the ends.
            let reach = bad.len().min([16, 400, bad.len()][dice.below(3)]);
            let from_the_end = dice.below(2) * (bad.len() - reach);
            let at = from_the_end + dice.below(reach);
            let any = dice.below(256) as u8;
            bad[at] = [0, 1, 0x7f, 0x80, 0xff, any][dice.below(6)];
        }
        if dice.below(10) == 0 {
            bad.truncate(dice.below(good.len()));
        }
        let forged = forge(store, manifest, file, &bad);
        LARGEST.store(0, Relaxed);
        let result = read(store, &manifest.id);
        let largest = LARGEST.load(Relaxed);
        assert!(
            largest < MOST,
            "round {round}: {largest} bytes at once for a file of {}: {result:?}",
            bad.len()
        );
        match result {
            Ok(()) => {}
            Err(CacheError::Damaged { .. } | CacheError::Invalid { .. }) => refused += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
        if bad != good {
            fs_err::remove_file(forged).unwrap();
        }
    }
    assert!(refused >= least, "{refused} of 1000");
    forge(store, manifest, file, &good);
}

#[test]
fn headers_that_lie_are_errors() {
    // What readers that are not ours do when they give up is not worth thousands of messages.
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|at| at.file().ends_with("hostile.rs")) {
            said(panic);
        }
    }));
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let ids: Vec<String> = (0..300).map(|i| format!("clip-{i:03}")).collect();
    let table = RecordBatch::try_from_iter([
        ("clip_id", Arc::new(StringArray::from(ids.clone())) as _),
        ("n", Arc::new((0..300).map(|i| (i % 7 > 0).then_some(i)).collect::<Int64Array>()) as _),
        ("x", Arc::new(Float32Array::from(vec![0.5; 300])) as _),
    ]);
    let table = store.put_table("clips", Meta::new(), &table.unwrap()).unwrap();
    let row = |i: u32| Row { frames: i, values: Values::F32(vec![i as f32; 4]) };
    let input = |i: u32| Digest::of(&i.to_le_bytes());
    let map = store.row_map(&input(0)).unwrap();
    let at = map.commit((0..300).map(|i| (input(i), row(i))).collect(), vec![], vec![]).unwrap();
    let mut index = IndexBuilder::default();
    ids.iter().zip(&at).for_each(|(id, (_, row))| index.push(id, row));
    index.skip("zzz", "no samples");
    let rows = store.put_rows("audio", Meta::new(), index).unwrap();

    lies(&store, &table, 0, 300, 1);
    lies(&store, &rows, 0, 150, 2);
    lies(&store, &rows, 1, 150, 3);
    read(&store, &table.id).unwrap();
    read(&store, &rows.id).unwrap();
}
