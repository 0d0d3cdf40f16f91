//! What is done with any bytes: it may fail, but not panic, not hang and not take memory without bound.

use std::cell::OnceCell;
use std::path::PathBuf;

use sndpipe_cache::{Digest, IndexBuilder, Manifest, Meta, Row, Store, Values};
use sndpipe_engine::{Sources, load};
use sndpipe_nn::{DeviceKind, InputShape, Loading, Model, NetworkSpec, Partial, WeightFile};
use sndpipe_stages::artefacts::audio::DecodeLimits;
use sndpipe_stages::audio::decode as decode_audio;

/// A folder for the files of a target, one for each thread.
struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

thread_local! {
    static PLACE: OnceCell<Place> = const { OnceCell::new() };
}

/// Calls `f` with the folder of this thread.
fn in_place<R>(f: impl FnOnce(&Place) -> R) -> R {
    PLACE.with(|place| {
        f(place.get_or_init(|| {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let store = Store::open(&dir.path().join("cache")).expect("a cache");
            Place { dir, store }
        }))
    })
}

impl Place {
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs_err::write(&path, bytes).expect("a file");
        path
    }
}

/// A pipeline file: text to a checked graph.
pub fn pipeline(bytes: &[u8]) {
    in_place(|place| {
        let path = place.file("pipeline.yaml", bytes);
        if let Err(errors) = load(&path, &[], &sndpipe_stages::registry()) {
            assert!(!errors.0.is_empty(), "refused without a reason");
        }
    });
}

/// The table of a data set.
pub fn manifest(bytes: &[u8]) {
    in_place(|place| {
        let table = place.file("clips.csv", bytes);
        let text = format!(
            "version: 1\nstages:\n  clips: {{ uses: dataset.csv, with: {{ manifest: {}, class: label }} }}\n",
            table.display()
        );
        let path = place.file("manifest.yaml", text.as_bytes());
        let graph = load(&path, &[], &sndpipe_stages::registry()).expect("a pipeline that is right");
        drop(Sources::scan(&graph, &place.store, &[]));
    });
}

/// An audio file.
pub fn decode(bytes: &[u8]) {
    let limits = DecodeLimits { max_seconds: 60.0 };
    if let Ok(pcm) = decode_audio(bytes, &limits) {
        let frames = pcm.channels[0].len();
        assert!(pcm.channels.iter().all(|channel| channel.len() == frames));
        assert!(frames as f64 <= 61.0 * f64::from(pcm.sample_rate), "{frames} frames at {}", pcm.sample_rate);
    }
}

/// Weights: a model of sndpipe, and a file of somebody else.
pub fn weights(bytes: &[u8]) {
    drop(Model::load(bytes, DeviceKind::Cpu));
    if let Ok(file) = WeightFile::read(bytes) {
        let network = NetworkSpec::Mlp { hidden: vec![4], dropout: 0.0 };
        let input = InputShape { channels: 1, frames: 2, bands: 3 };
        let loading = Loading { partial: Partial::Shapes, ..Loading::default() };
        drop(file.outputs(&network, &loading));
        drop(file.to_model(&network, (input, 2), 0, &loading, &serde_json::Value::Null));
    }
}

/// A shard of rows whose file was exchanged: as long as before, but with other bytes.
pub fn shard(bytes: &[u8]) {
    in_place(|place| {
        let (manifest, before) = rows(&place.store, bytes.len());
        let file = manifest.files().nth(1).expect("a shard");
        let path = place.store.file_path(file);
        let mut other = bytes.to_vec();
        other.resize(before.len(), 0);
        fs_err::write(&path, &other).expect("a file");
        if let Ok(rows) = place.store.open_rows(&manifest) {
            for i in 0..rows.len() {
                // What is read is what was written.
                if let Ok(row) = rows.row(i) {
                    assert!(row.to_f32().iter().enumerate().all(|(n, &value)| value == (n + i) as f32));
                }
            }
        }
        fs_err::write(path, before).expect("a file");
    });
}

/// Two rows in a shard of about `size` bytes, and the bytes of the shard.
fn rows(store: &Store, size: usize) -> (Manifest, Vec<u8>) {
    let length = (size / 512 * 64).clamp(8, 1 << 14);
    let map = store.row_map(&Digest::of(b"fuzz")).expect("a row map");
    let row = |i: usize| {
        let values = (0..length).map(|n| (n + i) as f32).collect();
        Row { frames: length as u32, values: Values::F32(values) }
    };
    let inputs = [0, 1].map(|i| Digest::of(format!("{length} {i}").as_bytes()));
    let at = map
        .commit(
            vec![(inputs[0], row(0)), (inputs[1], row(1))],
            vec![(inputs[0], "a remark".to_owned())],
            Vec::new(),
        )
        .expect("rows");
    let mut index = IndexBuilder::default();
    at.iter().enumerate().for_each(|(i, (_, row))| index.push(&i.to_string(), row));
    index.remark("0", "a remark");
    let manifest = store.put_rows("features", Meta::new(), index).expect("an artefact");
    let file = manifest.files().nth(1).expect("a shard").clone();
    let bytes = fs_err::read(store.file_path(&file)).expect("the shard");
    (manifest, bytes)
}
