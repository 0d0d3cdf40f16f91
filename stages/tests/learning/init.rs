//! Trainings that start from a model, and what they leave as it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sndpipe_cache::{Digest, Manifest};
use sndpipe_engine::{Axes, StageError, Written};
use sndpipe_stages::artefacts::Labels;

use crate::bench::{Bench, Run, Task, meta, small};

/// Trains from a model.
fn try_train(
    bench: &Bench,
    task: &Task,
    init: &Manifest,
    with: Value,
    run: &Run,
) -> Result<Written, StageError> {
    let [features, labels, split] = task.put(bench);
    let wires = [("features", &features), ("labels", &labels), ("split", &split), ("init", init)];
    let wires: Vec<_> =
        wires.into_iter().map(|(port, manifest)| (port, vec![(Axes::new(), manifest)])).collect();
    bench.run_as("from a model", "train", with, &wires, run)
}

#[track_caller]
fn train(bench: &Bench, task: &Task, init: &Manifest, with: Value) -> Written {
    try_train(bench, task, init, with, &Run::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The tensors of a model.
fn tensors(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    let data = |entry: &Value, end: usize| 8 + length + entry["data_offsets"][end].as_u64().unwrap() as usize;
    tensors.map(|(name, entry)| (name, bytes[data(&entry, 0)..data(&entry, 1)].to_vec())).collect()
}

fn pretrained(bench: &Bench, task: &Task) -> Manifest {
    task.train(bench, small(json!({ "epochs": 6 }))).outputs.remove(0)
}

#[test]
fn a_frozen_encoder_is_that_of_the_model() {
    let bench = Bench::new();
    let task = Task::new(40);
    let model = pretrained(&bench, &task);
    let from = tensors(&bench.store.read_blob(&model).unwrap());
    let with = |changes: Value| {
        let mut with = small(json!({ "epochs": 2, "seed": 9 }));
        changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
        with
    };
    let frozen = train(&bench, &task, &model, with(json!({ "freeze": "encoder" })));
    let weights = tensors(&bench.model(&frozen));
    for name in ["body.0.weight", "body.0.bias"] {
        assert_eq!(weights[name], from[name]);
    }
    assert_ne!(weights["fc.weight"], from["fc.weight"]);
    // The encoder is the default, and a list of its names freezes it as well.
    let list = train(&bench, &task, &model, with(json!({ "freeze": ["body."], "init": "encoder" })));
    assert!(bench.model(&frozen) == bench.model(&list));
    // All of it, and nothing but the classifier is left as it is.
    let all = train(&bench, &task, &model, with(json!({ "freeze": ["fc."], "init": "all" })));
    let weights = tensors(&bench.model(&all));
    assert_eq!(weights["fc.weight"], from["fc.weight"]);
    assert_ne!(weights["body.0.weight"], from["body.0.weight"]);
    // Without freezing, everything moves; a rate of 0 stands still.
    let tuned = train(&bench, &task, &model, with(json!({})));
    assert!(bench.model(&tuned) != bench.model(&frozen));
    let still = train(&bench, &task, &model, with(json!({ "rates": { "body.": 0 } })));
    assert_eq!(tensors(&bench.model(&still))["body.0.weight"], from["body.0.weight"]);
}

#[test]
fn starting_from_a_model_is_a_head_start() {
    let bench = Bench::new();
    let task = Task::new(60);
    let model = pretrained(&bench, &task);
    let first_loss = |written: &Written| {
        let history = bench.table(&written.outputs[1]);
        sndpipe_stages::artefacts::columns::number(&history, "value").unwrap()[0].unwrap()
    };
    let new = first_loss(&task.train(&bench, small(json!({ "epochs": 1, "seed": 4 }))));
    let with = small(json!({ "epochs": 1, "seed": 4, "init": "all" }));
    let started = first_loss(&train(&bench, &task, &model, with));
    assert!(started < 0.7 * new, "{started} after a start from a model, {new} without");
}

#[test]
fn standardisation_can_be_that_of_the_model() {
    let bench = Bench::new();
    let task = Task::new(40);
    let model = pretrained(&bench, &task);
    let card =
        |bytes: &[u8]| sndpipe_stages::learn::model::TrainedModel::load(bytes).unwrap().card.standardisation;
    let mut fewer = Task::new(40);
    fewer.split.clips.retain(|id, _| id.as_str() < "clip020");
    let with = |standardise: &str| small(json!({ "epochs": 1, "standardise": standardise }));
    let own = card(&bench.model(&train(&bench, &fewer, &model, with("global"))));
    let theirs = card(&bench.model(&train(&bench, &fewer, &model, with("init"))));
    let expected = card(&bench.store.read_blob(&model).unwrap());
    assert_eq!(theirs, expected);
    assert_ne!(own, expected);
    let error = fewer.try_train(&bench, with("init")).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "nothing is connected to the input `init`");
}

#[test]
fn an_interrupted_tuning_ends_with_the_same_bytes() {
    let task = Task::new(40);
    let with = small(json!({
        "epochs": 4, "freeze": ["body.0.bias"], "rates": { "body.": 0.3 }, "init": "all", "clip_norm": 1.0,
    }));
    let whole = Bench::new();
    let model = pretrained(&whole, &task);
    let expected = train(&whole, &task, &model, with.clone());
    let bench = Bench::new();
    let model = pretrained(&bench, &task);
    let mut stops = 0;
    let written = loop {
        let stopped = Run { stop_at_progress: true, ..Run::default() };
        match try_train(&bench, &task, &model, with.clone(), &stopped) {
            Ok(written) => break written,
            Err(StageError::Interrupted) => stops += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(stops < 100, "the training makes no progress");
    };
    assert!(stops >= 4, "{stops} stops");
    assert!(whole.model(&expected) == bench.model(&written));
    assert_eq!(expected.outputs[1].id, written.outputs[1].id);
}

#[test]
fn a_checkpoint_from_another_model_is_ignored() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let model = pretrained(&bench, &task);
    let stopped = Run { stop_at_progress: true, ..Run::default() };
    let with = small(json!({ "epochs": 3 }));
    assert!(matches!(try_train(&bench, &task, &model, with.clone(), &stopped), Err(StageError::Interrupted)));
    let path = bench.store.work_dir(&Digest::of(b"from a model")).unwrap().join("checkpoint");
    assert!(path.exists());
    let other = task.train(&bench, small(json!({ "epochs": 1, "seed": 77 }))).outputs.remove(0);
    let run = Run::default();
    try_train(&bench, &task, &other, with, &run).map(|_| ()).unwrap();
    assert_eq!(run.log.lock().unwrap()[0], "a checkpoint was ignored: it belongs to another training");
}

#[test]
fn a_model_that_does_not_fit_is_refused() {
    let bench = Bench::new();
    let task = Task::new(30);
    let model = pretrained(&bench, &task);
    let refused = |task: &Task, with: Value| match try_train(&bench, task, &model, with, &Run::default()) {
        Err(StageError::Failed { message, help }) => format!("{message} / {}", help.unwrap_or_default()),
        other => panic!("{:?}", other.map(|_| ())),
    };
    let wider = json!({ "network": { "name": "mlp", "hidden": [17] } });
    assert_eq!(
        refused(&task, small(wider)),
        "`init`: the weights do not fit the network: missing [], unexpected [], other shape \
         [\"body.0.weight: network [17, 48], file [16, 48]\", \"body.0.bias: network [17], file [16]\"] \
         / name the network that the model has, with the same options, and features of the same shape"
    );
    let mut other = Task::new(30);
    let classes = ["bell", "cat", "rain"].map(str::to_owned).to_vec();
    other.labels = Labels { classes, ..std::mem::take(&mut other.labels) };
    assert_eq!(
        refused(&other, small(json!({ "init": "all" }))),
        "the model behind `init` has 3 classes, the labels have 3; class 2 is `dog` there and `cat` here \
         / take its encoder only (`init: encoder`)"
    );
    // Another recipe is told, another shape of frames cannot take the statistics of the model.
    let mut features = meta();
    features.insert("recipe".to_owned(), json!({ "name": "another" }));
    let [_, labels, split] = task.put(&bench);
    let features = bench.rows("features", features, task.rows.clone());
    let wires = [("features", &features), ("labels", &labels), ("split", &split), ("init", &model)];
    let written = bench.run("train", small(json!({ "epochs": 1 })), &wires);
    assert!(
        written.remarks[0].starts_with("`init`: the model was trained on other features"),
        "{:?}",
        written.remarks
    );
    let folded =
        sndpipe_cache::Meta::from([("bands".to_owned(), 3.into()), ("channels".to_owned(), 2.into())]);
    let features = bench.rows("features", folded, task.rows.clone());
    let wires = [("features", &features), ("labels", &labels), ("split", &split), ("init", &model)];
    let error =
        bench.try_run("train", small(json!({ "standardise": "init" })), &wires).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model behind `init` reads 1 x 6 (channels, bands), the features have 2 x 3"
    );
}
