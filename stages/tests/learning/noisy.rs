//! Trainings on labels that may be wrong: mixtures, smoothed labels, clean clips, second losses, clips that are dropped.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sndpipe_cache::{Manifest, Meta, Values};
use sndpipe_engine::{StageError, Written};
use sndpipe_stages::artefacts::State;
use sndpipe_stages::artefacts::columns;
use sndpipe_stages::artefacts::{Split, Subset};

use crate::bench::{Bench, CLASSES, Task, small};
use crate::train::curve;

/// A task whose every `nth` training clip has the wrong label; gives the clips with a wrong one, too.
fn corrupted(clips: usize, nth: usize) -> (Task, BTreeSet<String>) {
    let mut task = Task::new(clips);
    let training: Vec<String> = task.split.of(Subset::Train).map(str::to_owned).collect();
    let wrong: BTreeSet<String> = training.into_iter().step_by(nth).collect();
    for id in &wrong {
        let class = *task.labels.clips[id].keys().next().unwrap();
        task.labels.clips.insert(id.clone(), BTreeMap::from([((class + 1) % CLASSES.len(), State::Present)]));
    }
    (task, wrong)
}

/// A table of clips with a column that says which labels were checked.
fn clips(bench: &Bench, task: &Task, checked: impl Fn(&str) -> Option<&'static str>) -> Manifest {
    let ids: Vec<String> = task.rows.iter().map(|(id, _)| id.clone()).collect();
    let flags = ids.iter().map(|id| checked(id).map(str::to_owned)).collect();
    let columns =
        vec![("clip_id", columns::Values::Text(ids)), ("verified", columns::Values::MaybeText(flags))];
    bench.store.put_table("clips", Meta::new(), &columns::table(columns).unwrap()).unwrap()
}

fn try_with_clips(bench: &Bench, task: &Task, clips: &Manifest, with: Value) -> Result<Written, StageError> {
    let [features, labels, split] = task.put(bench);
    let wires = [("features", &features), ("labels", &labels), ("split", &split), ("clips", clips)];
    bench.try_run("train", with, &wires)
}

#[test]
fn mixtures_teach_and_wait_for_their_epoch() {
    let bench = Bench::new();
    let task = Task::new(150);
    for (loss, pairing) in [("cce", "intra"), ("cce", "inter"), ("bce", "inter")] {
        let mixup = json!({ "alpha": 0.4, "pairing": pairing });
        let evaluation = task.judge(&bench, small(json!({ "loss": loss, "mixup": mixup })), json!({}));
        let accuracy = bench.metric(&evaluation.outputs[0], "accuracy").unwrap();
        assert!(accuracy > 0.9, "{loss}, {pairing}: {accuracy}");
    }
    let losses = |mixup: Value| {
        let written = task.train(&bench, small(json!({ "epochs": 4, "mixup": mixup })));
        curve(&bench, &written, "train", "loss")
    };
    let (plain, mixed) = (losses(Value::Null), losses(json!({ "alpha": 1.0 })));
    let late = losses(json!({ "alpha": 1.0, "warm_up": 2 }));
    assert_eq!(plain[..2], late[..2]);
    assert_ne!(plain[2], late[2]);
    // Mixed labels have an entropy that no network removes.
    assert!(mixed[3] > plain[3], "{mixed:?}, {plain:?}");
}

#[test]
fn smoothed_labels_are_those_of_a_smoothed_loss() {
    let bench = Bench::new();
    let task = Task::new(40);
    let model = |changes: Value| {
        let mut with = small(json!({ "epochs": 2 }));
        changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
        bench.model(&task.train(&bench, with))
    };
    let smoothed = model(json!({ "smoothing": { "epsilon": 0.15 } }));
    assert!(smoothed == model(json!({ "loss": { "name": "cce_smooth", "epsilon": 0.15 } })));
    assert!(smoothed != model(json!({})));
    assert!(smoothed != model(json!({ "smoothing": { "epsilon": 0.15, "delta": 0.1, "noisier": ["dog"] } })));
    let binary = model(json!({ "loss": "bce", "smoothing": { "epsilon": 0.15 } }));
    assert!(binary != model(json!({ "loss": "bce" })));
    let unknown = json!({ "smoothing": { "epsilon": 0.15, "delta": 0.1, "noisier": ["dgo"] } });
    let error = task.try_train(&bench, small(unknown)).map(|_| ()).unwrap_err().to_string();
    let expected = "`smoothing.noisier` names `dgo`, which is no class of the labels: did you mean `dog`?";
    assert_eq!(error, expected);
}

