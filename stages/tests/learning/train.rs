//! What a training learns, from what, and that it does so alike each time.

use serde_json::json;
use sndpipe_cache::Values;
use sndpipe_nn::{DeviceKind, Model};
use sndpipe_stages::artefacts::State;
use sndpipe_stages::artefacts::Subset;
use sndpipe_stages::artefacts::columns;
use sndpipe_stages::learn::model::TrainedModel;

use crate::bench::{BANDS, Bench, Task, small};

#[test]
fn a_task_is_learnt() {
    let bench = Bench::new();
    for loss in ["cce", "bce"] {
        let evaluation = Task::new(150).judge(&bench, small(json!({ "loss": loss })), json!({}));
        let accuracy = bench.metric(&evaluation.outputs[0], "accuracy").unwrap();
        assert!(accuracy > 0.9, "{loss}: {accuracy}");
    }
}

#[test]
fn shuffled_labels_give_chance() {
    let bench = Bench::new();
    let mut task = Task::new(300);
    let order = sndpipe_random::Rng::new(3, "shuffle").permutation(300);
    let truth: Vec<_> = task.labels.clips.values().cloned().collect();
    for (labels, from) in task.labels.clips.values_mut().zip(order) {
        *labels = truth[from].clone();
    }
    let evaluation = task.judge(&bench, small(json!({})), json!({}));
    let accuracy = bench.metric(&evaluation.outputs[0], "accuracy").unwrap();
    // 60 test clips, 3 classes: chance is 1/3 with a standard deviation of 0.061.
    assert!((accuracy - 1.0 / 3.0).abs() < 0.2, "{accuracy}");
}

#[test]
fn a_convolutional_network_trains_too() {
    let bench = Bench::new();
    let mut task = Task::new(15);
    for (_, row) in &mut task.rows {
        let Values::F32(values) = &row.values else { unreachable!() };
        row.values = Values::F16(values.iter().copied().map(half::f16::from_f32).collect());
    }
    let network = json!({ "name": "vgg41_plain", "width": 0.125 });
    // The network halves bands three times.
    for (_, row) in &mut task.rows {
        let Values::F16(values) = &mut row.values else { unreachable!() };
        let wide: Vec<half::f16> = values
            .chunks(BANDS)
            .flat_map(|frame| frame.iter().chain(frame).copied().collect::<Vec<_>>())
            .collect();
        *values = wide;
    }
    let [_, labels, split] = task.put(&bench);
    let meta = sndpipe_cache::Meta::from([("bands".to_owned(), (2 * BANDS).into())]);
    let features = bench.rows("features", meta, task.rows.clone());
    let with = json!({ "network": network, "patch": { "frames": 16 }, "batch": 4, "epochs": 2, "optimiser": "sgd", "rate": 0.01 });
    let wires = [("features", &features), ("labels", &labels), ("split", &split)];
    let written = bench.run("train", with, &wires);
    let history = bench.table(&written.outputs[1]);
    let losses: Vec<f64> = columns::number(&history, "value").unwrap().into_iter().flatten().collect();
    assert!(losses.iter().all(|value| value.is_finite()));
    let model = TrainedModel::load(&bench.model(&written)).unwrap();
    assert_eq!((model.shape().channels, model.shape().bands), (1, 2 * BANDS));
}

#[test]
fn test_rows_never_reach_the_model() {
    let bench = Bench::new();
    let task = Task::new(40);
    let mut changed = Task::new(40);
    for (id, row) in &mut changed.rows {
        let Values::F32(values) = &mut row.values else { unreachable!() };
        if changed.split.clips[id] == Subset::Test {
            values.iter_mut().for_each(|value| *value = f32::NAN);
            changed.labels.clips.insert(id.clone(), [(0, State::Present)].into());
        }
    }
    let with = small(json!({ "epochs": 3, "select": "best", "standardise": "per_band" }));
    let expected = bench.model(&task.train(&bench, with.clone()));
    assert!(expected == bench.model(&changed.train(&bench, with.clone())));
    // The same change to a training clip does reach it.
    let (_, row) = &mut changed.rows[0];
    let Values::F32(values) = &mut row.values else { unreachable!() };
    values[0] += 1.0;
    assert!(expected != bench.model(&changed.train(&bench, with)));
}

