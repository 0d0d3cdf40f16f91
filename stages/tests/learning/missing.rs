//! Labels that are missing: a teacher, what it believes to be missing, and a student that is not told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sndpipe_cache::Manifest;
use sndpipe_engine::Written;
use sndpipe_stages::artefacts::Subset;
use sndpipe_stages::artefacts::columns;
use sndpipe_stages::artefacts::{Labels, State};

use crate::bench::{Bench, CLASSES, Task, small};
use crate::train::curve;

fn binary(changes: Value) -> Value {
    let mut with = small(json!({ "loss": "bce" }));
    changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
    with
}

/// A task whose every `nth` training clip has lost its label; gives the pairs that were hidden.
fn hidden(clips: usize, nth: usize) -> (Task, BTreeSet<(String, usize)>) {
    let mut task = Task::new(clips);
    let training: Vec<String> = task.split.of(Subset::Train).map(str::to_owned).collect();
    let mut hidden = BTreeSet::new();
    for id in training.into_iter().step_by(nth) {
        let labels = task.labels.clips.insert(id.clone(), BTreeMap::new()).unwrap();
        hidden.extend(labels.into_keys().map(|class| (id.clone(), class)));
    }
    (task, hidden)
}

fn read(bench: &Bench, labels: &Manifest) -> Labels {
    Labels::read(&bench.table(labels), &labels.meta).unwrap()
}

fn ignored(labels: &Labels) -> BTreeSet<(String, usize)> {
    let pairs = labels.clips.iter().flat_map(|(id, labels)| labels.iter().map(move |pair| (id, pair)));
    pairs
        .filter(|(_, (_, state))| **state == State::Ignored)
        .map(|(id, (class, _))| (id.clone(), *class))
        .collect()
}

/// The labels that a teacher leaves, and the thresholds.
fn enhance(bench: &Bench, task: &Task, rate: f64) -> Written {
    let [features, labels, split] = task.put(bench);
    let teacher = task.train(bench, binary(json!({})));
    let wires = [("features", &features), ("model", &teacher.outputs[0]), ("split", &split)];
    let scores = bench.run("score", json!({ "subset": "all" }), &wires);
    let wires = [("labels", &labels), ("scores", &scores.outputs[0]), ("split", &split)];
    bench.run("labels.enhance", json!({ "rate": rate }), &wires)
}

#[test]
fn a_teacher_finds_what_is_missing() {
    let bench = Bench::new();
    let (task, hidden) = hidden(200, 5);
    // 120 training clips, of which 24 lost their label: 40 of each class less those, 88 implicit negatives.
    assert_eq!(hidden.len(), 24);
    let written = enhance(&bench, &task, 9.0);
    let enhanced = read(&bench, &written.outputs[0]);
    let found = ignored(&enhanced);
    let hits = found.intersection(&hidden).count();
    assert!(hits >= 18, "{hits} of 24 were found, {} were marked", found.len());
    // The labels that were there are there, and only training clips were marked.
    for (id, labels) in &task.labels.clips {
        assert!(labels.iter().all(|(class, state)| enhanced.clips[id].get(class) == Some(state)));
    }
    assert!(found.iter().all(|(id, _)| task.split.clips[id] == Subset::Train));
    let thresholds = bench.table(&written.outputs[1]);
    let counts = columns::maybe_int(&thresholds, "n").unwrap();
    let flagged = columns::maybe_int(&thresholds, "flagged").unwrap();
    for (class, (n, flagged)) in counts.iter().zip(&flagged).enumerate() {
        let training = task.split.of(Subset::Train);
        let without = training.filter(|id| !task.labels.clips[*id].contains_key(&class)).count();
        assert_eq!(*n, Some(without as i64));
        assert_eq!(*flagged, Some((0.09 * without as f64 + 0.5).floor() as i64));
    }
    assert_eq!(columns::text(&thresholds, "class").unwrap(), CLASSES);
    // A rate of 0 changes nothing.
    let nothing = enhance(&bench, &task, 0.0);
    assert!(ignored(&read(&bench, &nothing.outputs[0])).is_empty());
    assert_eq!(columns::number(&bench.table(&nothing.outputs[1]), "threshold").unwrap(), [None; 3]);
}