#[test]
fn clean_clips_have_cross_entropy_and_the_others_the_loss() {
    let bench = Bench::new();
    let (task, wrong) = corrupted(60, 3);
    let flags = clips(&bench, &task, |id| Some(if wrong.contains(id) { "0" } else { "1" }));
    let clean = json!({ "column": "verified", "is": 1 });
    let selective = |loss: Value| {
        let with = small(json!({ "epochs": 3, "loss": loss, "clean": clean }));
        bench.model(&try_with_clips(&bench, &task, &flags, with).unwrap_or_else(|error| panic!("{error}")))
    };
    let plain = |loss: Value| bench.model(&task.train(&bench, small(json!({ "epochs": 3, "loss": loss }))));
    // Cross entropy is what clean clips have anyway.
    assert!(selective(json!("cce")) == plain(json!("cce")));
    let lq = selective(json!("lq"));
    assert!(lq != plain(json!("lq")) && lq != plain(json!("cce")));
    // What the loss leaves out or smooths is not clean.
    for loss in [json!("cce_max"), json!("cce_smooth"), json!({ "name": "lq_percentile", "percentile": 60 })]
    {
        let (selective, plain) = (selective(loss.clone()), plain(loss));
        assert!(selective != plain);
    }
    let smoothed = |clean: Value| {
        let with = small(json!({ "epochs": 3, "smoothing": { "epsilon": 0.3 }, "clean": clean }));
        bench.model(&try_with_clips(&bench, &task, &flags, with).unwrap_or_else(|error| panic!("{error}")))
    };
    assert!(smoothed(clean.clone()) != plain(json!("cce")));
    assert!(smoothed(clean.clone()) != plain(json!({ "name": "cce_smooth", "epsilon": 0.3 })));
    assert!(smoothed(clean.clone()) == selective(json!({ "name": "cce_smooth", "epsilon": 0.3 })));
    let refused = |column: &str, is: &str| {
        let with = small(json!({ "clean": { "column": column, "is": is } }));
        try_with_clips(&bench, &task, &flags, with).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        refused("verified", "yes"),
        "no clip of the training subset is clean: `verified` is never `yes`, but `0`, `1`"
    );
    assert_eq!(refused("checked", "1"), "the input `clips` has no column `checked`");
}

#[test]
fn all_patches_of_short_clips_are_the_random_ones() {
    let bench = Bench::new();
    let mut task = Task::new(40);
    let patches: usize = task
        .rows
        .iter()
        .filter(|(id, _)| task.split.clips[id] == Subset::Train)
        // Every 4 frames a patch of 8.
        .map(|(_, row)| (row.frames as usize).saturating_sub(8) / 4 + 1)
        .sum();
    let all =
        json!({ "patches": "all", "batch": 5000, "drop_last": true, "patch": { "frames": 8, "hop": 4 } });
    let error = task.try_train(&bench, small(all)).map(|_| ()).unwrap_err().to_string();
    let expected = format!("a batch of 5000 is larger than the training subset of {patches} patches");
    assert_eq!(error, expected);
    let model = |task: &Task, patches: &str| {
        bench.model(&task.train(&bench, small(json!({ "epochs": 2, "patches": patches }))))
    };
    assert!(model(&task, "all") != model(&task, "random"));
    for (_, row) in &mut task.rows {
        let Values::F32(values) = &mut row.values else { unreachable!() };
        let frames = row.frames.min(8);
        values.truncate(values.len() / row.frames as usize * frames as usize);
        row.frames = frames;
    }
    assert!(model(&task, "all") == model(&task, "random"));
}

