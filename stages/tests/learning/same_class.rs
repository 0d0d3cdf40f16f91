//! Pairs of clips that share a class: the supervised counterpart of learning without labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sndpipe_cache::Values;
use sndpipe_engine::{StageError, Written};
use sndpipe_random::Stream;
use sndpipe_stages::artefacts::State;
use sndpipe_stages::artefacts::Subset;

use crate::bench::{Bench, Task};
use crate::pretrain::unlabelled;
use crate::resume::stop_everywhere;

fn with(changes: Value) -> Value {
    let mut with = unlabelled(json!({ "method": "triplet", "samplers": ["same_class"], "head": "linear" }));
    changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
    with
}

fn try_run(bench: &Bench, task: &Task, stage: &str, with: Value) -> Result<Written, StageError> {
    let [features, labels, split] = task.put(bench);
    bench.try_run(stage, with, &[("features", &features), ("labels", &labels), ("split", &split)])
}

#[track_caller]
fn pretrain(bench: &Bench, task: &Task, with: Value) -> Written {
    try_run(bench, task, "pretrain", with).unwrap_or_else(|error| panic!("{error}"))
}

/// The ids of both views of each pair that is drawn of a task.
fn pairs(task: &Task, epoch: u32) -> Vec<(String, String)> {
    let bench = Bench::new();
    let with = json!({ "patch": { "frames": 8 }, "samplers": ["same_class"], "clips": 50, "epoch": epoch });
    let drawn = try_run(&bench, task, "views", with).unwrap_or_else(|error| panic!("{error}"));
    let svg = String::from_utf8(bench.model(&drawn)).unwrap();
    let titles = svg.split("font-weight=\"600\">").skip(1);
    let ids: Vec<String> = titles.map(|part| part.split_once(", ").unwrap().0.to_owned()).collect();
    ids.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

#[test]
fn a_pair_is_of_two_clips_of_one_class() {
    let mut task = Task::new(40);
    // The only clip of the training subset that has a class of its own, and one that has none.
    task.labels.classes.push("frog".to_owned());
    task.labels.clips.insert("clip000".to_owned(), BTreeMap::from([(3, State::Present)]));
    task.labels.clips.remove("clip001");
    // A clip beside the training subset has that class, too, and is no partner.
    task.labels.clips.insert("clip002".to_owned(), BTreeMap::from([(3, State::Present)]));
    let mut partners = BTreeSet::new();
    for epoch in 1..4 {
        let pairs = pairs(&task, epoch);
        assert_eq!(pairs.len(), 24);
        for (one, other) in &pairs {
            assert_eq!(task.split.clips[other], Subset::Train);
            if ["clip000", "clip001"].contains(&one.as_str()) {
                assert_eq!(one, other, "alone, it is paired with itself");
                continue;
            }
            let classes = [one, other].map(|id| task.labels.clips[id].keys().copied().collect::<Vec<_>>());
            assert!(one != other && classes[0] == classes[1], "{one} and {other}");
            partners.insert(other.clone());
        }
    }
    assert!(partners.len() > 11, "half of the clips are drawn at least: {partners:?}");
    assert_ne!(pairs(&task, 1), pairs(&task, 2));
    assert_eq!(pairs(&task, 2), pairs(&task, 2));
    let written = pretrain(&Bench::new(), &task, with(json!({ "epochs": 1 })));
    let expected = "training clips that share a class with no other, paired with themselves: 2";
    assert_eq!(written.remarks, [expected]);
}

#[test]
fn classes_come_apart_by_their_labels() {
    let (bench, mut task) = (Bench::new(), Task::new(150));
    // Clips differ in loudness far more than in what their classes have, and no change of a clip says so.
    let loudness = Stream::new(9, "loudness");
    for (at, (_, row)) in task.rows.iter_mut().enumerate() {
        let Values::F32(values) = &mut row.values else { unreachable!() };
        let louder = loudness.at(0, at as u64).range(-60.0, 60.0) as f32;
        values.iter_mut().for_each(|value| *value += louder);
    }
    let found = |sampler: &str| {
        let changes = json!({
            "samplers": [sampler], "epochs": 80, "batch": 24,
            "knn": { "every": 80, "subset": "test", "protocol": { "name": "leave_one_clip_out", "k": 5 } },
        });
        let encoder = pretrain(&bench, &task, with(changes));
        let curve = json!({ "metric": "knn_balanced_accuracy", "subset": "test" });
        let metrics = bench.run("evaluate.history", curve, &[("history", &encoder.outputs[1])]);
        bench.metric(&metrics.outputs[0], "knn_balanced_accuracy_after_80").unwrap()
    };
    let (by_class, by_noise) = (found("same_class"), found("noise"));
    assert!(by_class > 0.8 && by_class > by_noise + 0.1, "{by_class} by classes, {by_noise} by noise");
}

#[test]
fn labels_beside_the_training_subset_never_reach_the_model() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let expected = bench.model(&pretrain(&bench, &task, with(json!({}))));
    let mut other = Task::new(40);
    let changed = |task: &mut Task, train: bool| {
        let ids = task.split.clips.iter().filter(|(_, subset)| (**subset == Subset::Train) == train);
        for id in ids.map(|(id, _)| id.clone()).take(6).collect::<Vec<_>>() {
            task.labels.clips.insert(id, BTreeMap::from([(0, State::Present), (2, State::Present)]));
        }
    };
    changed(&mut other, false);
    assert!(expected == bench.model(&pretrain(&bench, &other, with(json!({})))));
    changed(&mut other, true);
    assert!(expected != bench.model(&pretrain(&bench, &other, with(json!({})))));
}

#[test]
fn it_is_alike_each_time() {
    let task = Task::new(40);
    let all = with(json!({ "samplers": ["same_class", "noise"], "views": ["crop"] }));
    stop_everywhere(&task, "pretrain", &all);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let bench = Bench::new();
            bench.model(&pretrain(&bench, &task, all.clone()))
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn without_classes_to_pair_there_is_an_error() {
    let mut none = Task::new(40);
    none.labels.clips.clear();
    for stage in ["pretrain", "views"] {
        let with = match stage {
            "views" => json!({ "patch": { "frames": 8 }, "samplers": ["same_class"] }),
            _ => with(json!({})),
        };
        let error = try_run(&Bench::new(), &none, stage, with).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "no two training clips share a class, and `same_class` pairs them");
    }
}
