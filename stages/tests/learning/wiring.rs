//! What the planner refuses before anything runs.

use serde_json::{Value, json};
use sndpipe_engine::{BoundStage, Upstream};
use std::sync::Arc;

fn bind(stage: &str, with: Value) -> Arc<dyn BoundStage> {
    sndpipe_stages::registry().get(stage).unwrap().bind(&with).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[track_caller]
fn check(train: Value, split: (&str, Value), expected: &[&str]) {
    let split = bind(split.0, split.1);
    let wired = Upstream { port: "split", stage: &*split, output: &split.outputs()[0] };
    let errors: Vec<String> = bind("train", train)
        .check_wiring(&[wired])
        .into_iter()
        .map(|error| format!("{}: {}", error.path, error.message))
        .collect();
    assert_eq!(errors, expected);
}

#[test]
fn early_stopping_needs_a_split_that_validates() {
    let stopping = json!({ "early_stopping": { "metric": "loss", "patience": 3 } });
    let refused =
        "early_stopping: a validation subset is needed, and the split keeps none (`val` of `split.folds`)";
    check(stopping.clone(), ("split.folds", json!({ "test": 1 })), &[refused]);
    check(stopping.clone(), ("split.folds", json!({ "test": 1, "val": "none" })), &[refused]);
    check(stopping.clone(), ("split.folds", json!({ "test": 1, "val": "next_fold" })), &[]);
    check(stopping.clone(), ("split.random", json!({ "test": 0.2, "val": 0.1 })), &[]);
    let refused = "select: a validation subset is needed, and the split keeps none (`val` of `split.random`)";
    check(json!({ "select": "best" }), ("split.random", json!({ "test": 0.2 })), &[refused]);
    check(json!({}), ("split.random", json!({ "test": 0.2 })), &[]);
}
