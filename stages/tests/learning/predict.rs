//! A model on audio files gives what the stages give.

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::json;
use sndpipe_cache::{Row, Values};
use sndpipe_stages::artefacts::audio::{AudioMeta, DecodeParams};
use sndpipe_stages::artefacts::{Labels, State};
use sndpipe_stages::artefacts::{Split, Subset};
use sndpipe_stages::audio::{decode, prepare};
use sndpipe_stages::learn::predict::predict;

use crate::bench::{Bench, CLASSES, Task, small};

const RATE: u32 = 16_000;

/// A second of a tone of its class's frequency.
fn tone(path: &PathBuf, class: usize, phase: f64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).unwrap();
    let step = std::f64::consts::TAU * [300.0, 1200.0, 4000.0][class] / f64::from(RATE);
    for sample in 0..RATE {
        file.write_sample((f64::from(sample).mul_add(step, phase).sin() * 12_000.0) as i16).unwrap();
    }
    file.finalize().unwrap();
}

#[test]
fn a_file_gets_the_scores_of_the_pipeline() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let params = DecodeParams { sample_rate: 8000, ..DecodeParams::default() };
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    let (mut labels, mut split) = (Labels::default(), Split::default());
    labels.classes = CLASSES.map(str::to_owned).to_vec();
    for clip in 0..12 {
        let (id, class) = (format!("{clip:02}.wav"), clip % CLASSES.len());
        let path = folder.path().join(&id);
        tone(&path, class, clip as f64);
        let bytes = fs_err::read(&path).unwrap();
        let samples = prepare(decode(&bytes, &params.limits()).unwrap(), &params).into_planar();
        rows.push((id.clone(), Row { frames: samples.len() as u32, values: Values::F32(samples) }));
        files.push(path);
        labels.clips.insert(id.clone(), [(class, State::Present)].into());
        split.clips.insert(id, if clip < 9 { Subset::Train } else { Subset::Test });
    }
    let audio = bench.rows("audio", AudioMeta::of(&params).unwrap(), rows);
    let with = json!({ "kind": "log_mel", "bands": 24 });
    let features = bench.run("spectrogram", with, &[("audio", &audio)]).outputs.remove(0);
    let (labels, split) = (bench.labels(&labels), bench.split(&split));
    let wires = [("features", &features), ("labels", &labels), ("split", &split)];
    let model = bench
        .run("train", small(json!({ "epochs": 4, "patch": { "frames": 20 } })), &wires)
        .outputs
        .remove(0);
    let scores =
        bench.run("score", json!({}), &[("features", &features), ("model", &model), ("split", &split)]);

    let progress = RefCell::new(Vec::new());
    let bytes = bench.store.read_blob(&model).unwrap();
    let predictions =
        predict(&bytes, &files[9..], &|done, all| progress.borrow_mut().push((done, all))).unwrap();
    let rows = bench.store.open_rows(&scores.outputs[0]).unwrap();
    for (position, prediction) in predictions.iter().enumerate() {
        assert_eq!(prediction.path, files[9 + position]);
        let expected: Vec<(String, f32)> = CLASSES
            .into_iter()
            .map(str::to_owned)
            .zip(rows.row(position).unwrap().to_f32().iter().copied())
            .collect();
        assert_eq!(prediction.result.as_ref().unwrap().classes, expected);
    }
    assert_eq!(progress.borrow().last(), Some(&(3, 3)));

    // Files that cannot be used leave the scores of the others as they are.
    let at = |name: &str| folder.path().join(name);
    fs_err::write(at("text.wav"), "no sound").unwrap();
    let all = [at("missing.wav"), files[9].clone(), at("text.wav"), files[10].clone()];
    let mixed = predict(&bytes, &all, &|_, _| {}).unwrap();
    assert_eq!([&mixed[1], &mixed[3]], [&predictions[0], &predictions[1]]);
    let reason = |at: usize| mixed[at].result.as_ref().unwrap_err();
    assert!(reason(0).contains("missing.wav"), "{}", reason(0));
    assert!(reason(2).contains("not audio"), "{}", reason(2));
}

#[test]
fn a_model_without_a_recipe_is_refused() {
    let bench = Bench::new();
    let written = Task::new(20).train(&bench, small(json!({ "epochs": 1 })));
    let error = predict(&bench.model(&written), &[], &|_, _| {}).unwrap_err().to_string();
    assert_eq!(
        error,
        "the model does not say how its features come from a file: the recipe has no spectrogram"
    );
    let error = predict(b"no model", &[], &|_, _| {}).unwrap_err().to_string();
    assert!(error.starts_with("not a checkpoint of sndpipe"), "{error}");
}
