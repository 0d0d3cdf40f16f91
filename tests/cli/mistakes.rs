//! Broken pipelines and broken data through the whole program: the exit code, the place and the way out of each are a snapshot.

use crate::sandbox::{Sandbox, check, tone};

/// Decodes what a CSV lists and makes spectrograms of it.
const PIPELINE: &str = r#"version: 1
name: sounds
params: { bands: 16 }
matrix: { fold: [1, 2] }
stages:
  clips: { uses: dataset.csv, with: { manifest: clips.csv, fold: fold } }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000 } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: "${bands}" } }
  split: { uses: split.folds, in: clips, with: { test: "${fold}", val: none } }
  model: { uses: train, in: { features: mel, labels: clips.labels, split: split }, with: { network: mlp, epochs: 1, patch: { frames: 16 } } }
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
"#;

const CSV: &str = "path,class,fold\na.wav,x,1\nb.wav,y,1\nc.wav,x,2\nd.wav,y,2\n";

pub fn sounds() -> Sandbox {
    let sandbox = Sandbox::new().file("sounds.yaml", PIPELINE).file("clips.csv", CSV);
    for (name, hertz) in [("a", 300.0), ("b", 900.0), ("c", 400.0), ("d", 1000.0)] {
        tone(&sandbox.path(&format!("{name}.wav")), hertz, 0.5);
    }
    sandbox
}

/// The pipeline with one text replaced by another is refused before anything runs.
#[track_caller]
fn refused(name: &str, from: &str, to: &str) {
    let sandbox = sounds();
    sandbox.edit("sounds.yaml", from, to);
    let ran = sandbox.ends("run sounds.yaml", 2);
    assert!(ran.stdout.is_empty(), "{ran}");
    check(&format!("mistake_{name}"), ran);
}

#[test]
fn broken_pipelines_are_refused_at_their_place() {
    refused("bad_yaml", "with: { test: \"${fold}\", val: none } }", "with: { test: \"${fold}\", val: none ");
    refused("tab", "  audio: {", "\taudio: {");
    refused("no_version", "version: 1\n", "");
    refused("other_version", "version: 1", "version: 7");
    refused("stage_kind", "uses: decode", "uses: decod");
    refused("duplicate_stage", "  mel: {", "  audio: {");
    refused("unknown_key", "name: sounds", "title: sounds");
    refused("unknown_parameter", "sample_rate: 8000", "samplerate: 8000");
    refused("wrong_type", "sample_rate: 8000", "sample_rate: fast");
    refused("out_of_range", "epochs: 1", "epochs: 1000001");
    refused("out_of_range_reference", "bands: 16 }", "bands: 0 }");
    refused("missing_parameter", "test: \"${fold}\", ", "");
    refused("unknown_reference", "in: audio", "in: audoi");
    refused("unknown_output", "labels: clips.labels", "labels: clips.lables");
    refused("wrong_kind", "features: mel, labels", "features: audio, labels");
    refused("unconnected", ", split: split }, with: { network", " }, with: { network");
    refused("cycle", "decode, in: clips", "decode, in: mel");
    refused("unused_parameter", "bands: \"${bands}\"", "bands: 16");
    refused("unused_axis", "test: \"${fold}\"", "test: 1");
    refused("unknown_name", "\"${bands}\"", "\"${band}\"");
    refused(
        "early_stopping_without_validation",
        "epochs: 1",
        "epochs: 2, early_stopping: { metric: accuracy, patience: 1 }",
    );
    refused("frequencies_beyond_the_rate", "bands: \"${bands}\"", "bands: \"${bands}\", high_hz: 9000");
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "version: 1\nname: bomb\nparams:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let alias = format!("*a{}", n - 1);
        text.push_str(&format!("  a{n}: &a{n} [{}]\n", vec![alias; 10].join(", ")));
    }
    text.push_str("stages: {}\n");
    let sandbox = Sandbox::new().file("bomb.yaml", &text);
    check("mistake_alias_bomb", sandbox.ends("run bomb.yaml", 2));
}

/// A data set that is wrong is refused before anything runs.
#[track_caller]
fn refused_data(name: &str, spoil: impl Fn(&Sandbox)) {
    let sandbox = sounds();
    spoil(&sandbox);
    check(&format!("data_{name}"), sandbox.ends("run sounds.yaml", 2));
}

