//! What is learnt elsewhere, put to use: raw features and random encoders as baselines, classifiers on embeddings, curves over epochs.

use serde_json::{Value, json};
use sndpipe_cache::{Manifest, Meta};
use sndpipe_engine::{Axes, Upstream};
use sndpipe_stages::artefacts::Subset;
use sndpipe_stages::artefacts::columns;

use crate::bench::{BANDS, Bench, Run, Task, Wire, small};
use crate::train::curve;

#[test]
fn raw_features_become_vectors() {
    let (bench, task) = (Bench::new(), Task::new(20));
    let [features, _, split] = task.put(&bench);
    let run = |with: Value| {
        let wires = [("features", &features), ("split", &split)];
        let written = bench.run("embed.raw", with, &wires).outputs.remove(0);
        (written.meta["size"].clone(), bench.store.open_rows(&written).unwrap())
    };
    let of = |id: &str| {
        let row = &task.rows.iter().find(|(name, _)| name == id).unwrap().1;
        (row.frames as usize, row.as_ref().to_f32().into_owned())
    };
    // Means over all frames of the clip, band by band.
    let (size, clips) = run(json!({ "form": "mean", "subset": "test" }));
    assert_eq!((size, clips.len()), (json!(BANDS), 4));
    for (position, id) in clips.ids().iter().enumerate() {
        let ((frames, values), found) = (of(id), clips.row(position).unwrap());
        for band in 0..BANDS {
            let mean =
                values.iter().skip(band).step_by(BANDS).map(|&x| f64::from(x)).sum::<f64>() / frames as f64;
            assert!((f64::from(found.to_f32()[band]) - mean).abs() < 1e-5);
        }
    }
    // The numbers of every patch of 4 frames, every 2; a clip is their mean.
    let flat = json!({ "patch": { "frames": 4 }, "per": "patch" });
    let (size, patches) = run(flat);
    assert_eq!((size, patches.len()), (json!(4 * BANDS), 20));
    let (frames, values) = of("clip003");
    let found = patches.row(patches.position("clip003").unwrap()).unwrap();
    assert_eq!(found.frames as usize, (frames - 4) / 2 + 1);
    assert_eq!(found.to_f32()[4 * BANDS..8 * BANDS], values[2 * BANDS..6 * BANDS]);
    let (_, clips) = run(json!({ "patch": { "frames": 4 } }));
    let clip = clips.row(clips.position("clip003").unwrap()).unwrap();
    let sum: f64 = found.to_f32().iter().skip(5).step_by(4 * BANDS).map(|&x| f64::from(x)).sum();
    assert!((f64::from(clip.to_f32()[5]) - sum / f64::from(found.frames)).abs() < 1e-5);
}

#[test]
fn an_encoder_that_was_not_trained_is_random() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let none = |changes: Value| {
        let mut with = small(json!({ "epochs": 0 }));
        changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
        task.train(&bench, with)
    };
    let random = none(json!({}));
    assert_eq!(bench.table(&random.outputs[1]).num_rows(), 0);
    assert!(bench.model(&random) == bench.model(&none(json!({}))));
    assert!(bench.model(&random) != bench.model(&none(json!({ "seed": 2 }))));
    assert!(bench.model(&random) != bench.model(&task.train(&bench, small(json!({ "epochs": 1 })))));
    // It can be used as any other one.
    let [features, labels, split] = task.put(&bench);
    let wires = [("features", &features), ("model", &random.outputs[0])];
    let vectors = bench.run("embed", json!({}), &wires).outputs.remove(0);
    let knn = json!({ "protocol": { "name": "memory_bank", "k": 5 } });
    let wires = [("embeddings", &vectors), ("labels", &labels), ("split", &split)];
    let judged = bench.run("evaluate.knn", knn, &wires);
    let accuracy = bench.metric(&judged.outputs[0], "accuracy").unwrap();
    assert!(accuracy > 0.5, "three classes that differ in level are told apart by chance, too: {accuracy}");
}

