//! A cache in which files are not what was written: noticed before a stage sees it, computed again, said once.

use std::path::{Path, PathBuf};

use crate::sandbox::Sandbox;

/// Every form of artefact: tables, rows of rows, a model, plain bytes.
const PIPELINE: &str = r#"version: 1
name: damage
params: { clips: 6, bands: 16, epochs: 2, text: one }
stages:
  clips: { uses: dataset.synth, with: { classes: 2, clips_per_class: "${clips}", seconds: 0.5, sample_rate: 8000, seed: 1 } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: 4000 } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: "${bands}", window_ms: 32, hop_ms: 10, n_fft: 128, high_hz: 2000 } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.25, val: 0.25, seed: 1 } }
  text: { uses: command, in: { x: split }, with: { program: [sh, -c, "wc -c < {in.x} > {out.t}"], inputs: { x: split }, outputs: { t: file } } }
  copy: { uses: command, in: { x: text }, with: { program: [sh, -c, "cat {in.x} > {out.t}; echo ${text} >> {out.t}"], inputs: { x: file }, outputs: { t: file } } }
  model: { uses: train, in: { features: mel, labels: clips.labels, split: split }, with: { network: { name: mlp, hidden: [4] }, patch: { frames: 20 }, epochs: "${epochs}", batch: 4, seed: 1 } }
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
"#;

/// Changes after which the stages that read something of each kind run again.
const EDITS: [&str; 2] = ["--set epochs=3 --set text=two", "--set bands=12 --set clips=7"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort_by_key(|path| (path.extension().map(ToOwned::to_owned), path.clone()));
    files
}

/// Spoils every file of a bucket.
fn spoil(bucket: &Path, how: &str) {
    let paths = files(bucket);
    let before: Vec<Vec<u8>> = paths.iter().map(|path| fs_err::read(path).unwrap()).collect();
    for (number, path) in paths.iter().enumerate() {
        let mut bytes = before[number].clone();
        let middle = bytes.len() / 2;
        match how {
            "flipped" => bytes[middle] ^= 1 << (number % 8),
            "cut" => bytes.truncate(middle),
            "swapped" => {
                // Another whole file, of the same form if there is one.
                let same = |other: &&usize| paths[**other].extension() == path.extension();
                let order: Vec<usize> = (1..paths.len()).map(|step| (number + step) % paths.len()).collect();
                bytes.clone_from(&before[*order.iter().find(same).unwrap_or(&order[0])]);
            }
            _ => {
                fs_err::remove_file(path).unwrap();
                continue;
            }
        }
        fs_err::write(path, bytes).unwrap();
    }
}

fn outputs(sandbox: &Sandbox, edit: &str, cache: &str) -> Vec<serde_json::Value> {
    let plan = sandbox.ok(&format!("plan damage.yaml {edit} --all --format json --cache {cache}"));
    plan.json().into_iter().map(|line| line["outputs"].clone()).collect()
}

#[test]
fn damage_of_every_kind_is_noticed_repaired_and_said_once() {
    let sandbox = Sandbox::new().file("damage.yaml", PIPELINE);
    sandbox.ok("run damage.yaml --cache whole");
    for edit in EDITS {
        sandbox.ok(&format!("run damage.yaml {edit} --cache clean"));
    }
    let copy = |from: &str, to: &str| {
        let _ = fs_err::remove_dir_all(sandbox.path(to));
        let status = std::process::Command::new("cp")
            .arg("-a")
            .args([sandbox.path(from), sandbox.path(to)])
            .status()
            .unwrap();
        assert!(status.success());
    };
    for bucket in ["files-v1", "artefacts-v1", "records-v1", "rows-v3"] {
        for how in ["flipped", "cut", "swapped", "missing"] {
            let mut said = 0;
            for edit in EDITS {
                copy("whole", "spoilt");
                spoil(&sandbox.path("spoilt").join(bucket), how);
                let what = format!("{how} {bucket} {edit}");
                if how != "missing" {
                    let verify = sandbox.ends("cache verify --cache spoilt", 1);
                    let place = format!("[DIR]/spoilt/{bucket}/");
                    let told = verify.stdout.lines().filter(|line| line.starts_with(&place)).count();
                    assert_eq!(told, files(&sandbox.path("spoilt").join(bucket)).len(), "{what}\n{verify}");
                }
                let ran = sandbox.ok(&format!("run damage.yaml {edit} --cache spoilt"));
                let mut warnings: Vec<&str> =
                    ran.stderr.lines().filter(|line| line.contains("warning")).collect();
                let count = warnings.len();
                said += count;
                warnings.sort_unstable();
                warnings.dedup();
                assert_eq!(warnings.len(), count, "{what}: said twice\n{ran}");
                assert_eq!(outputs(&sandbox, edit, "spoilt"), outputs(&sandbox, edit, "clean"), "{what}");
                // What is left is as it should be, and nothing is said again.
                let again = sandbox.ok(&format!("run damage.yaml {edit} --cache spoilt"));
                assert!(!again.stderr.contains("warning"), "{what}: {again}");
                assert!(again.stderr.contains(" 0 ran"), "{what}: {again}");
            }
            assert!(how == "missing" || said > 0, "{how} {bucket}: nothing was said");
        }
    }
}
