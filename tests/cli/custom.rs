//! A program from outside, with a stage and a metric of its own.

use std::path::Path;

use crate::observe::MEASURED;
use crate::sandbox::{Ran, Sandbox};

/// Runs the example.
fn custom(sandbox: &Sandbox, line: &str) -> Ran {
    let beside = Path::new(env!("CARGO_BIN_EXE_sndpipe")).with_file_name("examples/custom_stage");
    assert!(beside.is_file(), "build it with `cargo build --example custom_stage`, as `cargo test` does");
    sandbox.done(sandbox.program(&beside, line.split(' ')))
}

#[test]
fn a_stage_and_a_metric_from_outside_are_listed_checked_planned_run_and_judged() {
    let own = r#"  errors: { uses: evaluate.errors, in: { scores: scores, labels: clips.labels }, with: { above: 0.4 } }
"#;
    let sandbox = Sandbox::new().file("own.yaml", &format!("{MEASURED}{own}"));
    let shown = custom(&sandbox, "stages evaluate.errors");
    assert!(shown.stdout.contains("share of wrong decisions") && shown.stdout.contains("above"), "{shown}");
    assert!(custom(&sandbox, "schema").stdout.contains("evaluate.errors"));
    let plan = custom(&sandbox, "plan own.yaml");
    assert_eq!(plan.code, Some(0), "{plan}");
    assert!(plan.stdout.contains("errors"), "{plan}");
    let ran = custom(&sandbox, "run own.yaml");
    assert_eq!(ran.code, Some(0), "{ran}");
    let rows = custom(&sandbox, "table own.yaml errors --format json").json();
    assert_eq!(rows.len(), 3, "all classes, and each: {rows:?}");
    assert_eq!((&rows[0]["metric"], &rows[0]["better"]), (&"error_rate".into(), &"lower".into()));
    assert!((0.0..=1.0).contains(&rows[0]["value"].as_f64().unwrap()), "{rows:?}");
    // A mistake in its parameters is found before the run, with its place.
    sandbox.edit("own.yaml", "above: 0.4", "above: 4");
    let wrong = custom(&sandbox, "run own.yaml");
    assert_eq!(wrong.code, Some(2), "{wrong}");
    assert!(wrong.stderr.contains("4 is outside 0..=1") && wrong.stderr.contains("own.yaml:12"), "{wrong}");
    // The program of sndpipe does not know it, and says so.
    sandbox.edit("own.yaml", "above: 4", "above: 0.4");
    let unknown = sandbox.ends("run own.yaml", 2);
    assert!(unknown.stderr.contains("evaluate.errors"), "{unknown}");
}
