//! Scores of clips.

use serde_json::json;
use sndpipe_cache::{Row, Values};
use sndpipe_engine::RowCounts;
use sndpipe_stages::artefacts::Subset;

use crate::bench::{BANDS, Bench, CLASSES, Task, meta, small};

#[test]
fn a_subset_is_scored_clip_by_clip() {
    let bench = Bench::new();
    let task = Task::new(40);
    let [features, _, split] = task.put(&bench);
    let model = task.train(&bench, small(json!({ "epochs": 2 }))).outputs.remove(0);
    let wires = [("features", &features), ("model", &model), ("split", &split)];
    let scores = bench.run("score", json!({ "subset": "test" }), &wires);
    let rows = bench.store.open_rows(&scores.outputs[0]).unwrap();
    let test: Vec<&str> = task.split.of(Subset::Test).collect();
    assert_eq!(rows.ids().iter().collect::<Vec<_>>(), test);
    assert_eq!(scores.outputs[0].meta["classes"], json!(CLASSES));
    for position in 0..rows.len() {
        let row = rows.row(position).unwrap();
        assert_eq!((row.frames, row.values.len()), (1, 3));
        let sum: f32 = row.to_f32().iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    // All clips: the scores of the subset are the same numbers.
    let all = bench.run("score", json!({ "subset": "all" }), &wires[..2]);
    assert_eq!(all.outputs[0].rows, 40);
    let all = bench.store.open_rows(&all.outputs[0]).unwrap();
    for (position, id) in test.iter().enumerate() {
        assert_eq!(all.hash(all.position(id).unwrap()), rows.hash(position));
    }
    let again = bench.run("score", json!({ "subset": "test" }), &wires);
    assert_eq!(again.rows, RowCounts { computed: 0, reused: 8, skipped: 0, remarked: 0 });
}

#[test]
fn a_hop_and_a_mean_change_scores() {
    let bench = Bench::new();
    let task = Task::new(40);
    let [features, _, _] = task.put(&bench);
    let model = task.train(&bench, small(json!({ "epochs": 2 }))).outputs.remove(0);
    let wires = [("features", &features), ("model", &model)];
    let scores = |with| bench.run("score", with, &wires).outputs[0].id;
    let half = scores(json!({ "subset": "all" }));
    assert_eq!(half, scores(json!({ "subset": "all", "hop": 4 })));
    assert_ne!(half, scores(json!({ "subset": "all", "hop": 1 })));
    assert_ne!(half, scores(json!({ "subset": "all", "mean": "geometric" })));
}

#[test]
fn other_features_are_refused() {
    let bench = Bench::new();
    let task = Task::new(20);
    let model = task.train(&bench, small(json!({ "epochs": 1 }))).outputs.remove(0);
    let mut other = meta();
    other.insert("recipe".to_owned(), json!({ "name": "another" }));
    let features = bench.rows("features", other, task.rows.clone());
    let error =
        bench.try_run("score", json!({ "subset": "all" }), &[("features", &features), ("model", &model)]);
    let error = error.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("the model was trained on other features: `recipe` was"), "{error}");
    let broken = Row { frames: 9, values: Values::F32(vec![f32::NAN; 9 * BANDS]) };
    let features = bench.rows("features", meta(), vec![("broken".to_owned(), broken)]);
    let error =
        bench.try_run("score", json!({ "subset": "all" }), &[("features", &features), ("model", &model)]);
    let error = error.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("broken: the scores are not finite"), "{error}");
}