#[test]
fn any_number_of_threads_and_of_loader_workers_gives_the_same_bytes() {
    let train = |task: &Task, changes: &serde_json::Value, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let bench = Bench::new();
            let network = json!({ "name": "mlp", "hidden": [300, 40], "dropout": 0.3 });
            let mut with = small(json!({ "epochs": 4, "network": network, "select": "best", "standardise": "per_band", "clip_norm": 1.0 }));
            changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
            let written = task.train(&bench, with);
            (bench.model(&written), written.outputs[1].id)
        })
    };
    let mut masked = Task::new(40);
    for labels in masked.labels.clips.values_mut().step_by(3) {
        let class = *labels.keys().next().unwrap();
        labels.insert((class + 1) % 3, State::Ignored);
    }
    for changes in [
        json!({}),
        json!({ "mixup": { "alpha": 0.3, "pairing": "inter" }, "patches": "all", "schedule": { "name": "plateau", "patience": 1 } }),
        json!({ "mixup": { "alpha": 0.3 }, "loss": "bce", "smoothing": { "epsilon": 0.1 } }),
    ] {
        // As many threads make batches, up to four.
        let one = train(&masked, &changes, 1);
        assert!(one == train(&masked, &changes, 2), "{changes}");
        assert!(one == train(&masked, &changes, 4), "{changes}");
    }
}

#[test]
fn seeds_differ_and_names_do_not() {
    let bench = Bench::new();
    let task = Task::new(30);
    let model = |changes| bench.model(&task.train(&bench, small(changes)));
    let first = model(json!({ "epochs": 1, "loss": "cce" }));
    assert!(first == model(json!({ "epochs": 1, "loss": { "name": "cce" } })));
    assert!(first != model(json!({ "epochs": 1, "seed": 2 })));
}

#[test]
fn statistics_are_those_of_all_training_frames() {
    let bench = Bench::new();
    let task = Task::new(40);
    let training: Vec<f64> = task
        .rows
        .iter()
        .filter(|(id, _)| task.split.clips[id] == Subset::Train)
        .flat_map(|(_, row)| row.as_ref().to_f32().iter().map(|&value| f64::from(value)).collect::<Vec<_>>())
        .collect();
    let statistics = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean as f32, variance.sqrt() as f32)
    };
    let card = |how: &str| {
        let written = task.train(&bench, small(json!({ "epochs": 1, "standardise": how })));
        TrainedModel::load(&bench.model(&written)).unwrap().card
    };
    let near =
        |got: f32, expected: f32| assert!((got - expected).abs() < 1e-4, "{got} instead of {expected}");
    let global = card("global").standardisation;
    let (mean, std) = statistics(&training);
    near(global.mean[0], mean);
    near(global.std[0], std);
    let bands = card("per_band").standardisation;
    assert_eq!(bands.mean.len(), BANDS);
    for band in 0..BANDS {
        let values: Vec<f64> = training.iter().skip(band).step_by(BANDS).copied().collect();
        let (mean, std) = statistics(&values);
        near(bands.mean[band], mean);
        near(bands.std[band], std);
    }
    assert!(card("none").standardisation.mean.is_empty());
    assert_eq!(card("none").features["recipe"], json!({ "name": "made up" }));
}

/// The value of a metric of a subset, epoch by epoch.
pub fn curve(bench: &Bench, written: &sndpipe_engine::Written, subset: &str, metric: &str) -> Vec<f64> {
    let table = bench.table(&written.outputs[1]);
    let (subsets, metrics) =
        (columns::text(&table, "subset").unwrap(), columns::text(&table, "metric").unwrap());
    let rows = subsets.iter().zip(&metrics).zip(columns::number(&table, "value").unwrap());
    rows.filter(|((s, m), _)| *s == subset && *m == metric).filter_map(|(_, value)| value).collect()
}

#[test]
fn the_best_epoch_is_that_of_a_training_that_ends_there() {
    let bench = Bench::new();
    let mut task = Task::new(60);
    // A quarter of the labels is wrong, so that what is learnt by heart does harm.
    for labels in task.labels.clips.values_mut().step_by(4) {
        *labels = labels.iter().map(|(class, state)| ((class + 1) % 3, *state)).collect();
    }
    let stopping = json!({ "metric": "loss", "patience": 3 });
    let changes = |epochs: u32, select: &str| json!({ "epochs": epochs, "select": select, "rate": 0.05 });
    let mut with = small(changes(60, "best"));
    with["early_stopping"] = stopping;
    let written = task.train(&bench, with);
    let losses = curve(&bench, &written, "val", "loss");
    let best = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 + 1;
    assert_eq!(losses.len(), best + 3, "{losses:?}");
    assert!(losses.len() < 60);
    assert!(
        written.remarks[0]
            .contains(&format!("stopped early after {} of 60 epochs, epoch {best} chosen", best + 3)),
        "{:?}",
        written.remarks
    );
    let short = task.train(&bench, small(changes(best as u32, "last")));
    assert!(bench.model(&written) == bench.model(&short));
}

