//! From wav files to a table: what `show`, `table`, `predict` and `cache` say about it.

use crate::sandbox::{Sandbox, check, tone};

const PIPELINE: &str = r#"version: 1
name: tones
matrix: { fold: [1, 2] }
stages:
  clips: { uses: dataset.csv, with: { manifest: clips.csv, fold: fold } }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000, remove_mean: false, normalise: none } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: 16 } }
  split: { uses: split.folds, in: clips, with: { test: "${fold}", val: none } }
  model:
    uses: train
    in: { features: mel, labels: clips.labels, split: split }
    with: { network: mlp, loss: { name: cce }, epochs: 2, seed: 0, patch: { frames: 16 } }
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
  eval: { uses: evaluate, in: { scores: scores, labels: clips.labels } }
  table: { uses: table, in: { metrics: { from: eval, collect: [fold] } }, with: { over: [fold], metric: accuracy } }
"#;

fn tones() -> Sandbox {
    let sandbox = Sandbox::new().file("tones.yaml", PIPELINE);
    let mut csv = "path,class,fold\n".to_owned();
    for fold in 1..=2 {
        for (class, hertz) in [("low", 300.0), ("high", 2500.0)] {
            for take in 0..2 {
                let name = format!("{class}-{fold}-{take}.wav");
                tone(&sandbox.path(&name), hertz + 20.0 * take as f32 + 50.0 * fold as f32, 0.8);
                csv.push_str(&format!("{name},{class},{fold}\n"));
            }
        }
    }
    sandbox.write("clips.csv", csv);
    sandbox
}

#[test]
fn a_real_pipeline_from_files_to_a_table() {
    let sandbox = tones();
    check("graph_text", sandbox.ok("graph tones.yaml"));
    check("graph_dot", sandbox.ok("graph tones.yaml --format dot"));
    check("graph_mermaid", sandbox.ok("graph tones.yaml --format mermaid --cells"));
    check("table_not_yet", sandbox.ends("table tones.yaml", 1));

    let first = sandbox.ok("run tones.yaml");
    assert!(first.stdout.contains("accuracy"), "the table is on standard output\n{first}");
    let table = sandbox.ok("table tones.yaml");
    assert_eq!(table.stdout, first.stdout);
    assert!(table.stderr.is_empty(), "{table}");
    let again = sandbox.ok("run tones.yaml");
    assert_eq!(again.stdout, first.stdout);
    assert!(again.stderr.starts_with("12 stages: 0 ran, 12 cached"), "{again}");
    let rows = sandbox.ok("table tones.yaml --format json").json();
    assert!((0.0..=1.0).contains(&rows[0]["mean"].as_f64().unwrap()), "metrics are fractions: {rows:?}");
    for format in ["markdown", "latex", "csv"] {
        assert!(sandbox.ok(&format!("table tones.yaml --format {format}")).stdout.contains("accuracy"));
    }

    for (name, stage) in [("clips", "clips"), ("audio", "audio"), ("mel", "mel"), ("labels", "clips.labels")]
    {
        let shown = sandbox.ok(&format!("show tones.yaml {stage} --rows 2"));
        assert!(shown.stdout.contains("high-1-0.wav") || name == "labels", "{shown}");
        let json = sandbox.ok(&format!("show tones.yaml {stage} --format json")).json();
        assert_eq!(json[0]["rows"], 8, "{json:?}");
        assert_eq!(json[0]["current"], true);
    }
    let model = sandbox.ok("show tones.yaml model[fold=1]");
    assert!(model.stdout.contains("tensor"), "{model}");

    exports(&sandbox);
    predictions(&sandbox);
    damage(&sandbox);
    mistakes(&sandbox);
}

fn exports(sandbox: &Sandbox) {
    for (line, files) in [
        ("clips", &["clips.parquet"][..]),
        ("clips --as csv", &["clips.csv"]),
        ("mel", &["mel.arrow"]),
        ("mel --as npy", &["mel.npy", "mel.clip_id.txt"]),
        ("audio --as wav", &["audio"]),
        ("model[fold=1]", &["model_fold=1.safetensors"]),
        ("model.history[fold=2]", &["model_fold=2.history.parquet"]),
    ] {
        let line = format!("show tones.yaml {line} --export out");
        let ran = sandbox.ok(&line);
        let expected: Vec<String> = files.iter().map(|file| format!("out/{file}")).collect();
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected, "{ran}");
        let refused = sandbox.ends(&line, 2);
        assert!(refused.stderr.contains("exists already"), "{refused}");
        sandbox.ok(&format!("{line} --overwrite"));
    }
    sandbox.ends("show tones.yaml clips --export out --as npy", 2);

    // The exported wav holds the samples of the file, which are 16-bit integers.
    let (mut ours, mut theirs) = (
        hound::WavReader::open(sandbox.path("out/audio/low-1-0.wav")).unwrap(),
        hound::WavReader::open(sandbox.path("low-1-0.wav")).unwrap(),
    );
    let ours: Vec<f32> = ours.samples::<f32>().map(Result::unwrap).collect();
    let theirs: Vec<f32> =
        theirs.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32768.0).collect();
    assert_eq!(ours.len(), 6400);
    let furthest = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest < 1e-6, "samples differ by {furthest}: {:?} and {:?}", &ours[..8], &theirs[..8]);

    // A numpy file: 8 clips of the same length, 16 bands, single precision.
    let npy = fs_err::read(sandbox.path("out/mel.npy")).unwrap();
    let header = String::from_utf8_lossy(&npy[10..128]).into_owned();
    let frames: usize = header.split("(8, ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(header.contains(", 16)") && frames > 10, "{header}");
    assert_eq!(npy.len(), 128 + 8 * frames * 16 * 4);
    let ids = fs_err::read_to_string(sandbox.path("out/mel.clip_id.txt")).unwrap();
    assert_eq!((ids.lines().count(), ids.lines().next()), (8, Some("high-1-0.wav")));
}

