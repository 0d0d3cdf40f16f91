//! Trainings on waveforms that are changed, and on patches that are.

use serde_json::{Value, json};
use sndpipe_cache::{Digest, Manifest, Meta, Row, Values};
use sndpipe_engine::{Axes, StageError, Written};
use sndpipe_random::Stream;
use sndpipe_stages::artefacts::Subset;

use crate::bench::{Bench, CLASSES, Run, Task, small};

/// Hz.
const RATE: u32 = 8000;

/// A task of sounds: each class has a tone of its own in noise; clips differ in length.
struct Sounds {
    clips: Vec<(String, Row)>,
    task: Task,
    spectrogram: Value,
}

impl Sounds {
    fn new(clips: usize) -> Self {
        let task = Task::new(clips);
        let stream = Stream::new(9, "sounds");
        let clip = |(i, (id, _)): (usize, &(String, Row))| {
            let mut rng = stream.at(0, i as u64);
            let count = 1500 + rng.index(2500);
            let hertz = [300.0, 900.0, 2200.0][i % CLASSES.len()];
            let sample = |n: usize| {
                let phase = std::f64::consts::TAU * hertz * n as f64 / f64::from(RATE);
                (0.4 * phase.sin()) as f32
            };
            let samples: Vec<f32> = (0..count).map(|n| sample(n) + 0.05 * rng.normal() as f32).collect();
            (id.clone(), Row { frames: count as u32, values: Values::F32(samples) })
        };
        let clips = task.rows.iter().enumerate().map(clip).collect();
        let spectrogram = json!({ "bands": 12, "window_ms": 32, "hop_ms": 16, "n_fft": 256, "low_hz": 100, "high_hz": 3500 });
        Self { clips, task, spectrogram }
    }

    /// The metadata of the audio.
    fn meta(rate: u32) -> Meta {
        let decode = json!({ "sample_rate": rate, "normalise": "peak", "length": null });
        Meta::from([
            ("sample_rate".to_owned(), rate.into()),
            ("channels".to_owned(), 1.into()),
            ("recipe".to_owned(), json!({ "decode": decode })),
        ])
    }

    fn audio(&self, bench: &Bench) -> Manifest {
        bench.rows("audio", Self::meta(RATE), self.clips.clone())
    }

    /// What a training reads, by port.
    fn put(&self, bench: &Bench) -> Vec<(&'static str, Manifest)> {
        let audio = self.audio(bench);
        let mel = bench.run("spectrogram", self.spectrogram.clone(), &[("audio", &audio)]);
        vec![
            ("features", mel.outputs[0].clone()),
            ("labels", bench.labels(&self.task.labels)),
            ("split", bench.split(&self.task.split)),
            ("audio", audio),
        ]
    }

    fn try_run(&self, bench: &Bench, stage: &str, with: &Value) -> Result<Written, StageError> {
        let inputs = self.put(bench);
        try_on(bench, stage, with, &inputs)
    }

