//! What is learnt without labels, from what, and that it is alike each time.

use serde_json::{Value, json};
use sndpipe_cache::Values;
use sndpipe_engine::{StageError, Written};
use sndpipe_stages::artefacts::Subset;
use sndpipe_stages::artefacts::columns;
use sndpipe_stages::learn::model::TrainedModel;

use crate::bench::{Bench, Task, small};
use crate::resume::stop_everywhere;

/// Parameters of a small training without labels, with changes.
pub fn unlabelled(changes: Value) -> Value {
    let head = json!({ "name": "mlp", "hidden": [12], "size": 8 });
    let mut with = small(json!({ "head": head, "epochs": 4 }));
    changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
    with
}

fn try_pretrain(bench: &Bench, task: &Task, with: Value) -> Result<Written, StageError> {
    let [features, _, split] = task.put(bench);
    bench.try_run("pretrain", with, &[("features", &features), ("split", &split)])
}

#[track_caller]
fn pretrain(bench: &Bench, task: &Task, with: Value) -> Written {
    try_pretrain(bench, task, with).unwrap_or_else(|error| panic!("{error}"))
}

/// Every step, method and sampler, in few trainings.
pub fn varied() -> [Value; 4] {
    let views = json!([
        "time_shift", "frequency_shift", "crop", "time_reversal", "compression", "spec_augment", "noise", "blur",
        { "name": "mix_back", "within_clip": true }, { "name": "mix_back", "adjust": false },
    ]);
    [
        json!({ "views": views, "method": "contrastive", "drop_last": false, "schedule": "cosine" }),
        json!({ "method": { "name": "instance", "negatives": 6 }, "views": ["mix"], "network": { "name": "mlp", "hidden": [16], "dropout": 0.2 } }),
        json!({ "method": "triplet", "samplers": ["noise", "translation", "mixing", "proximity"], "head": "linear", "clip_norm": 1 }),
        json!({
            "method": [
                { "method": "contrastive" }, { "method": "instance", "weight": 0.5 }, { "method": "coincidence", "weight": 2 },
                { "method": { "name": "triplet", "negatives": "random" }, "weight": 0.1 },
            ],
            "patches": { "name": "near", "frames": 3 }, "views": ["mix_back"], "standardise": "per_band",
        }),
    ]
}

/// The accuracy of a linear classifier on the features of an encoder.
fn accuracy(bench: &Bench, task: &Task, encoder: Option<&Written>) -> f64 {
    let [features, labels, split] = task.put(bench);
    let mut wires = vec![("features", &features), ("labels", &labels), ("split", &split)];
    wires.extend(encoder.map(|encoder| ("init", &encoder.outputs[0])));
    let model = bench.run("train", small(json!({ "freeze": "encoder", "epochs": 30, "rate": 0.01 })), &wires);
    let wires = [("features", &features), ("model", &model.outputs[0]), ("split", &split)];
    let scores = bench.run("score", json!({}), &wires);
    let evaluation = bench.run("evaluate", json!({}), &[("scores", &scores.outputs[0]), ("labels", &labels)]);
    bench.metric(&evaluation.outputs[0], "accuracy").unwrap()
}

#[test]
fn classes_come_apart_without_labels() {
    let (bench, task) = (Bench::new(), Task::new(150));
    for method in ["contrastive", "instance"] {
        let views = json!([{ "name": "noise", "deviation": 1.0 }]);
        let changes =
            json!({ "method": method, "views": views, "epochs": 40, "batch": 16, "head": "linear" });
        let encoder = pretrain(&bench, &task, unlabelled(changes));
        let history = bench.table(&encoder.outputs[1]);
        let (names, values) =
            (columns::text(&history, "metric").unwrap(), columns::number(&history, "value").unwrap());
        let losses: Vec<f64> = names
            .iter()
            .zip(values)
            .filter(|(name, _)| *name == "loss")
            .filter_map(|(_, value)| value)
            .collect();
        assert_eq!(losses.len(), 40);
        assert!(losses[39] < 0.9 * losses[0], "{method}: {losses:?}");
        let found = accuracy(&bench, &task, Some(&encoder));
        assert!(found > 0.8, "{method}: {found}");
    }
}

#[test]
fn without_a_split_all_clips_are_training_clips() {
    let (bench, mut task) = (Bench::new(), Task::new(40));
    task.split.clips.values_mut().for_each(|subset| *subset = Subset::Train);
    for with in varied().map(unlabelled) {
        let expected = bench.model(&pretrain(&bench, &task, with.clone()));
        let [features, ..] = task.put(&bench);
        let got = bench.run("pretrain", with.clone(), &[("features", &features)]);
        assert!(expected == bench.model(&got), "{with}");
    }
}

#[test]
fn rows_beside_the_training_subset_never_reach_the_model() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let mut changed = Task::new(40);
    for (id, row) in &mut changed.rows {
        let Values::F32(values) = &mut row.values else { unreachable!() };
        if changed.split.clips[id] != Subset::Train {
            values.iter_mut().for_each(|value| *value = f32::NAN);
        }
    }
    for with in varied().map(unlabelled) {
        let expected = bench.model(&pretrain(&bench, &task, with.clone()));
        assert!(expected == bench.model(&pretrain(&bench, &changed, with.clone())), "{with}");
    }
    let (_, row) = &mut changed.rows[0];
    let Values::F32(values) = &mut row.values else { unreachable!() };
    values[0] += 1.0;
    let with = unlabelled(json!({}));
    assert!(
        bench.model(&pretrain(&bench, &task, with.clone())) != bench.model(&pretrain(&bench, &changed, with))
    );
}