#[test]
fn a_second_loss_follows_the_first() {
    let bench = Bench::new();
    let (task, _) = corrupted(60, 4);
    let train = |then: Value| task.train(&bench, small(json!({ "epochs": 5, "loss": "lq", "then": then })));
    let plain = train(Value::Null);
    let same = train(json!({ "after": 2, "loss": "lq" }));
    assert!(bench.model(&plain) == bench.model(&same));
    let other = train(json!({ "after": 2, "loss": { "name": "lq_percentile", "q": 0.5, "percentile": 70 } }));
    let losses = |written: &Written| curve(&bench, written, "train", "loss");
    assert_eq!(losses(&plain)[..2], losses(&other)[..2]);
    assert!(losses(&plain)[2..].iter().zip(&losses(&other)[2..]).all(|(plain, other)| plain != other));
}

#[test]
fn epochs_of_the_first_loss_do_not_choose() {
    let bench = Bench::new();
    let task = Task::new(40);
    // Nothing is learnt, so that no epoch is better than the first that counts.
    let mut with = small(json!({ "epochs": 9, "rate": 1e-9, "loss": "lq", "select": "best" }));
    with["then"] = json!({ "after": 3, "loss": "cce" });
    with["early_stopping"] = json!({ "metric": "accuracy", "patience": 2 });
    let written = task.train(&bench, with);
    assert_eq!(written.remarks, ["stopped early after 6 of 9 epochs, epoch 4 chosen"]);
}

#[test]
fn the_rate_falls_where_the_metric_stands_still() {
    let bench = Bench::new();
    let rates = |schedule: Value| {
        let with = small(json!({ "epochs": 7, "rate": 1e-9, "schedule": schedule, "warm_up": 1 }));
        curve(&bench, &Task::new(40).train(&bench, with), "train", "rate")
    };
    // The first epoch is the best; two more without an improvement change the rate.
    let found = rates(json!({ "name": "plateau", "patience": 2 }));
    let expected = [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25].map(|share| share * 1e-9);
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
    let mut task = Task::new(20);
    task.split.clips.retain(|_, subset| *subset != Subset::Val);
    let error = task.try_train(&bench, small(json!({ "schedule": "plateau" }))).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "`schedule: plateau` needs a validation subset, and the split has none");
}

#[test]
fn a_decay_of_some_weights_leaves_the_others() {
    let bench = Bench::new();
    let task = Task::new(40);
    let model = |changes: Value| bench.model(&task.train(&bench, small(changes)));
    let plain = model(json!({ "epochs": 2 }));
    assert!(plain == model(json!({ "epochs": 2, "decays": { "fc.weight": 0 } })));
    assert!(plain != model(json!({ "epochs": 2, "decays": { "fc.weight": 0.01 } })));
    let all = json!({ "epochs": 2, "optimiser": { "name": "adam", "weight_decay": 0.01 } });
    assert!(model(all) == model(json!({ "epochs": 2, "decays": { "": 0.01 } })));
}

#[test]
fn one_batch_has_no_next_one() {
    let bench = Bench::new();
    let mixup = json!({ "alpha": 0.1, "pairing": "inter" });
    let refused = |changes: Value| {
        let mut with = small(changes);
        with["mixup"] = mixup.clone();
        Task::new(40).try_train(&bench, with).map(|_| ()).unwrap_err().to_string()
    };
    let expected = "`mixup.pairing: inter` needs two batches an epoch, and there is one";
    // 24 clips train.
    assert_eq!(refused(json!({ "batch": 24 })), expected);
    assert_eq!(refused(json!({ "batch": 13, "drop_last": true })), expected);
}