    #[track_caller]
    fn run(&self, bench: &Bench, stage: &str, with: &Value) -> Written {
        self.try_run(bench, stage, with).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The model and the history of a training in a cache of its own.
    #[track_caller]
    fn fitted(&self, stage: &str, with: &Value) -> (Vec<u8>, Digest) {
        let bench = Bench::new();
        let written = self.run(&bench, stage, with);
        (bench.model(&written), written.outputs[1].id)
    }
}

/// Runs a stage on those of some inputs that it reads; the audio only where there are steps for it.
fn try_on(
    bench: &Bench,
    stage: &str,
    with: &Value,
    inputs: &[(&'static str, Manifest)],
) -> Result<Written, StageError> {
    let wires: Vec<(&str, &Manifest)> = inputs
        .iter()
        .filter(|(port, _)| *port != "audio" || with.get("waveform").is_some())
        .filter(|(port, _)| *port != "labels" || stage == "train")
        .map(|(port, manifest)| (*port, manifest))
        .collect();
    bench.try_run(stage, with.clone(), &wires)
}

fn with(base: &Value, changes: &Value) -> Value {
    let mut with = base.clone();
    changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
    with
}

/// A small training of a stage, with changes.
fn training(stage: &str, changes: &Value) -> Value {
    let base = match stage {
        "train" => small(json!({ "epochs": 4, "select": "best" })),
        _ => small(json!({ "epochs": 4, "head": { "name": "linear", "size": 8 } })),
    };
    with(&base, changes)
}

/// All steps for waveforms.
fn waveform() -> Value {
    json!(["time_inversion", "stretch", { "name": "pad_crop", "seconds": 0.3 }])
}

/// Trainings of every kind in which waveforms are changed.
fn varied() -> [(&'static str, Value); 5] {
    let mixup = json!({ "alpha": 0.3, "pairing": "inter" });
    [
        ("train", json!({ "waveform": waveform() })),
        (
            "train",
            json!({ "waveform": ["stretch"], "augment": ["mix_back", "crop"], "patches": "all", "mixup": mixup }),
        ),
        ("pretrain", json!({ "waveform": waveform(), "views": ["mix_back", "noise"] })),
        (
            "pretrain",
            json!({ "waveform": ["stretch"], "patches": { "name": "near", "frames": 3 }, "method": "instance" }),
        ),
        (
            "pretrain",
            json!({ "waveform": ["stretch"], "samplers": ["noise", "mixing", "proximity"], "method": "triplet" }),
        ),
    ]
}

#[test]
fn steps_that_change_nothing_give_the_bytes_of_stored_features() {
    let idle = json!([{ "name": "time_inversion", "probability": 0 }, { "name": "stretch", "factor": 1 }]);
    let mut sounds = Sounds::new(30);
    // Patches within clips and beyond them, stored in both forms, and images of three resolutions, too.
    let images = json!({ "kind": "three_resolution", "bands": 10, "windows_ms": [16, 32, 64], "hops_ms": [8, 16, 32] });
    let half = with(&sounds.spectrogram, &json!({ "storage": "f16" }));
    for (spectrogram, frames) in [(None, 8), (None, 60), (Some(half), 9), (Some(images), 7)] {
        if let Some(spectrogram) = spectrogram {
            sounds.spectrogram = spectrogram;
        }
        for (stage, changes) in [
            ("train", json!({})),
            ("train", json!({ "patches": "all", "augment": [{ "name": "crop", "aspect": [0.1, 2] }] })),
            ("pretrain", json!({ "views": ["mix_back"], "patches": { "name": "near", "frames": 2 } })),
        ] {
            let stored =
                with(&training(stage, &changes), &json!({ "patch": { "frames": frames }, "epochs": 2 }));
            let changed = with(&stored, &json!({ "waveform": idle }));
            assert!(sounds.fitted(stage, &stored) == sounds.fitted(stage, &changed), "{stage}: {changed}");
        }
    }
}

#[test]
fn any_number_of_threads_and_of_loader_workers_gives_the_same_bytes() {
    let sounds = Sounds::new(40);
    for (stage, changes) in varied() {
        let with = training(stage, &changes);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sounds.fitted(stage, &with))
        };
        let one = run(1);
        assert!(one == run(2) && one == run(4), "{stage}: {with}");
    }
}

#[test]
fn stopping_at_every_step_changes_nothing() {
    let sounds = Sounds::new(40);
    for (stage, changes) in varied() {
        let with = training(stage, &changes);
        let (expected, bench) = (sounds.fitted(stage, &with), Bench::new());
        let inputs = sounds.put(&bench);
        let wires: Vec<_> =
            inputs.iter().map(|(port, manifest)| (*port, vec![(Axes::new(), manifest)])).collect();
        let mut stops = 0;
        let written = loop {
            let run = Run { stop_at_progress: true, ..Run::default() };
            match bench.run_as("one training", stage, with.clone(), &wires, &run) {
                Ok(written) => break written,
                Err(StageError::Interrupted) => stops += 1,
                Err(other) => panic!("{other}"),
            }
            assert!(stops < 300, "the training makes no progress");
        };
        assert!(stops >= 6, "{stops} stops");
        assert!(expected == (bench.model(&written), written.outputs[1].id), "{stage}: {with}");
    }
}

#[test]
fn each_choice_changes_the_model() {
    let (bench, sounds) = (Bench::new(), Sounds::new(30));
    for (stage, more) in [("train", "augment"), ("pretrain", "views")] {
        let mut models = Vec::new();
        for changes in [
            json!({}),
            json!({ "waveform": ["time_inversion"] }),
            json!({ "waveform": ["stretch"] }),
            json!({ "waveform": [{ "name": "stretch", "factor": 1.5 }] }),
            json!({ "waveform": [{ "name": "pad_crop", "seconds": 0.3 }] }),
            json!({ "waveform": ["stretch", { "name": "pad_crop", "seconds": 0.3 }] }),
            json!({ "waveform": [{ "name": "pad_crop", "seconds": 0.3 }, "stretch"] }),
            json!({ "waveform": ["stretch"], "seed": 2 }),
            json!({ "waveform": ["stretch"], more: ["noise"] }),
            json!({ more: ["noise"] }),
            json!({ more: ["mix_back"] }),
        ] {
            models.push(bench.model(&sounds.run(&bench, stage, &training(stage, &changes))));
        }
        for (i, model) in models.iter().enumerate() {
            assert!(
                models[..i].iter().all(|other| other != model),
                "{stage}: number {i} is one of those before"
            );
        }
    }
}

#[test]
fn audio_beside_the_training_subset_never_reaches_the_model() {
    let (bench, sounds) = (Bench::new(), Sounds::new(40));
    let mut inputs = sounds.put(&bench);
    let changed = |train: bool| {
        let mut clips = sounds.clips.clone();
        for (id, row) in &mut clips {
            let Values::F32(samples) = &mut row.values else { unreachable!() };
            if (sounds.task.split.clips[id] == Subset::Train) == train {
                samples.iter_mut().for_each(|sample| *sample *= -0.5);
            }
        }
        bench.rows("audio", Sounds::meta(RATE), clips)
    };
    for (stage, changes) in varied() {
        let with = training(stage, &changes);
        let mut fitted = |audio: Manifest| {
            inputs[3].1 = audio;
            bench.model(&try_on(&bench, stage, &with, &inputs).unwrap())
        };
        let expected = fitted(sounds.audio(&bench));
        assert!(expected == fitted(changed(false)), "{stage}: {with}");
        assert!(expected != fitted(changed(true)), "{stage}: {with}");
    }
}

#[test]
fn classes_are_learnt_from_changed_waveforms() {
    let (bench, sounds) = (Bench::new(), Sounds::new(150));
    let changes = json!({
        "waveform": ["time_inversion", { "name": "stretch", "factor": 1.1 }], "augment": ["noise", "crop"], "epochs": 12, "select": "last",
    });
    let model = sounds.run(&bench, "train", &training("train", &changes));
    let inputs = sounds.put(&bench);
    let wires = [("features", &inputs[0].1), ("model", &model.outputs[0]), ("split", &inputs[2].1)];
    let scores = bench.run("score", json!({}), &wires);
    let wires = [("scores", &scores.outputs[0]), ("labels", &inputs[1].1)];
    let evaluation = bench.run("evaluate", json!({}), &wires);
    let accuracy = bench.metric(&evaluation.outputs[0], "accuracy").unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
}

#[test]
fn every_step_is_drawn_and_changes_something() {
    let (bench, sounds) = (Bench::new(), Sounds::new(20));
    let steps = [
        json!({ "name": "time_inversion", "probability": 1 }),
        json!({ "name": "stretch", "factor": 3 }),
        json!({ "name": "pad_crop", "seconds": 0.25 }),
    ];
    let with = json!({ "patch": { "frames": 8 }, "waveform": steps, "views": ["crop"], "clips": 3 });
    let draw = |with: &Value| {
        let bytes = bench.model(&sounds.run(&bench, "views", with));
        String::from_utf8(bytes).unwrap()
    };
    let svg = draw(&with);
    for name in ["cut", "time_inversion", "stretch", "pad_crop", "crop"] {
        assert_eq!(svg.matches(&format!(">{name}<")).count(), 6, "{name}");
    }
    let images: Vec<&str> = svg
        .split("<g transform")
        .skip(1)
        .map(|part| part.split_once("crispEdges\">").unwrap().1.split_once("</g>").unwrap().0)
        .collect();
    assert_eq!(images.len(), 6 * 5);
    for row in images.chunks(5) {
        assert!(row.windows(2).all(|pair| pair[0] != pair[1]));
    }
    assert_ne!(
        svg,
        draw(
            &json!({ "patch": { "frames": 8 }, "waveform": steps, "views": ["crop"], "clips": 3, "epoch": 2 })
        )
    );
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (bench, sounds) = (Bench::new(), Sounds::new(20));
    let inputs = sounds.put(&bench);
    let refused = |at: usize, manifest: Manifest| {
        let mut inputs = inputs.clone();
        inputs[at].1 = manifest;
        let with = json!({ "waveform": ["stretch"] });
        let said = |stage: &str| {
            try_on(&bench, stage, &training(stage, &with), &inputs).map(|_| ()).unwrap_err().to_string()
        };
        let error = said("train");
        assert_eq!(error, said("pretrain"));
        error
    };
    let audio = |meta: Meta| bench.rows("audio", meta, sounds.clips.clone());
    assert_eq!(
        refused(3, audio(Sounds::meta(16_000))),
        "the features were made of audio at 8000 Hz, and `audio` has 16000 Hz"
    );
    let mut two = Sounds::meta(RATE);
    two.insert("channels".to_owned(), 2.into());
    assert_eq!(refused(3, audio(two)), "the audio has 2 channels, a spectrogram is of one");
    let mut louder = Sounds::meta(RATE);
    louder.get_mut("recipe").unwrap()["decode"]["normalise"] = json!("none");
    let error = refused(3, audio(louder));
    assert!(
        error.starts_with("the features were made of audio that was made in another way than `audio`: {"),
        "{error}"
    );
    let few = bench.rows("audio", Sounds::meta(RATE), sounds.clips[1..].to_vec());
    assert_eq!(refused(3, few), "1 training clip has features and no audio (the first is `clip000`)");
    let mut empty = sounds.clips.clone();
    empty[1].1 = Row { frames: 0, values: Values::F32(Vec::new()) };
    assert_eq!(
        refused(3, bench.rows("audio", Sounds::meta(RATE), empty)),
        "clip `clip001`: the clip holds no samples"
    );
    let [made_up, ..] = sounds.task.put(&bench);
    assert_eq!(
        refused(0, made_up),
        "the features do not say how they were made of audio: the recipe has no spectrogram"
    );
    let mut other = inputs[0].1.meta.clone();
    other.get_mut("recipe").unwrap()["spectrogram"]["bands"] = json!(11);
    let rows = bench.store.open_rows(&inputs[0].1).unwrap();
    let row = |i: usize| {
        let row = rows.row(i).unwrap();
        (rows.ids()[i].to_owned(), Row { frames: row.frames, values: Values::F32(row.to_f32().into_owned()) })
    };
    let rows = (0..rows.ids().len()).map(row).collect();
    assert_eq!(
        refused(0, bench.rows("features", other, rows)),
        "the features do not say how they were made of audio: its recipe makes 1 x 11 numbers a frame (channels, bands), and they have 1 x 12"
    );
    // A length of its own is no other preparation.
    let mut longer = Sounds::meta(RATE);
    longer.get_mut("recipe").unwrap()["decode"]["length"] = json!({ "seconds": 9, "mode": "pad" });
    let mut inputs = inputs.clone();
    inputs[3].1 = audio(longer);
    assert!(
        try_on(&bench, "train", &training("train", &json!({ "waveform": ["stretch"] })), &inputs).is_ok()
    );
    let mut few = Sounds::new(5);
    few.task.split.clips.values_mut().take(2).for_each(|subset| *subset = Subset::Test);
    few.task.split.clips.values_mut().skip(2).for_each(|subset| *subset = Subset::Train);
    few.task.split.clips.values_mut().last().into_iter().for_each(|subset| *subset = Subset::Test);
    let error =
        few.try_run(&bench, "train", &small(json!({ "augment": ["mix_back"] }))).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "`mix_back` needs 3 training clips, and there are 2");
}
