//! Metrics against scikit-learn and SciPy, and what becomes of clips that cannot be judged.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sndpipe_cache::{Manifest, Meta, Row, Values};
use sndpipe_stages::artefacts::columns;
use sndpipe_stages::artefacts::{Labels, State};

use crate::bench::Bench;

/// Written by `benches/peers/metrics.py`.
const FIXTURE: &str = include_str!("metrics.json");

fn classes(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class{class}")).collect()
}

fn scores(bench: &Bench, scores: &[Vec<f32>]) -> Manifest {
    let rows = scores.iter().enumerate();
    let rows = rows.map(|(clip, scores)| {
        (format!("clip{clip:03}"), Row { frames: 1, values: Values::F32(scores.clone()) })
    });
    let meta = Meta::from([("classes".to_owned(), classes(scores[0].len()).into())]);
    bench.rows("scores", meta, rows.collect())
}

/// The rows of `metrics`: (metric, class) -> (value, n).
fn metrics(bench: &Bench, manifest: &Manifest) -> BTreeMap<(String, Option<String>), (Option<f64>, i64)> {
    let table = bench.table(manifest);
    let names = columns::text(&table, "metric")
        .unwrap()
        .into_iter()
        .zip(columns::maybe_text(&table, "class").unwrap());
    let numbers =
        columns::number(&table, "value").unwrap().into_iter().zip(columns::maybe_int(&table, "n").unwrap());
    names.zip(numbers.map(|(value, n)| (value, n.unwrap()))).collect()
}

#[track_caller]
fn close(got: Option<f64>, expected: &Value, what: &str) {
    match (got, expected.as_f64()) {
        (None, None) => {}
        (Some(got), Some(expected)) => {
            assert!((got - expected).abs() < 1e-12, "{what}: {got} instead of {expected}")
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn every_metric_agrees_with_scikit_learn() {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let bench = Bench::new();
        let truth: Vec<Vec<u8>> = serde_json::from_value(case["truth"].clone()).unwrap();
        let values: Vec<Vec<f32>> = serde_json::from_value(case["scores"].clone()).unwrap();
        let mut labels = Labels { classes: classes(5), ..Labels::default() };
        for (clip, truth) in truth.iter().enumerate() {
            let present =
                (0..5).filter(|&class| truth[class] == 1).map(|class| (class, State::Present)).collect();
            labels.clips.insert(format!("clip{clip:03}"), present);
        }
        let wires = [("scores", &scores(&bench, &values)), ("labels", &bench.labels(&labels))];
        let written = bench.run("evaluate", json!({}), &wires);
        let found = metrics(&bench, &written.outputs[0]);
        let name = &case["name"];
        for metric in [
            "accuracy",
            "balanced_accuracy",
            "mAP@3",
            "mAP",
            "AUC",
            "dprime_macro",
            "dprime_of_mean_auc",
            "lwlrap",
        ] {
            if let Some(expected) = case.get(metric) {
                close(found[&(metric.to_owned(), None)].0, expected, &format!("{name}: {metric}"));
            }
        }
        for (class, class_name) in classes(5).into_iter().enumerate() {
            for (metric, key) in [
                ("average_precision", "average_precision"),
                ("AUC", "AUC_by_class"),
                ("dprime", "dprime"),
                ("lwlrap", "lwlrap_by_class"),
                ("mAP@3", "mAP@3_by_class"),
            ] {
                if let Some(expected) = case.get(key) {
                    let got = found[&(metric.to_owned(), Some(class_name.clone()))].0;
                    close(got, &expected[class], &format!("{name}: {metric} of {class_name}"));
                }
            }
        }
        if let Some(confusion) = case.get("confusion") {
            let expected: Vec<Vec<i64>> = serde_json::from_value(confusion.clone()).unwrap();
            let table = bench.table(&written.outputs[1]);
            let counts: Vec<i64> = columns::maybe_int(&table, "n").unwrap().into_iter().flatten().collect();
            assert_eq!(counts, expected.concat());
        }
        let undefined = case["name"] == "a class without positives";
        assert_eq!(
            written.remarks.iter().any(|remark| remark.ends_with("left out of means: class3")),
            undefined
        );
    }
}

#[test]
fn clips_without_labels_are_reported() {
    let bench = Bench::new();
    let scores = scores(&bench, &[vec![0.9, 0.1], vec![0.4, 0.6], vec![0.7, 0.3]]);
    let mut labels = Labels { classes: classes(2), ..Labels::default() };
    labels.clips.insert("clip000".to_owned(), [(0, State::Present)].into());
    labels.clips.insert("clip002".to_owned(), [(1, State::Present)].into());
    let written =
        bench.run("evaluate", json!({}), &[("scores", &scores), ("labels", &bench.labels(&labels))]);
    assert_eq!(written.remarks, ["1 clip without a class, left out: clip001"]);
    let found = metrics(&bench, &written.outputs[0]);
    assert_eq!(found[&("accuracy".to_owned(), None)], (Some(0.5), 2));
    let predictions = bench.table(&written.outputs[2]);
    assert_eq!(columns::text(&predictions, "clip_id").unwrap(), ["clip000", "clip002"]);
    assert_eq!(columns::maybe_int(&predictions, "correct").unwrap(), [Some(1), Some(0)]);

    let with = json!({ "task": "multi_label" });
    let written = bench.run("evaluate", with, &[("scores", &scores), ("labels", &bench.labels(&labels))]);
    assert_eq!(written.remarks, ["1 clip without a class, counted as having no class: clip001"]);
    let counts = bench.table(&written.outputs[1]);
    let column =
        |name: &str| columns::maybe_int(&counts, name).unwrap().into_iter().flatten().collect::<Vec<_>>();
    // At 0.5: class0 is predicted for clips 0 and 2, class1 for clip 1.
    assert_eq!([column("tp"), column("fp"), column("fn"), column("tn")], [[1, 0], [1, 1], [0, 1], [1, 1]]);
}

#[track_caller]
fn refuse(values: &[Vec<f32>], labels: &Labels, with: Value, expected: &str) {
    let bench = Bench::new();
    let wires = [("scores", &scores(&bench, values)), ("labels", &bench.labels(labels))];
    let error = bench.try_run("evaluate", with, &wires).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, expected);
}

#[test]
fn what_cannot_be_judged_is_said() {
    let mut labels = Labels { classes: classes(2), ..Labels::default() };
    refuse(&[vec![0.5, 0.5]], &labels, json!({}), "none of the scored clips has a label");
    labels.clips.insert("clip000".to_owned(), [(0, State::Present), (1, State::Present)].into());
    refuse(
        &[vec![0.5, 0.5]],
        &labels,
        json!({ "task": "multi_class" }),
        "clip `clip000` has 2 classes, and the task is `multi_class`",
    );
    refuse(
        &[vec![0.5, f32::NAN]],
        &labels,
        json!({}),
        "clip `clip000` has the score NaN for the class `class1`",
    );
    refuse(
        &[vec![0.5]],
        &labels,
        json!({}),
        "clip `clip000` has the class `class1`, which there is no score of",
    );
}