#[test]
fn a_student_is_not_told_that_marked_labels_are_absent() {
    let bench = Bench::new();
    let (task, hidden) = hidden(200, 2);
    let mut masked = Task::new(0);
    masked.rows.clone_from(&task.rows);
    masked.split = task.split.clone();
    masked.labels = task.labels.clone();
    for (id, class) in &hidden {
        masked.labels.clips.get_mut(id).unwrap().insert(*class, State::Ignored);
    }
    // The mean score that clips of the test subset get for their class.
    let believed = |task: &Task| {
        let [features, _, split] = task.put(&bench);
        let model = task.train(&bench, binary(json!({})));
        let wires = [("features", &features), ("model", &model.outputs[0]), ("split", &split)];
        let scores = bench.run("score", json!({}), &wires);
        let rows = bench.store.open_rows(&scores.outputs[0]).unwrap();
        let of_class = |at: usize| {
            let class = rows.ids()[at].trim_start_matches("clip").parse::<usize>().unwrap() % CLASSES.len();
            f64::from(rows.row(at).unwrap().to_f32()[class])
        };
        (0..rows.len()).map(of_class).sum::<f64>() / rows.len() as f64
    };
    let (told, spared) = (believed(&task), believed(&masked));
    assert!(spared > told + 0.1, "{spared} with a mask, {told} without");
}

#[test]
fn a_mask_of_ones_is_binary_cross_entropy() {
    let bench = Bench::new();
    let task = Task::new(40);
    let expected = bench.model(&task.train(&bench, binary(json!({ "epochs": 2 }))));
    let mut explicit = Task::new(40);
    for labels in explicit.labels.clips.values_mut() {
        (0..CLASSES.len()).for_each(|class| {
            labels.entry(class).or_insert(State::ExplicitNegative);
        });
    }
    assert!(expected == bench.model(&explicit.train(&bench, binary(json!({ "epochs": 2 })))));
    // One label that is ignored, and the batch has a mask.
    explicit.labels.clips.get_mut("clip000").unwrap().insert(1, State::Ignored);
    assert!(expected != bench.model(&explicit.train(&bench, binary(json!({ "epochs": 2 })))));
}

#[test]
fn validation_leaves_out_what_evaluation_leaves_out() {
    let bench = Bench::new();
    let mut task = Task::new(60);
    // Each class has lost the negative that would hurt it most, had it counted.
    for (at, labels) in task.labels.clips.values_mut().enumerate() {
        let class = *labels.keys().next().unwrap();
        labels.insert((class + 1 + at % 2) % CLASSES.len(), State::Ignored);
    }
    for loss in ["bce", "cce"] {
        let [features, labels, split] = task.put(&bench);
        let model = task.train(&bench, small(json!({ "loss": loss, "epochs": 1 })));
        let wires = [("features", &features), ("model", &model.outputs[0]), ("split", &split)];
        let scores = bench.run("score", json!({ "subset": "val" }), &wires);
        let wires = [("scores", &scores.outputs[0]), ("labels", &labels)];
        let evaluation = bench.run("evaluate", json!({}), &wires);
        let expected = bench.metric(&evaluation.outputs[0], "mAP").unwrap();
        let found = curve(&bench, &model, "val", "mAP")[0];
        assert!((found - expected).abs() < 1e-12, "{loss}: {found} instead of {expected}");
        // With these pairs as negatives it would be another number.
        let mut plain = task.labels.clone();
        plain.clips.values_mut().for_each(|labels| labels.retain(|_, state| *state == State::Present));
        let labels = bench.labels(&plain);
        let wires = [("scores", &scores.outputs[0]), ("labels", &labels)];
        let evaluation = bench.run("evaluate", json!({}), &wires);
        assert_ne!(bench.metric(&evaluation.outputs[0], "mAP"), Some(expected), "{loss}");
    }
}

#[test]
fn scores_that_do_not_fit_the_labels_are_refused() {
    let bench = Bench::new();
    let task = Task::new(30);
    let [features, labels, split] = task.put(&bench);
    let model = task.train(&bench, binary(json!({ "epochs": 1 })));
    let wires = [("features", &features), ("model", &model.outputs[0]), ("split", &split)];
    let scores = bench.run("score", json!({}), &wires);
    let refused = |labels: &Manifest| {
        let wires = [("labels", labels), ("scores", &scores.outputs[0]), ("split", &split)];
        bench.try_run("labels.enhance", json!({ "rate": 5 }), &wires).map(|_| ()).unwrap_err().to_string()
    };
    // The scores are those of test clips.
    assert_eq!(refused(&labels), "no clip that could be marked has scores");
    let mut other = task.labels.clone();
    other.classes[2] = "cat".to_owned();
    assert_eq!(refused(&bench.labels(&other)), "the teacher gives no scores of the class `cat`");
}