#[test]
fn broken_data_sets_are_refused_before_anything_runs() {
    refused_data("missing_csv", |sandbox| fs_err::remove_file(sandbox.path("clips.csv")).unwrap());
    refused_data("empty_csv", |sandbox| sandbox.write("clips.csv", "path,class,fold\n"));
    refused_data("missing_column", |sandbox| sandbox.write("clips.csv", CSV.replace("class", "klass")));
    refused_data("duplicate_ids", |sandbox| sandbox.write("clips.csv", format!("{CSV}a.wav,y,1\n")));
    refused_data("ragged", |sandbox| sandbox.write("clips.csv", format!("{CSV}e.wav,y\n")));
    refused_data("semicolons", |sandbox| sandbox.write("clips.csv", CSV.replace(',', ";")));
    refused_data("missing_file", |sandbox| fs_err::remove_file(sandbox.path("b.wav")).unwrap());
    refused_data("outside", |sandbox| {
        sandbox.write("clips.csv", format!("{CSV}../e.wav,y,1\n/etc/passwd,y,1\nsub/../../f.wav,y,2\n"));
    });
    refused_data("link_outside", |sandbox| {
        fs_err::remove_file(sandbox.path("b.wav")).unwrap();
        fs_err::os::unix::fs::symlink("/etc/passwd", sandbox.path("b.wav")).unwrap();
    });
    refused_data("fold", |sandbox| sandbox.write("clips.csv", CSV.replace("x,2", "x,two")));
}

/// A file that cannot be decoded fails its stage and is named; the good ones are kept.
#[track_caller]
fn undecodable(name: &str, bytes: &[u8]) {
    let sandbox = sounds();
    sandbox.write("b.wav", bytes);
    let ran = sandbox.ends("run sounds.yaml audio", 1);
    assert!(ran.stderr.contains("b.wav"), "{ran}");
    let failed: Vec<&str> = ran
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with('×'))
        .take_while(|line| !line.is_empty())
        .collect();
    check(&format!("decode_{name}"), failed.join("\n"));
    // Mended, it runs, and only this file is decoded anew.
    tone(&sandbox.path("b.wav"), 900.0, 0.5);
    let lines = sandbox.ok("run sounds.yaml audio --format json").json();
    let audio = lines.iter().find(|line| line["stage"] == "audio").unwrap();
    assert_eq!((&audio["rows_computed"], &audio["rows_reused"]), (&1.into(), &3.into()));
}

#[test]
fn files_that_cannot_be_decoded_are_named() {
    let sandbox = sounds();
    let whole = fs_err::read(sandbox.path("b.wav")).unwrap();
    let header = |rate: u32, seconds: u32| {
        let mut bytes = whole[..44].to_vec();
        let data = rate.saturating_mul(2).saturating_mul(seconds);
        bytes[24..28].copy_from_slice(&rate.to_le_bytes());
        bytes[40..44].copy_from_slice(&data.to_le_bytes());
        bytes[4..8].copy_from_slice(&data.saturating_add(36).to_le_bytes());
        bytes
    };
    undecodable("text_renamed", b"this is a text and no sound at all, whatever its name says\n");
    undecodable("empty", b"");
    undecodable("truncated", &whole[..whole.len() / 2]);
    undecodable("no_samples", &header(8000, 0));
    undecodable("ten_hours", &header(8000, 36_000));
    undecodable("absurd_rate", &header(4_000_000_000, 1));
    let mut channels = whole.clone();
    channels[22..24].copy_from_slice(&60_000u16.to_le_bytes());
    undecodable("absurd_channels", &channels);
    undecodable("not_a_number", &not_a_number());
}

/// A float wav file with a NaN in it.
fn not_a_number() -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for n in 0..4000 {
        writer.write_sample(if n == 7 { f32::NAN } else { 0.1 }).unwrap();
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

#[test]
fn what_is_skipped_is_told_and_kept() {
    let sandbox = sounds();
    sandbox.write("b.wav", "no sound");
    sandbox.edit("sounds.yaml", "sample_rate: 8000", "sample_rate: 8000, on_error: skip");
    let ran = sandbox.ok("run sounds.yaml audio");
    assert!(ran.stderr.contains("1 of 4 clips skipped") && ran.stderr.contains("b.wav"), "{ran}");
    let shown = sandbox.ok("show sounds.yaml audio");
    assert!(shown.stdout.contains("b.wav"), "{shown}");
}
