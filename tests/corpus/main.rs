//! Every input that a fuzzer has kept, once more: those that widen what is covered, and those that something was wrong with.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

#[path = "../../fuzz/src/bodies.rs"]
mod bodies;

use std::path::Path;

/// Runs a target on its corpus, and on the first half of each input.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut count = 0;
    for entry in fs_err::read_dir(folder).unwrap() {
        let bytes = fs_err::read(entry.unwrap().path()).unwrap();
        target(&bytes);
        target(&bytes[..bytes.len() / 2]);
        count += 1;
    }
    assert!(count > 0, "there is no corpus of {name}");
}

#[test]
fn pipelines() {
    replay("pipeline", bodies::pipeline);
}

#[test]
fn manifests() {
    replay("manifest", bodies::manifest);
}

#[test]
fn audio() {
    replay("decode", bodies::decode);
}

#[test]
fn weights() {
    replay("weights", bodies::weights);
}

#[test]
fn shards() {
    replay("shard", bodies::shard);
}
