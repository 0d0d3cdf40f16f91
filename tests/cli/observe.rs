//! Records of runs, their comparison, traces, and stages that are run again to be compared.

use serde_json::Value;

use crate::sandbox::{Sandbox, check, check_costs};

#[test]
fn a_run_is_shown_with_what_its_stages_took() {
    let sandbox = Sandbox::toy();
    sandbox.edit("toy.yaml", "wc -c < {in.text} > {out.number}", "echo it went wrong >&2; exit 3");
    sandbox.ends("run toy.yaml --jobs 1", 1);
    check_costs("runs_show", sandbox.ok("runs show last"));
    let stages = sandbox.ok("runs show last --format json").json()[0]["stages"].clone();
    let of =
        |name: &str| stages.as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap().clone();
    let usage = |name: &str, field: &str| of(name)["usage"][field].as_f64().unwrap();
    assert!(usage("words", "cpu_seconds") > 0.0 && usage("words", "peak_bytes") > 1e6, "{stages}");
    assert!(usage("words", "written_bytes") > 0.0 && usage("copy", "read_bytes") >= 6.0, "{stages}");
    assert_eq!(of("count")["log"], serde_json::json!(["it went wrong"]));
    assert!(of("count")["seconds"].as_f64().unwrap() > 0.0, "a failure took time");
    sandbox.ends("runs show last~7", 2);
    sandbox.ends("runs show 1999", 2);
}

/// A small experiment on synthesised sounds, down to its metrics.
pub const MEASURED: &str = r#"version: 1
name: measured
params: { rate: 8000, bands: 16 }
stages:
  clips: { uses: dataset.synth, with: { classes: 2, clips_per_class: 6, seconds: 0.5, sample_rate: 8000, seed: 3 } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: "${rate}" } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: "${bands}", window_ms: 32, hop_ms: 10, n_fft: 256, high_hz: 3000 } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.5, val: 0, seed: 1 } }
  model: { uses: train, in: { features: mel, labels: clips.labels, split: split }, with: { network: { name: mlp, hidden: [4] }, patch: { frames: 20 }, epochs: 2, batch: 4, seed: 1 } }
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
  eval: { uses: evaluate, in: { scores: scores, labels: clips.labels } }
"#;

#[test]
fn two_runs_are_compared() {
    let sandbox = Sandbox::new().file("measured.yaml", MEASURED);
    check("diff_none", sandbox.ends("diff last~1 last", 1));
    sandbox.ok("run measured.yaml");
    check("diff_one", sandbox.ends("diff last~1 last", 2));
    sandbox.edit("measured.yaml", "seed: 1 } }\n  scores", "seed: 2 } }\n  scores");
    sandbox.edit("measured.yaml", "  split:", "  fine: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: 8, window_ms: 32, hop_ms: 10, n_fft: 256, high_hz: 3000 } }\n  split:");
    sandbox.ok("run measured.yaml --set bands=12");
    let text = sandbox.ok("diff last~1 last");
    for part in [
        "set       bands: unset -> 12",
        "\nmel\n  bands: 16 -> 12",
        "  seed: 1 -> 2",
        "  input features: values changed",
        "only in the second: fine",
        "8 stages: 3 the same, 4 changed",
    ] {
        assert!(text.stdout.contains(part), "no `{part}` in\n{text}");
    }
    let lines = sandbox.ok("diff last~1 last --format json").json();
    assert_eq!(
        (&lines[0]["event"], &lines[0]["set"]),
        (&"runs".into(), &serde_json::json!([["bands", [null, "12"]]]))
    );
    let done = lines.last().unwrap();
    let counts = ["same", "changed", "added", "removed"].map(|name| done[name].as_u64().unwrap());
    assert_eq!(counts, [3, 4, 1, 0]);
    let mel = lines.iter().find(|line| line["stage"] == "mel").unwrap();
    assert_eq!(
        mel["changes"][0],
        serde_json::json!({ "change": "param", "name": "bands", "old": "16", "new": "12" })
    );
    let eval = lines.iter().find(|line| line["stage"] == "eval").unwrap();
    let metrics = eval["metrics"].as_array().unwrap();
    assert!(metrics.iter().all(|metric| metric["old"] != metric["new"]), "{eval}");
    let none = sandbox.ok("diff last last");
    assert!(none.stdout.ends_with("8 stages: 8 the same, 0 changed\n"), "{none}");
}

