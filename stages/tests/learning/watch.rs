//! Neighbours that are looked at while an encoder learns: a curve, and nothing else.

use serde_json::{Value, json};
use sndpipe_engine::{Axes, StageError, Written};
use sndpipe_stages::artefacts::State;
use sndpipe_stages::artefacts::columns;

use crate::bench::{Bench, Run, Task, Wire};
use crate::pretrain::{unlabelled, varied};
use crate::resume::stop_everywhere;

fn try_watch(bench: &Bench, task: &Task, with: Value) -> Result<Written, StageError> {
    let [features, labels, split] = task.put(bench);
    bench.try_run("pretrain", with, &[("features", &features), ("labels", &labels), ("split", &split)])
}

#[track_caller]
fn watch(bench: &Bench, task: &Task, with: Value) -> Written {
    try_watch(bench, task, with).unwrap_or_else(|error| panic!("{error}"))
}

/// The same training without anybody who looks on.
fn unseen(bench: &Bench, task: &Task, with: Value) -> Written {
    let [features, _, split] = task.put(bench);
    bench.run("pretrain", with, &[("features", &features), ("split", &split)])
}

type Entry = (i64, String, String, Option<f64>);

/// The rows of a history, those of neighbours and the others.
fn history(bench: &Bench, written: &Written) -> (Vec<Entry>, Vec<Entry>) {
    let table = bench.table(&written.outputs[1]);
    let epochs = columns::maybe_int(&table, "epoch").unwrap().into_iter().flatten();
    let (subsets, metrics) =
        (columns::text(&table, "subset").unwrap(), columns::text(&table, "metric").unwrap());
    let values = columns::number(&table, "value").unwrap();
    let rows = epochs.zip(subsets).zip(metrics).zip(values);
    rows.map(|(((epoch, subset), metric), value)| (epoch, subset, metric, value))
        .partition(|(_, _, metric, _)| metric.starts_with("knn_"))
}

fn watched(knn: Value) -> [Value; 2] {
    [unlabelled(json!({ "knn": knn })), unlabelled(json!({}))]
}

#[test]
fn looking_changes_nothing_but_the_history() {
    let (bench, task) = (Bench::new(), Task::new(40));
    for changes in varied() {
        let mut with = unlabelled(changes);
        let expected = unseen(&bench, &task, with.clone());
        with["knn"] = json!({ "every": 3, "protocol": { "name": "leave_one_clip_out", "k": 5 } });
        let found = watch(&bench, &task, with.clone());
        assert!(bench.model(&expected) == bench.model(&found), "{with}");
        let ((knn, rest), (none, all)) = (history(&bench, &found), history(&bench, &expected));
        assert!(none.is_empty() && rest == all, "{with}");
        // After epochs 3 and 4, the last of them.
        let seen: Vec<(i64, &str, &str)> =
            knn.iter().map(|(epoch, subset, metric, _)| (*epoch, &**subset, &**metric)).collect();
        let of =
            |epoch| [(epoch, "val", "knn_accuracy"), (epoch, "val", "knn_balanced_accuracy")].into_iter();
        assert_eq!(seen, of(3).chain(of(4)).collect::<Vec<_>>());
        assert!(knn.iter().all(|(.., value)| value.is_some_and(|value| (0.0..=1.0).contains(&value))));
    }
}

#[test]
fn the_last_look_is_that_of_embed_and_evaluate() {
    let (bench, task) = (Bench::new(), Task::new(60));
    let [features, labels, split] = task.put(&bench);
    let bank = json!({ "name": "memory_bank", "k": 4, "temperature": 0.2 });
    let alone = json!({ "name": "leave_one_clip_out", "k": 3 });
    let mut values = Vec::new();
    for (protocol, subset, of, patch) in [
        (&bank, "val", "head", json!({ "frames": 8 })),
        (&bank, "test", "encoder", json!({ "frames": 8, "hop": 3 })),
        (&alone, "val", "encoder", json!({ "frames": 8, "hop": 2 })),
        (&alone, "train", "head", json!({ "frames": 8 })),
    ] {
        let mut with = unlabelled(json!({ "patch": patch, "epochs": 3, "method": "instance" }));
        with["knn"] = json!({ "every": 2, "protocol": protocol, "subset": subset, "of": of });
        let encoder = watch(&bench, &task, with);
        let wires = [("features", &features), ("model", &encoder.outputs[0]), ("split", &split)];
        let vectors = bench.run("embed", json!({ "per": "patch", "of": of }), &wires);
        let wires = [("embeddings", &vectors.outputs[0]), ("labels", &labels), ("split", &split)];
        let judged = bench.run("evaluate.knn", json!({ "protocol": protocol, "subset": subset }), &wires);
        let (knn, _) = history(&bench, &encoder);
        assert_eq!(knn.len(), 4, "after two epochs and after three");
        for (_, of_subset, metric, value) in &knn[2..] {
            let expected = bench.metric(&judged.outputs[0], metric.strip_prefix("knn_").unwrap());
            assert_eq!((of_subset.as_str(), *value), (subset, expected), "{metric} by {protocol} of {of}");
            values.push(value.unwrap());
        }
    }
    assert!(values.iter().any(|value| *value > 0.4 && *value != values[0]), "{values:?}");
}