/// Embeddings of a task by a trained encoder.
fn embedded(bench: &Bench, task: &Task, per: &str) -> Manifest {
    let [features, ..] = task.put(bench);
    let model = task.train(bench, small(json!({ "epochs": 4 })));
    let wires = [("features", &features), ("model", &model.outputs[0])];
    bench.run("embed", json!({ "per": per }), &wires).outputs.remove(0)
}

#[test]
fn a_shallow_classifier_learns_from_embeddings() {
    let (bench, task) = (Bench::new(), Task::new(60));
    let [_, labels, split] = task.put(&bench);
    for per in ["clip", "patch"] {
        let vectors = embedded(&bench, &task, per);
        let wires = [("features", &vectors), ("labels", &labels), ("split", &split)];
        let linear = json!({
            "network": { "name": "mlp", "hidden": [] }, "patch": { "frames": 1 }, "epochs": 20, "rate": 0.05,
        });
        let model = bench.run("train", linear, &wires).outputs.remove(0);
        let wires = [("features", &vectors), ("model", &model), ("split", &split)];
        let scores = bench.run("score", json!({}), &wires).outputs.remove(0);
        let judged = bench.run("evaluate", json!({}), &[("scores", &scores), ("labels", &labels)]);
        let accuracy = bench.metric(&judged.outputs[0], "accuracy").unwrap();
        assert!(accuracy > 0.9, "{accuracy} with vectors of each {per}");
        let losses = [("features", &vectors), ("model", &model), ("split", &split), ("labels", &labels)];
        bench.run("losses", json!({}), &losses);
    }
    // The raw features, as flat as they come.
    let [features, ..] = task.put(&bench);
    let raw = bench.run(
        "embed.raw",
        json!({ "patch": { "frames": 6 }, "per": "patch" }),
        &[("features", &features)],
    );
    let wires = [("features", &raw.outputs[0]), ("labels", &labels), ("split", &split)];
    let with = small(json!({ "patch": { "frames": 1 }, "standardise": "per_band" }));
    let written = bench.run("train", with, &wires);
    let last = curve(&bench, &written, "val", "accuracy").pop().unwrap();
    assert!(last > 0.8, "{last}");
}

#[test]
fn several_vectors_are_no_patch() {
    let registry = sndpipe_stages::registry();
    let bind = |name: &str, with: Value| registry.get(name).unwrap().bind(&with).unwrap();
    let embed = bind("embed", json!({}));
    let wired = Upstream { port: "features", stage: &*embed, output: &embed.outputs()[0], items: &[] };
    let errors = bind("train", json!({})).check_wiring(&[wired]);
    assert_eq!(errors[0].path, "patch.frames");
    assert_eq!(errors[0].message, "the features are embeddings, and 101 of them would be one patch");
    assert_eq!(bind("train", json!({ "patch": { "frames": 1 } })).check_wiring(&[wired]), []);
}

#[test]
fn a_curve_of_the_test_subset_changes_nothing_else() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let best = json!({ "epochs": 4, "select": "best", "schedule": { "name": "plateau", "patience": 1 } });
    let plain = task.train(&bench, small(best.clone()));
    let mut with = best;
    with["test_curve"] = json!(true);
    let watched = task.train(&bench, small(with.clone()));
    assert!(bench.model(&plain) == bench.model(&watched));
    for (subset, metric) in [("val", "accuracy"), ("train", "loss"), ("train", "rate")] {
        assert_eq!(curve(&bench, &plain, subset, metric), curve(&bench, &watched, subset, metric));
    }
    assert!(curve(&bench, &plain, "test", "accuracy").is_empty());
    assert_eq!(curve(&bench, &watched, "test", "accuracy").len(), 4);
    // The last value is that of scoring and evaluating the test subset with the same weights.
    let last = json!({ "epochs": 3, "test_curve": true });
    let written = task.train(&bench, small(last.clone()));
    let judged = task.judge(&bench, small(last), json!({ "subset": "test" }));
    for metric in ["accuracy", "balanced_accuracy", "mAP"] {
        let curve = curve(&bench, &written, "test", metric);
        assert_eq!(Some(curve[2]), bench.metric(&judged.outputs[0], metric), "{metric}");
    }
    let mut none = Task::new(40);
    none.split.clips.retain(|_, subset| *subset != Subset::Test);
    let error = none.try_train(&bench, small(with)).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("`test_curve` needs a test subset"), "{error}");
}

