//! Damage that nobody reads, and clocks that were wrong.

use crate::sandbox::Sandbox;

const ONE: &str = r#"version: 1
name: one
params: { word: good }
stages:
  first: { uses: command, with: { program: [sh, -c, "printf ${word} > {out.text}"], outputs: { text: file } } }
  last: { uses: command, in: { text: first }, with: { program: [cp, "{in.text}", "{out.copy}"], inputs: { text: file }, outputs: { copy: file } } }
"#;

/// Writes other bytes of the same length over the one file of artefacts, which both stages have.
fn spoil(sandbox: &Sandbox) -> std::path::PathBuf {
    let shown = sandbox.ok("show one.yaml last --format json").json();
    let path = std::path::PathBuf::from(
        shown[0]["files"][0]["path"].as_str().unwrap().replace("[DIR]", &sandbox.path("").to_string_lossy()),
    );
    fs_err::write(&path, "bad_").unwrap();
    path
}

fn spoilt() -> (Sandbox, std::path::PathBuf) {
    let sandbox = Sandbox::new().file("one.yaml", ONE);
    sandbox.ok("run one.yaml");
    let path = spoil(&sandbox);
    (sandbox, path)
}

#[track_caller]
fn is_good(sandbox: &Sandbox, path: &std::path::Path) {
    assert_eq!(fs_err::read_to_string(path).unwrap(), "good");
    sandbox.ok("show one.yaml last --export out --overwrite");
    sandbox.ok("cache verify");
    assert!(sandbox.ok("run one.yaml").stderr.contains(" 0 ran"));
}

#[test]
fn force_replaces_a_damaged_file() {
    let (sandbox, path) = spoilt();
    sandbox.ok("run one.yaml --force first --force last");
    is_good(&sandbox, &path);
}

#[test]
fn what_show_finds_damaged_is_dropped_and_made_again() {
    let (sandbox, path) = spoilt();
    let shown = sandbox.ends("show one.yaml last --export out", 3);
    assert!(shown.stderr.contains("its checksum does not match"), "{shown}");
    assert!(shown.stderr.contains("a damaged result was dropped from the cache"), "{shown}");
    assert!(!path.exists());
    sandbox.ends("plan one.yaml --check", 4);
    sandbox.ok("run one.yaml");
    is_good(&sandbox, &path);
}

#[test]
fn a_run_notices_that_what_it_asks_for_was_touched() {
    // The last stage is always asked for, the first only here: nothing is remembered of its file.
    for asked in ["", " first", " last"] {
        let (sandbox, path) = spoilt();
        let ran = sandbox.ok(&format!("run one.yaml{asked}"));
        assert!(ran.stderr.contains("its checksum does not match"), "{ran}");
        is_good(&sandbox, &path);
        // Touched, and still the same.
        fs_err::write(&path, "good").unwrap();
        let ran = sandbox.ok(&format!("run one.yaml{asked}"));
        assert!(ran.stderr.contains(" 0 ran") && !ran.stderr.contains("warning"), "{ran}");
    }
}

#[test]
fn what_verify_finds_the_next_run_repairs() {
    let sandbox = Sandbox::new().file("one.yaml", ONE);
    sandbox.ok("run one.yaml");
    // As a disk does that loses bits: no time tells of it.
    let shown = sandbox.ok("show one.yaml last --format json").json();
    let path =
        shown[0]["files"][0]["path"].as_str().unwrap().replace("[DIR]", &sandbox.path("").to_string_lossy());
    let written = fs_err::metadata(&path).unwrap().modified().unwrap();
    fs_err::write(&path, "bad_").unwrap();
    fs_err::OpenOptions::new().append(true).open(&path).unwrap().file().set_modified(written).unwrap();
    sandbox.ends("cache verify", 1);
    sandbox.ok("run one.yaml");
    is_good(&sandbox, std::path::Path::new(&path));
}