#[test]
fn the_schedule_is_in_the_history() {
    let bench = Bench::new();
    let schedule = json!({ "name": "step", "at": [0.5, 4], "factor": 0.1 });
    let written = Task::new(20)
        .train(&bench, small(json!({ "epochs": 5, "rate": 1e-2, "schedule": schedule, "warm_up": 1 })));
    let rates = curve(&bench, &written, "train", "rate");
    let expected = [1e-2, 1e-2, 1e-2, 1e-3, 1e-4];
    assert!(rates.iter().zip(expected).all(|(rate, expected)| (rate - expected).abs() < 1e-12), "{rates:?}");
    assert_eq!(curve(&bench, &written, "train", "patch_accuracy").len(), 5);
}

#[test]
fn drop_last_leaves_out_what_does_not_fill_a_batch() {
    let bench = Bench::new();
    // 18 of 30 clips train: batches of 8, 8 and 2.
    let task = Task::new(30);
    let model = |changes| bench.model(&task.train(&bench, small(changes)));
    assert!(model(json!({ "epochs": 1 })) != model(json!({ "epochs": 1, "drop_last": true })));
    assert!(
        model(json!({ "epochs": 1, "batch": 9 }))
            == model(json!({ "epochs": 1, "batch": 9, "drop_last": true }))
    );
}

#[track_caller]
fn refuse(task: &Task, changes: serde_json::Value, expected: &str) {
    let error = task.try_train(&Bench::new(), small(changes)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_cannot_be_trained_is_said() {
    let mut task = Task::new(20);
    // Every step multiplies the weights by a million, so that they leave the range of numbers within seven.
    let diverging = |batch: usize| json!({ "batch": batch, "rate": 1e3, "optimiser": { "name": "sgd", "weight_decay": 1e3 } });
    let bench = Bench::new();
    let error = task.try_train(&bench, small(diverging(1))).map(|_| ()).unwrap_err().to_string();
    let (place, file) = error.split_once("; the weights before it are in `").unwrap();
    assert!(place.contains(" in epoch 1, step "), "{error}");
    let weights = fs_err::read(file.trim_end_matches('`')).unwrap();
    assert!(Model::load(&weights, DeviceKind::Cpu).is_ok());
    let huge = json!({ "network": { "name": "mlp", "hidden": [65536, 1048576] } });
    refuse(&task, huge, "of the network needs about 256.0 GiB of memory, and ");
    refuse(&task, diverging(3), "after epoch 1: clip `clip002`: the scores are not finite");
    refuse(
        &task,
        json!({ "batch": 100, "drop_last": true }),
        "a batch of 100 is larger than the training subset of 12",
    );
    task.split.clips.retain(|_, subset| *subset != Subset::Val);
    let stopping = json!({ "early_stopping": { "metric": "accuracy", "patience": 2 } });
    refuse(&task, stopping, "`early_stopping` needs a validation subset, and the split has none");
    refuse(&task, json!({ "select": "best" }), "`select: best` needs a validation subset");
    task.labels.clips.get_mut("clip000").unwrap().insert(1, State::Present);
    refuse(&task, json!({}), "clip `clip000` has 2 classes, and the loss needs exactly one");
    task.labels.clips.get_mut("clip000").unwrap().remove(&1);
    let Values::F32(values) = &mut task.rows[1].1.values else { unreachable!() };
    values[3] = f32::INFINITY;
    refuse(&task, json!({}), "clip `clip001`: the features hold values that are not finite");
    values_removed(&mut task);
    refuse(&task, json!({}), "clip `clip001`: the features hold");
    task.split.clips.retain(|_, subset| *subset != Subset::Train);
    refuse(&task, json!({}), "no clip of the training subset has features and labels");
}

fn values_removed(task: &mut Task) {
    let Values::F32(values) = &mut task.rows[1].1.values else { unreachable!() };
    values.pop();
}

#[test]
fn clips_that_cannot_be_used_are_counted() {
    let bench = Bench::new();
    let mut task = Task::new(40);
    task.labels.clips.remove("clip001");
    task.split.clips.insert("nowhere".to_owned(), Subset::Val);
    let written = task.train(&bench, small(json!({ "epochs": 1 })));
    assert_eq!(written.remarks[0], "training clips left out: 1 without a class (the first is `clip001`)");
    assert_eq!(written.remarks[1], "validation clips left out: 1 without features (the first is `nowhere`)");
}
