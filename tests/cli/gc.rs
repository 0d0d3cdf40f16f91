//! Garbage collection and pins through the real program.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::sandbox::{Sandbox, check};

/// Bytes of everything in the cache but what marks running processes.
fn bytes(sandbox: &Sandbox) -> u64 {
    fn below(folder: &std::path::Path) -> u64 {
        let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries
            .map(|entry| {
                let name = entry.file_name();
                if name == "writers-v1" || name == "locks-v1" {
                    return 0;
                }
                let meta = entry.metadata().unwrap();
                if meta.is_dir() { below(&entry.path()) } else { meta.len() }
            })
            .sum()
    }
    below(&sandbox.path(".sndpipe"))
}

/// Collects after a dry run: both say the same, and it is what goes, to the byte. Returns how much.
#[track_caller]
fn collect(sandbox: &Sandbox, arguments: &str) -> u64 {
    let before = bytes(sandbox);
    let line = format!("cache gc --format json {arguments}");
    let said = sandbox.ok(&format!("{} --dry-run", line.trim_end())).json();
    assert_eq!(bytes(sandbox), before, "a dry run changed something");
    let freed = sandbox.ok(line.trim_end()).json();
    let parts = |lines: &[serde_json::Value]| lines[..lines.len() - 1].to_vec();
    assert_eq!(parts(&said), parts(&freed));
    let (said, freed) = (said.last().unwrap(), freed.last().unwrap());
    assert_eq!((&said["dry_run"], &freed["dry_run"]), (&true.into(), &false.into()));
    for field in ["bytes", "before", "after", "in_use"] {
        assert_eq!(said[field], freed[field], "{field}");
    }
    assert_eq!(freed["before"], before);
    assert_eq!(freed["after"], bytes(sandbox));
    sandbox.ok("cache verify");
    freed["bytes"].as_u64().unwrap()
}

#[test]
fn a_named_pipeline_keeps_what_it_needs() {
    let sandbox = Sandbox::toy();
    sandbox.ok("run toy.yaml");
    sandbox.ok("run toy.yaml --set word=howdy");
    assert_eq!(collect(&sandbox, ""), 0, "everything belongs to a recorded result");
    check("gc_nothing", sandbox.ok("cache gc"));
    check("gc_dry_run", sandbox.ok("cache gc toy.yaml --dry-run"));
    assert!(collect(&sandbox, "toy.yaml") > 0);
    sandbox.ok("plan toy.yaml --check");
    sandbox.ends("plan toy.yaml --set word=howdy --check", 4);
    assert_eq!(collect(&sandbox, "toy.yaml"), 0);
    // With the same `--set` as `run` it keeps what that run needs.
    sandbox.ok("run toy.yaml --set word=howdy");
    collect(&sandbox, "toy.yaml --set word=howdy");
    sandbox.ok("plan toy.yaml --set word=howdy --check");
    sandbox.ends("plan toy.yaml --check", 4);
}

#[test]
fn recent_runs_and_ages_keep_what_they_used() {
    let sandbox = Sandbox::toy();
    for word in ["one", "two", "three"] {
        sandbox.ok(&format!("run toy.yaml --set word={word}"));
    }
    assert_eq!(collect(&sandbox, "--keep-runs 3"), 0);
    assert_eq!(collect(&sandbox, "--older-than 1h"), 0);
    assert!(collect(&sandbox, "--keep-runs 2") > 0);
    sandbox.ok("plan toy.yaml --set word=two --check");
    sandbox.ends("plan toy.yaml --set word=one --check", 4);
    assert_eq!(sandbox.ok("runs --format json").json().len(), 2);
    // Whichever keeps more counts.
    assert_eq!(collect(&sandbox, "--keep-runs 1 --older-than 1h"), 0);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(collect(&sandbox, "--older-than 250ms") > 0);
    sandbox.ends("plan toy.yaml --set word=three --check", 4);
    assert!(sandbox.ok("runs --format json").json().is_empty());
}