#[test]
fn a_trace_holds_every_stage_that_ran() {
    let sandbox = Sandbox::toy();
    sandbox.ok("run toy.yaml --trace trace.json");
    let text = fs_err::read_to_string(sandbox.path("trace.json")).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    assert_eq!(
        of("B").map(|event| event["name"].as_str().unwrap()).collect::<std::collections::BTreeSet<_>>().len(),
        3
    );
    for end in of("E") {
        let begin =
            of("B").find(|begin| begin["tid"] == end["tid"] && begin["ts"].as_f64() <= end["ts"].as_f64());
        assert!(
            begin.is_some()
                && end["args"]["status"] == "ran"
                && end["args"]["usage"]["written_bytes"].is_u64(),
            "{end}"
        );
    }
    assert!(events.iter().all(|event| event["pid"] == 1), "{text}");
    let ran = sandbox.ends("run toy.yaml --trace no/such/folder/t.json", 2);
    assert!(ran.stderr.contains("no/such/folder") && ran.stderr.contains("--trace"), "{ran}");
    let ran = sandbox.ends("run toy.yaml --log-file no/such/folder/log", 2);
    assert!(ran.stderr.contains("no/such/folder") && ran.stderr.contains("--log-file"), "{ran}");
    let log = sandbox.ok("run toy.yaml --force copy --log debug");
    assert!(
        log.stderr.contains("`copy` starts: forced") && log.stderr.contains("`words` is cached"),
        "{log}"
    );
}

/// Everything in the cache with its bytes and times.
fn state(sandbox: &Sandbox) -> Vec<String> {
    let list = std::process::Command::new("find")
        .args([".sndpipe", "-type", "f", "-not", "-path", "*/writers-v1/*", "-printf", "%p %s %T@\n"])
        .current_dir(sandbox.path("."))
        .output()
        .unwrap();
    let mut lines: Vec<String> = String::from_utf8(list.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_stage_is_run_again_and_compared() {
    let sandbox = Sandbox::new().file("measured.yaml", MEASURED);
    let never = sandbox.ends("cache verify --rerun measured.yaml mel", 1);
    check("rerun_never", never);
    sandbox.ok("run measured.yaml");
    let before = state(&sandbox);
    for stage in ["clips", "mel", "split", "model", "scores", "eval"] {
        let ran = sandbox.ok(&format!("cache verify --rerun measured.yaml {stage}"));
        assert!(ran.stdout.contains("the same"), "{ran}");
    }
    sandbox.ends("cache verify --rerun measured.yaml nothing", 2);
    sandbox.ends("cache verify --rerun measured.yaml", 2);
    sandbox.ends("cache verify --set bands=3", 2);
    assert_eq!(state(&sandbox), before, "nothing in the cache changes");

    sandbox.write(
        "time.yaml",
        "version: 1\nname: time\nstages:\n  now: { uses: command, with: { program: [sh, -c, 'date +stamp:%s.%N > {out.x}; echo constant > {out.y}'], outputs: { x: file, y: file } } }\n",
    );
    sandbox.ok("run time.yaml");
    let before = state(&sandbox);
    let ran = sandbox.ends("cache verify --rerun time.yaml now", 1);
    assert!(ran.stdout.contains("now.x: byte ") && ran.stdout.contains("now.y: the same"), "{ran}");
    assert!(ran.stderr.contains("1 of 2 outputs of `now` came out different"), "{ran}");
    let lines = sandbox.ends("cache verify --rerun time.yaml now --format json", 1).json();
    assert!(
        lines[0]["same"] == false && lines[0]["difference"]["place"].as_str().unwrap().starts_with("byte "),
        "{lines:?}"
    );
    assert_eq!(lines[2], serde_json::json!({ "event": "done", "outputs": 2, "differing": 1 }));
    assert_eq!(state(&sandbox), before, "nothing in the cache changes");

    // Damage that nobody has read yet.
    let shown = sandbox.ok("show measured.yaml split --format json").json();
    let file = sandbox.path(&shown[0]["files"][0]["path"].as_str().unwrap().replace("[DIR]/", ""));
    let mut bytes = fs_err::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&file, bytes).unwrap();
    let ran = sandbox.ends("cache verify --rerun measured.yaml split", 1);
    assert!(ran.stdout.contains("its checksum does not match in the cache, as it was written now"), "{ran}");
    let ran = sandbox.ends("cache verify --rerun measured.yaml model", 1);
    assert!(ran.stderr.contains("an input of `model` is damaged"), "{ran}");
}