#[test]
fn histories_become_a_curve_and_the_epochs_it_took() {
    let (bench, task) = (Bench::new(), Task::new(40));
    let mut cells: Vec<(Axes, Manifest)> = Vec::new();
    for (start, rate) in [("slow", 1e-3), ("fast", 1e-2)] {
        for seed in 0..2 {
            let with = small(json!({ "epochs": 12, "rate": rate, "seed": seed, "test_curve": true }));
            let history = task.train(&bench, with).outputs.remove(1);
            let with = json!({ "metric": ["accuracy", "loss"], "subset": "test", "reach": [0.7] });
            let metrics = bench.run("evaluate.history", with, &[("history", &history)]).outputs.remove(0);
            let axes = vec![("start".to_owned(), start.to_owned()), ("seed".to_owned(), seed.to_string())];
            cells.push((axes, metrics));
        }
    }
    let took: Vec<Option<f64>> =
        cells.iter().map(|(_, metrics)| bench.metric(metrics, "epochs_to_accuracy_0.7")).collect();
    for cell in 0..4 {
        let value = |epoch: u32| bench.metric(&cells[cell].1, &format!("accuracy_after_{epoch}")).unwrap();
        let first = (1..=12).find(|&epoch| value(epoch) >= 0.7);
        assert_eq!(took[cell], first.map(f64::from));
    }
    assert!(took[2].is_some() && took[3].is_some(), "the fast ones get there");
    // One training ended early: the curve has a gap there and no mistake.
    let short =
        task.train(&bench, small(json!({ "epochs": 3, "seed": 7, "test_curve": true }))).outputs.remove(1);
    let with = json!({ "metric": ["accuracy", "loss"], "subset": "test", "reach": [0.7] });
    let metrics = bench.run("evaluate.history", with, &[("history", &short)]).outputs.remove(0);
    cells.push((vec![("start".to_owned(), "slow".to_owned()), ("seed".to_owned(), "2".to_owned())], metrics));
    let wires: Vec<Wire<'_>> =
        vec![("metrics", cells.iter().map(|(axes, manifest)| (axes.clone(), manifest)).collect())];
    let with = json!({ "metric": "accuracy_after_*", "lines": "start", "over": "seed", "x_label": "epochs" });
    let written = bench.run_as("curves", "plot", with, &wires, &Run::default()).unwrap();
    let points = bench.table(&written.outputs[1]);
    assert_eq!(columns::text(&points, "x").unwrap()[..3], ["1", "2", "3"]);
    let counts = columns::maybe_int(&points, "n").unwrap();
    assert_eq!((counts[0], counts[11], counts[12]), (Some(3), Some(2), Some(2)));
    let with = json!({ "rows": "start", "metric": "epochs_to_accuracy_0.7" });
    let written = bench.run_as("took", "table", with, &wires, &Run::default()).unwrap();
    assert_eq!(written.outputs[0].meta["display"]["mean"], "plain");
    let means = columns::number(&bench.table(&written.outputs[0]), "mean").unwrap();
    assert_eq!(means[1], Some(f64::midpoint(took[2].unwrap(), took[3].unwrap())));
}

#[test]
fn embeddings_without_a_size_are_read_by_their_rows() {
    let (bench, task) = (Bench::new(), Task::new(20));
    let rows = task.rows.iter().map(|(id, row)| (id.clone(), row.clone())).collect();
    let vectors = bench.rows("embeddings", Meta::new(), rows);
    let labels = bench.labels(&task.labels);
    let wires = [("embeddings", &vectors), ("labels", &labels)];
    let written = bench.run("evaluate.knn", json!({ "subset": "all" }), &wires);
    assert!(bench.metric(&written.outputs[0], "accuracy").is_some());
}