#[test]
fn a_size_drops_files_and_keeps_records() {
    let sandbox = Sandbox::new().file(
        "large.yaml",
        r#"version: 1
name: large
params: { byte: a }
stages:
  large: { uses: command, with: { program: [sh, -c, "head -c 300000 /dev/zero | tr '\\0' ${byte} > {out.text}"], outputs: { text: file } } }
  small: { uses: command, in: { text: large }, with: { program: [sh, -c, "wc -c < {in.text} > {out.n}"], inputs: { text: file }, outputs: { n: file } } }
"#,
    );
    sandbox.ok("run large.yaml");
    sandbox.ok("run large.yaml --set byte=b");
    assert_eq!(collect(&sandbox, "--max-size 1MB"), 0);
    assert!(collect(&sandbox, "--max-size 400kB") >= 300_000);
    // The last run is whole; of the one before the small result is there, for which nothing needs to run.
    sandbox.ok("plan large.yaml --set byte=b --check");
    sandbox.ok("plan large.yaml --check");
    let ran = sandbox.ok("cache gc large.yaml --set byte=b --max-size 1kB");
    assert!(ran.stderr.contains("more than --max-size"), "{ran}");
    sandbox.ok("plan large.yaml --set byte=b --check");
}

#[test]
fn pins_keep_results_whatever_becomes_of_the_file() {
    let sandbox = Sandbox::toy();
    check("pin_never_ran", sandbox.ends("cache pin paper toy.yaml count", 1));
    sandbox.ok("run toy.yaml");
    check("pin", sandbox.ok("cache pin paper toy.yaml count"));
    sandbox.edit("toy.yaml", "word: hello", "word: goodbye");
    sandbox.ok("run toy.yaml");
    assert!(collect(&sandbox, "toy.yaml") > 0);
    let stats = sandbox.ok("cache stats");
    assert!(stats.stdout.contains("pin paper: 1 result of toy.yaml count"), "{stats}");
    let shown = sandbox.ok("show toy.yaml count --set word=hello --format json").json();
    assert_eq!(shown[0]["kind"], "file");
    check("unpin_unknown", sandbox.ends("cache unpin papers", 2));
    sandbox.ok("cache unpin paper");
    assert!(collect(&sandbox, "toy.yaml") > 0);
    assert!(!sandbox.ok("cache stats").stdout.contains("pin"));
    assert_eq!(collect(&sandbox, "toy.yaml"), 0);
}

#[test]
fn mistakes_free_nothing() {
    let sandbox = Sandbox::toy();
    sandbox.ok("run toy.yaml");
    let before = bytes(&sandbox);
    sandbox.write("broken.yaml", "version: 1\nname: broken\nstages: { a: { uses: comand } }\n");
    sandbox.ends("cache gc toy.yaml broken.yaml", 2);
    sandbox.ends("cache gc missing.yaml", 2);
    check("gc_bad_size", sandbox.ends("cache gc --max-size much", 2));
    check("gc_bad_age", sandbox.ends("cache gc --older-than 30", 2));
    check("gc_set_without_file", sandbox.ends("cache gc --set word=x", 2));
    check("gc_no_runs", sandbox.ends("cache gc --keep-runs 0", 2));
    sandbox.ends("cache gc toy.yaml --set wrod=x", 2);
    check("pin_bad_name", sandbox.ends("cache pin ../x toy.yaml", 2));
    assert_eq!(bytes(&sandbox), before);
    // A pin that cannot be read may keep anything.
    sandbox.ok("cache pin paper toy.yaml");
    let pin = sandbox.ok("cache verify").stderr;
    assert!(pin.contains("as it was written"), "{pin}");
    let folder = fs_err::read_dir(sandbox.path(".sndpipe/pins-v1")).unwrap().next().unwrap().unwrap().path();
    fs_err::write(folder.join("paper"), "torn").unwrap();
    check("gc_damaged_pin", sandbox.ends("cache gc toy.yaml", 3));
    sandbox.ok("cache unpin paper");
    sandbox.ok("cache gc toy.yaml");
}