fn predictions(sandbox: &Sandbox) {
    let one =
        sandbox.ok("predict out/model_fold=1.safetensors low-1-0.wav high-1-0.wav --format json").json();
    assert_eq!(one.len(), 2);
    assert_eq!(one[0]["path"], "high-1-0.wav");
    let scores: Vec<f64> =
        one[0]["scores"].as_object().unwrap().values().map(|score| score.as_f64().unwrap()).collect();
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-4, "a softmax adds up to one: {scores:?}");
    let cached = sandbox.ok("predict tones.yaml:model[fold=1] low-1-0.wav high-1-0.wav --format json").json();
    assert_eq!(cached, one);
    let csv = sandbox.ok("predict out/model_fold=1.safetensors . --top 1 --format csv");
    assert!(csv.stdout.starts_with("path,class,score\n"), "{csv}");
    // A folder of a recorder: what can be used has its scores, and everything else is told.
    for name in ["recorder/night/a.WAV", "recorder/c d.wav"] {
        fs_err::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
        fs_err::copy(sandbox.path("low-1-0.wav"), sandbox.path(name)).unwrap();
    }
    for name in ["b.wav", "night/e.flac", "notes.txt", "x.log", ".hidden.wav", "Thumbs.db"] {
        fs_err::write(sandbox.path("recorder").join(name), "no sound").unwrap();
    }
    for (format, lines) in [("json", 2), ("csv", 5), ("text", 2)] {
        let ran =
            sandbox.ends(&format!("predict out/model_fold=1.safetensors recorder --format {format}"), 1);
        assert_eq!(ran.stdout.lines().count(), lines, "{ran}");
        for good in ["recorder/night/a.WAV", "recorder/c d.wav"] {
            assert!(ran.stdout.contains(good) && !ran.stderr.contains(good), "{ran}");
        }
        for told in [
            "error: recorder/b.wav: a text file, not audio",
            "error: recorder/night/e.flac: a text file, not audio",
            "2 of 4 files cannot be used",
            "recorder: 2 files with other extensions are not used: 1 .log, 1 .txt",
        ] {
            assert!(ran.stderr.contains(told), "{told}: {ran}");
        }
        assert!(!ran.stderr.contains("hidden") && !ran.stderr.contains("Thumbs"), "{ran}");
    }
    sandbox.ends("predict out/nothing.safetensors low-1-0.wav", 2);
    sandbox.ends("predict tones.yaml:model low-1-0.wav", 2);
    sandbox.ends("predict tones.yaml:mel low-1-0.wav", 2);
    sandbox.ends("predict out/model_fold=1.safetensors nowhere.wav", 2);
}

fn damage(sandbox: &Sandbox) {
    let stats = sandbox.ok("cache stats --format json").json();
    assert_eq!(stats[0]["kinds"]["model"]["artefacts"], 2);
    assert!(sandbox.ok("cache stats").stdout.contains("model"));
    sandbox.ok("cache verify");
    let shown = sandbox.ok("show tones.yaml clips --format json").json();
    let file = shown[0]["files"][0]["path"].as_str().unwrap().to_owned();
    let path = sandbox.path(&file.replace("[DIR]/", ""));
    let mut bytes = fs_err::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    let verify = sandbox.ends("cache verify --format json", 1).json();
    assert_eq!((verify.len(), verify[1]["faults"].as_u64()), (2, Some(1)), "{verify:?}");
    sandbox.ends("cache verify", 1);
    let repair = sandbox.ends("cache verify --repair", 1).stderr;
    assert!(repair.contains("they were removed"), "{repair}");
    sandbox.ok("cache verify");
}

/// One clip that is no audio: the stage fails, says which clip, and an older result can still be looked at.
fn mistakes(sandbox: &Sandbox) {
    sandbox.write("low-1-0.wav", "this is text");
    let failed = sandbox.ends("run tones.yaml", 1);
    assert!(failed.stderr.contains("low-1-0.wav"), "{failed}");
    let table = sandbox.ok("table tones.yaml");
    assert!(table.stderr.contains("not up to date"), "{table}");
}