#[test]
fn what_was_seen_stands_in_the_line_of_its_epoch() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let inputs = task.put(&bench);
    let wires = ["features", "labels", "split"].into_iter().zip(&inputs);
    let wires: Vec<Wire<'_>> = wires.map(|(port, input)| (port, vec![(Axes::new(), input)])).collect();
    let [with, _] = watched(json!({ "every": 3, "protocol": { "name": "leave_one_clip_out", "k": 4 } }));
    let run = Run::default();
    bench.run_as("lines", "pretrain", with, &wires, &run).unwrap();
    let lines = run.log.lock().unwrap();
    let seen = |line: &&String| {
        line.contains(", val knn accuracy ") && line.contains(", val knn balanced accuracy ")
    };
    let seen: Vec<&str> = lines.iter().filter(seen).filter_map(|line| line.split(':').next()).collect();
    assert_eq!(seen, ["epoch 3/4", "epoch 4/4"]);
}

#[test]
fn a_watched_training_goes_on_after_every_stop() {
    let knn = json!({ "every": 2, "protocol": { "name": "memory_bank", "k": 3 }, "of": "encoder" });
    let [with, _] = watched(knn);
    stop_everywhere(&Task::new(40), "pretrain", &with);
}

#[test]
fn any_number_of_threads_sees_the_same() {
    let task = Task::new(60);
    let [with, _] = watched(json!({ "every": 1, "protocol": { "name": "leave_one_clip_out", "k": 4 } }));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| watch(&Bench::new(), &task, with.clone()).outputs[1].id)
    };
    let one = run(1);
    assert!(one == run(2) && one == run(5));
}

#[test]
fn curves_are_drawn_of_what_was_seen() {
    let (bench, task) = (Bench::new(), Task::new(60));
    let [with, plain] = watched(json!({ "every": 2, "protocol": { "name": "memory_bank", "k": 3 } }));
    let encoder = watch(&bench, &task, with);
    let curve = json!({ "metric": ["knn_accuracy", "knn_balanced_accuracy"], "reach": [0.01] });
    let metrics = bench.run("evaluate.history", curve.clone(), &[("history", &encoder.outputs[1])]);
    let (knn, _) = history(&bench, &encoder);
    for (epoch, _, metric, value) in &knn {
        assert_eq!(bench.metric(&metrics.outputs[0], &format!("{metric}_after_{epoch}")), *value);
    }
    assert_eq!(bench.metric(&metrics.outputs[0], "epochs_to_knn_accuracy_0.01"), Some(2.0));
    let encoder = unseen(&bench, &task, plain);
    let error = bench.try_run("evaluate.history", curve, &[("history", &encoder.outputs[1])]);
    let StageError::Failed { message, help } = error.map(|_| ()).unwrap_err() else { panic!() };
    assert_eq!(message, "the history has nothing of the subset val");
    assert!(help.unwrap().contains("set `knn` at `pretrain`"));
}

#[test]
fn what_cannot_be_watched_is_said() {
    let bench = Bench::new();
    let refused = |task: &Task, knn: Value| {
        let [with, _] = watched(knn);
        try_watch(&bench, task, with).map(|_| ()).unwrap_err().to_string()
    };
    let mut several = Task::new(40);
    several.labels.clips.get_mut("clip002").unwrap().insert(0, State::Present);
    assert_eq!(
        refused(&several, json!({})),
        "`knn`: the subset val: clip `clip002` has 2 classes, and a neighbour stands for one"
    );
    let mut none = Task::new(40);
    none.split.clips.values_mut().filter(|subset| subset.name() == "val").for_each(|subset| {
        *subset = sndpipe_stages::artefacts::Subset::Test;
    });
    let nothing = "`knn`: the subset val: no clip has features and a class";
    assert_eq!(refused(&none, json!({})), nothing);
    *none.split.clips.get_mut("clip002").unwrap() = sndpipe_stages::artefacts::Subset::Val;
    let alone = refused(&none, json!({}));
    assert!(alone.contains("of 0 patches of other clips are all of them, whatever the clip"), "{alone}");
    let mut broken = Task::new(40);
    let sndpipe_cache::Values::F32(values) = &mut broken.rows[2].1.values else { unreachable!() };
    values[3] = f32::INFINITY;
    let four = || json!({ "name": "leave_one_clip_out", "k": 4 });
    let error = refused(&broken, json!({ "every": 2, "of": "encoder", "protocol": four() }));
    assert!(error.starts_with("after epoch 2: clip `clip002`: the embeddings are not finite"), "{error}");
    // Clips without a class are left out, and told.
    let mut few = Task::new(40);
    few.labels.clips.remove("clip002");
    let [with, _] = watched(json!({ "protocol": four() }));
    let written = watch(&bench, &few, with);
    assert_eq!(written.remarks, ["clips without a class, left out of `knn`: 1"]);
}