/// Stages of every kind in twelve cells, and one that ends only when a file appears.
const BUSY: &str = r#"version: 1
name: busy
params: { clips: 6, wait: true }
matrix: { n: [1, 2, 3, 4, 5, 6, 7, 8] }
stages:
  gate: { uses: command, with: { program: [sh, -c, "while [ ! -e [GO] ]; do sleep 0.05; done; echo ${clips} > {out.x}"], outputs: { x: file } } }
  clips: { uses: dataset.synth, with: { classes: 2, clips_per_class: "${clips}", seconds: 0.5, sample_rate: 8000, seed: "${n}" } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: 4000 } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: 16, window_ms: 32, hop_ms: 10, n_fft: 128, high_hz: 2000 } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.25, val: 0.25, seed: 1 } }
  slow: { uses: command, in: { x: clips.labels }, with: { program: [sh, -c, "sleep 0.4; cp {in.x} {out.y}"], inputs: { x: labels }, outputs: { y: labels } } }
  model: { uses: train, in: { features: mel, labels: slow, split: split }, with: { network: { name: mlp, hidden: [4] }, patch: { frames: 20 }, epochs: 2, batch: 4, seed: 1 } }
"#;

/// A collection that keeps nothing of this pipeline, fifty times while it runs: what it uses and makes is there at its end.
#[test]
fn fifty_collections_beside_a_run_delete_nothing_in_use() {
    let sandbox = Sandbox::toy();
    let go = sandbox.path("go");
    let busy = BUSY.replace("[GO]", &go.display().to_string()).replace(", wait: true", "");
    sandbox.write("busy.yaml", busy);
    sandbox.write("go", "");
    sandbox.ok("run busy.yaml --jobs 3 --cache clean --set clips=7");
    // Results of which the run can use rows again.
    sandbox.ok("run busy.yaml --jobs 3");
    fs_err::remove_file(&go).unwrap();

    let mut run = sandbox
        .command(["run", "busy.yaml", "--jobs", "3", "--set", "clips=7", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let (send, ended) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        lines.by_ref().for_each(|line| drop(send.send(line.unwrap())));
    });
    let (mut collections, mut stages, mut freed, mut in_use) = (0, 0, 0, 0);
    // All but the gate, and then once more.
    while collections < 50 || stages < 8 * 6 {
        assert!(run.try_wait().unwrap().is_none(), "the run ended after {collections} collections");
        // Something to free, and a run record younger than the rows of the other run: nothing but their use keeps these.
        sandbox.ok(&format!("run toy.yaml --set word={collections}"));
        let told = sandbox.ok("cache gc toy.yaml --format json").json();
        freed += told.last().unwrap()["bytes"].as_u64().unwrap();
        in_use += told.last().unwrap()["in_use"].as_u64().unwrap();
        collections += 1;
        stages += ended.try_iter().filter(|line| line.contains("\"stage\":")).count();
    }
    sandbox.write("go", "");
    let status = run.wait().unwrap();
    reader.join().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(freed > 0, "the garbage was there to go");
    eprintln!("{collections} collections freed {freed} bytes; {in_use} times something was in use just then");

    sandbox.ok("cache verify");
    let again = sandbox.ok("run busy.yaml --jobs 3 --set clips=7 --format json").json();
    assert_eq!(again.last().unwrap()["ran"], 0);
    let outputs = |cache: &str| {
        let plan = sandbox.ok(&format!("plan busy.yaml --set clips=7 --all --format json --cache {cache}"));
        plan.json().into_iter().map(|line| line["outputs"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(outputs(".sndpipe"), outputs("clean"));
    // Every file is there, also those that only a stage that will not run would read.
    for stage in ["clips", "audio", "mel", "split", "slow", "model"] {
        sandbox.ok(&format!("show busy.yaml {stage} --set clips=7"));
    }
    // With the run its claims have ended.
    sandbox.ok("cache gc toy.yaml");
    sandbox.ends("plan busy.yaml --set clips=7 --check", 4);
}