#[test]
fn any_number_of_threads_and_of_loader_workers_gives_the_same_bytes() {
    let task = Task::new(40);
    for with in varied().map(unlabelled) {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let bench = Bench::new();
                let written = pretrain(&bench, &task, with.clone());
                (bench.model(&written), written.outputs[1].id)
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(4), "{with}");
    }
}

#[test]
fn stopping_at_every_step_changes_nothing() {
    let task = Task::new(40);
    varied().map(unlabelled).iter().for_each(|with| stop_everywhere(&task, "pretrain", with));
}

#[test]
fn each_choice_changes_the_model() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let mut models = Vec::new();
    for changes in [
        json!({}),
        json!({ "seed": 2 }),
        json!({ "patches": "same", "views": ["compression"] }),
        json!({ "patches": { "name": "near", "frames": 1 } }),
        json!({ "views": ["crop"] }),
        json!({ "views": ["crop", "noise"] }),
        json!({ "views": ["noise", "crop"] }),
        json!({ "samplers": ["mixing"] }),
        json!({ "head": "none" }),
        json!({ "method": { "name": "contrastive", "temperature": 0.5 } }),
        json!({ "method": "coincidence" }),
        json!({ "method": { "name": "instance", "negatives": 5 } }),
    ] {
        models.push(bench.model(&pretrain(&bench, &task, unlabelled(changes))));
    }
    for (i, model) in models.iter().enumerate() {
        assert!(models[..i].iter().all(|other| other != model), "number {i} is one of those before it");
    }
}

#[test]
fn the_head_is_kept() {
    let (bench, task) = (Bench::new(), Task::new(20));
    let [features, _, split] = task.put(&bench);
    let encoder = pretrain(&bench, &task, unlabelled(json!({})));
    let bytes = bench.model(&encoder);
    let model = TrainedModel::load_encoder(&bytes).unwrap();
    assert_eq!((model.embedding_size(false), model.embedding_size(true)), (16, 8));
    let embed = |with: Value| {
        let wires = [("features", &features), ("model", &encoder.outputs[0])];
        let written = bench.run("embed", with, &wires);
        let rows = bench.store.open_rows(&written.outputs[0]).unwrap();
        (0..rows.ids().len()).map(|i| rows.row(i).unwrap().to_f32().into_owned()).collect::<Vec<_>>()
    };
    let (h, z) = (embed(json!({})), embed(json!({ "of": "head", "per": "patch" })));
    assert!(h.iter().all(|h| h.len() == 16));
    for z in z.iter().flat_map(|z| z.chunks_exact(8)) {
        let length = z.iter().map(|z| z * z).sum::<f32>();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
    }
    // A classifier has no such head, and an encoder no classes.
    let said = |result: Result<Written, StageError>| match result.map(|_| ()).unwrap_err() {
        StageError::Failed { message, help } => format!("{message} / {}", help.unwrap_or_default()),
        other => panic!("{other}"),
    };
    let classifier = task.train(&bench, small(json!({ "epochs": 1 })));
    let wires = [("features", &features), ("model", &classifier.outputs[0])];
    let error = said(bench.try_run("embed", json!({ "of": "head" }), &wires));
    assert!(
        error.starts_with("`of: head` needs a head that makes embeddings, and the model has a classifier / "),
        "{error}"
    );
    let wires = [("features", &features), ("model", &encoder.outputs[0]), ("split", &split)];
    let error = said(bench.try_run("score", json!({}), &wires));
    assert!(
        error.starts_with("the model was trained without labels and has no classes / train a classifier"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let bench = Bench::new();
    let refused = |task: &Task, with: Value| {
        try_pretrain(&bench, task, unlabelled(with)).map(|_| ()).unwrap_err().to_string()
    };
    let task = Task::new(40);
    assert_eq!(
        refused(&task, json!({ "batch": 25 })),
        "a batch of 25 is larger than the training subset of 24"
    );
    assert_eq!(
        refused(&task, json!({ "batch": 100, "samplers": ["noise", "mixing"], "method": "triplet" })),
        "a batch of 100 is larger than the training subset of 48 pairs"
    );
    assert_eq!(
        refused(&task, json!({ "batch": 23, "drop_last": false })),
        "the last batch of 23 of the training subset of 24 would have one clip, with none to compare it with"
    );
    let mut few = Task::new(40);
    let mut left = 2;
    for subset in few.split.clips.values_mut().filter(|subset| **subset == Subset::Train) {
        if left == 0 {
            *subset = Subset::Test;
        }
        left -= usize::from(left > 0);
    }
    assert_eq!(
        refused(&few, json!({ "batch": 2, "views": ["crop", "mix_back"] })),
        "`mix_back` needs 3 training clips, and there are 2"
    );
    let mut none = Task::new(5);
    none.split.clips.values_mut().for_each(|subset| *subset = Subset::Test);
    assert_eq!(refused(&none, json!({})), "no clip of the training subset has features");
    let mut broken = Task::new(40);
    let Values::F32(values) = &mut broken.rows[0].1.values else { unreachable!() };
    values[3] = f32::INFINITY;
    assert_eq!(refused(&broken, json!({})), "clip `clip000`: the features hold values that are not finite");
    let mut huge = Task::new(40);
    for (_, row) in &mut huge.rows {
        let Values::F32(values) = &mut row.values else { unreachable!() };
        values.iter_mut().for_each(|value| *value = value.signum() * 3e38);
    }
    let error = refused(&huge, json!({ "standardise": "none" }));
    assert!(error.contains("in epoch 1, step 1 of 3; the weights before it are in"), "{error}");
}