/// The time of a run is in its id; its number counts.
#[test]
fn the_last_run_is_the_last_whatever_the_clock_said() {
    let sandbox = Sandbox::new().file("one.yaml", ONE);
    let ids = |sandbox: &Sandbox| -> Vec<String> {
        let runs = sandbox.ok("runs --format json").json();
        runs.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    sandbox.ok("run one.yaml");
    ahead(&sandbox);
    sandbox.ok("run one.yaml --set word=five");
    let all = ids(&sandbox);
    assert_eq!(all.len(), 2);
    assert!(all[0].ends_with("-2") && all[0] < all[1], "{all:?}");
    let last = sandbox.ok("runs show last --format json").json();
    assert_eq!(last[0]["id"], *all[0]);
    sandbox.ok("cache gc --keep-runs 1");
    sandbox.ok("plan one.yaml --set word=five --check");
    sandbox.ends("plan one.yaml --check", 4);
    assert_eq!(ids(&sandbox), all[..1]);
    // What was used within an hour is kept by both clocks.
    sandbox.ok("run one.yaml");
    ahead(&sandbox);
    sandbox.ok("cache gc --older-than 1h");
    sandbox.ok("plan one.yaml --check");
}

/// Changes the record of the only run, or the latest, to one with a clock that was ten years ahead.
fn ahead(sandbox: &Sandbox) {
    use sndpipe_cache::{Bucket, Store};
    let store = Store::open(&sandbox.path(".sndpipe")).unwrap();
    let name = sndpipe_engine::RunRecord::names(&store).unwrap().remove(0);
    let text = String::from_utf8(store.document(Bucket::Runs, &name).unwrap().unwrap()).unwrap();
    let year: u64 = name[..4].parse().unwrap();
    let later = format!("{}{}", year + 10, &name[4..]);
    let started = text.split("\"started_ms\":").nth(1).unwrap().split(',').next().unwrap();
    let then = started.parse::<u64>().unwrap() + 315_360_000_000;
    let text = text.replace(&name, &later).replace(started, &then.to_string());
    store.put_document(Bucket::Runs, &later, text.as_bytes()).unwrap();
    store.remove_document(Bucket::Runs, &name).unwrap();
}

/// A table of one number.
const TABLE: &str = r#"version: 1
name: judged
stages:
  clips: { uses: dataset.synth, with: { classes: 2, clips_per_class: 6, seconds: 0.5, sample_rate: 8000, seed: 1 } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: 4000 } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: 8, window_ms: 32, hop_ms: 10, n_fft: 128, high_hz: 2000 } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.25, val: 0.25, seed: 1 } }
  model: { uses: train, in: { features: mel, labels: clips.labels, split: split }, with: { network: { name: mlp, hidden: [4] }, patch: { frames: 20 }, epochs: 1, batch: 4, seed: 1 } }
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
  eval: { uses: evaluate, in: { scores: scores, labels: clips.labels } }
  table: { uses: table, in: eval, with: { metric: accuracy } }
"#;

#[test]
fn a_table_that_is_damaged_when_it_is_printed_is_made_again_and_printed() {
    let sandbox = Sandbox::new().file("judged.yaml", TABLE);
    let first = sandbox.ok("run judged.yaml");
    assert!(first.stdout.contains("accuracy"), "{first}");
    let shown = sandbox.ok("show judged.yaml table --format json").json();
    let path = shown[0]["files"][0]["path"].as_str().unwrap();
    let path = path.replace("[DIR]", &sandbox.path("").to_string_lossy());
    // Nothing is remembered of the file, and its times tell nothing.
    let modified = fs_err::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs_err::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    fs_err::OpenOptions::new().append(true).open(&path).unwrap().file().set_modified(modified).unwrap();
    for folder in fs_err::read_dir(sandbox.path(".sndpipe")).unwrap().map(|entry| entry.unwrap().path()) {
        if folder.file_name().unwrap().to_string_lossy().starts_with("pipelines-v") {
            fs_err::remove_dir_all(folder).unwrap();
        }
    }
    let again = sandbox.ok("run judged.yaml");
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(again.stderr.matches("warning").count(), 1, "{again}");
    assert!(again.stderr.contains("its checksum does not match"), "{again}");
    assert!(again.stderr.contains(": 1 ran, "), "{again}");
    let last = sandbox.ok("run judged.yaml");
    assert!(last.stdout == first.stdout && !last.stderr.contains("warning"), "{last}");
    assert!(last.stderr.contains(" 0 ran"), "{last}");
}