#[test]
fn clips_that_the_model_does_not_believe_are_pruned() {
    let bench = Bench::new();
    let (task, wrong) = corrupted(150, 5);
    let [features, labels, split] = task.put(&bench);
    let model = task.train(&bench, small(json!({ "epochs": 12, "loss": "lq" })));
    let wires =
        [("features", &features), ("model", &model.outputs[0]), ("labels", &labels), ("split", &split)];
    let losses = bench.run("losses", json!({ "loss": "lq" }), &wires);
    let table = bench.table(&losses.outputs[0]);
    assert_eq!(table.num_rows(), 90);
    let found = columns::number(&table, "loss").unwrap();
    // The mean over patches of the loss of the labelled class, from the scores of one clip with one patch.
    assert!(found.iter().flatten().all(|loss| (0.0..1.0 / 0.7).contains(loss)));
    let wires = [("losses", &losses.outputs[0]), ("split", &split)];
    let pruned = bench.run("split.prune", json!({ "percentile": 80 }), &wires);
    let dropped = columns::text(&bench.table(&pruned.outputs[1]), "clip_id").unwrap();
    // 18 of 90 training clips have a wrong label, and as many are dropped.
    assert_eq!((wrong.len(), dropped.len()), (18, 18));
    let hits = dropped.iter().filter(|id| wrong.contains(*id)).count();
    assert!(hits >= 14, "{hits} of the dropped clips have a wrong label");
    let rest = Split::read(&bench.table(&pruned.outputs[0])).unwrap();
    assert_eq!(rest.of(Subset::Train).count(), 72);
    assert!(rest.of(Subset::Val).eq(task.split.of(Subset::Val)));
    assert!(rest.of(Subset::Test).eq(task.split.of(Subset::Test)));
    // The training goes on from the same weights, with statistics of what is left.
    let mut with = small(json!({ "epochs": 4, "init": "all" }));
    let wires = [
        ("features", &features),
        ("labels", &labels),
        ("split", &pruned.outputs[0]),
        ("init", &model.outputs[0]),
    ];
    let second = bench.run("train", with.clone(), &wires);
    with["standardise"] = json!("init");
    assert!(bench.model(&second) != bench.model(&bench.run("train", with, &wires)));
    let losses = |written: &Written| curve(&bench, written, "train", "loss");
    let corrupted = task.train(&bench, small(json!({ "epochs": 12 })));
    assert!(losses(&second)[3] < losses(&corrupted)[11], "clean labels are easier to fit");
}

#[test]
fn losses_are_means_over_patches() {
    let bench = Bench::new();
    let task = Task::new(30);
    let [features, labels, split] = task.put(&bench);
    let model = task.train(&bench, small(json!({ "epochs": 2 })));
    let wires =
        [("features", &features), ("model", &model.outputs[0]), ("labels", &labels), ("split", &split)];
    let losses = |with: Value| bench.table(&bench.run("losses", with, &wires).outputs[0]);
    let table = losses(json!({ "loss": "cce", "subset": "val" }));
    let mean = columns::number(&table, "loss").unwrap().into_iter().flatten().sum::<f64>() / 6.0;
    assert_eq!(table.num_rows(), 6);
    // As the validation of the last epoch measured it, clip by clip.
    let validated = curve(&bench, &model, "val", "loss")[1];
    assert!((mean - validated).abs() < 1e-9, "{mean} instead of {validated}");
    let patches = columns::maybe_int(&losses(json!({ "subset": "all", "hop": 4 })), "patches").unwrap();
    let expected: Vec<Option<i64>> = task
        .rows
        .iter()
        .map(|(_, row)| Some(i64::from(row.frames).saturating_sub(8).max(0) / 4 + 1))
        .collect();
    assert_eq!(patches, expected);
    let binary = task.train(&bench, small(json!({ "epochs": 1, "loss": "bce" })));
    let wires =
        [("features", &features), ("model", &binary.outputs[0]), ("labels", &labels), ("split", &split)];
    let error = bench.try_run("losses", json!({}), &wires).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "the model scores each class alone, and a loss needs one class a clip");
}
