//! What runs, what does not, and what is said about it.

use std::process::Stdio;

use crate::sandbox::{Sandbox, check, check_costs};

#[test]
fn a_second_run_computes_nothing() {
    let sandbox = Sandbox::toy();
    let first = sandbox.ok("run toy.yaml --jobs 1");
    assert!(first.stdout.is_empty(), "{first}");
    check("run_first", &first);
    check("run_second", sandbox.ok("run toy.yaml"));
}

#[test]
fn json_has_the_fields_of_the_contract() {
    let sandbox = Sandbox::toy();
    let first = sandbox.ok("run toy.yaml --format json");
    assert!(first.stderr.is_empty(), "{first}");
    let lines = first.json();
    assert_eq!(lines.len(), 4);
    for stage in &lines[..3] {
        for field in [
            "event",
            "stage",
            "axes",
            "status",
            "seconds",
            "rows_computed",
            "rows_reused",
            "rows_skipped",
            "rows_remarked",
            "key",
            "reason",
        ] {
            assert!(stage.get(field).is_some(), "no `{field}` in {stage}");
        }
        assert_eq!(
            (&stage["event"], &stage["status"], &stage["reason"]),
            (&"stage".into(), &"ran".into(), &"never ran".into())
        );
    }
    let done = &lines[3];
    let counts = ["ran", "cached", "failed", "skipped"].map(|field| done[field].as_u64().unwrap());
    assert_eq!((done["event"].as_str().unwrap(), counts), ("done", [3, 0, 0, 0]));
    assert!(done["seconds"].is_number());
    let second = sandbox.ok("run toy.yaml --format json");
    assert_eq!(second.statuses(), ["copy cached", "count cached", "words cached"]);
}

#[test]
fn one_stage_brings_what_it_needs() {
    let sandbox = Sandbox::toy();
    assert_eq!(sandbox.ok("run toy.yaml count --format json").statuses(), ["count ran", "words ran"]);
    assert_eq!(
        sandbox.ok("run toy.yaml --format json").statuses(),
        ["copy ran", "count cached", "words cached"]
    );
    assert_eq!(
        sandbox.ok("run toy.yaml --force count --format json").statuses(),
        ["copy cached", "count ran", "words cached"]
    );
}

#[test]
fn a_changed_parameter_is_told_before_it_runs() {
    let sandbox = Sandbox::toy();
    sandbox.ends("plan toy.yaml --check", 4);
    sandbox.ok("run toy.yaml");
    sandbox.ok("plan toy.yaml --check");
    check("plan_current", sandbox.ok("plan toy.yaml"));
    check("plan_all", sandbox.ok("plan toy.yaml --all"));
    // A word of the same length: `count` gives the same number, so early cutoff is at work.
    let plan = sandbox.ends("plan toy.yaml --set word=howdy --check", 4);
    check("plan_changed", &plan);
    check("dry_run", sandbox.ok("run toy.yaml --set word=howdy --dry-run"));
    check("explain_changed", sandbox.ok("explain toy.yaml words --set word=howdy"));
    check("explain_maybe", sandbox.ok("explain toy.yaml count --set word=howdy"));
    check("explain_cached", sandbox.ok("explain toy.yaml words"));
    let json = sandbox.ok("plan toy.yaml --set word=howdy --format json");
    assert_eq!(json.statuses(), ["copy maybe", "count maybe", "words would_run"]);
    sandbox.ok("plan toy.yaml --check");
}

#[test]
fn order_and_comments_change_nothing() {
    let sandbox = Sandbox::toy();
    sandbox.ok("run toy.yaml");
    sandbox.edit("toy.yaml", "name: toy\n", "# A comment.\nname: toy\n\n");
    sandbox.edit(
        "toy.yaml",
        "uses: command\n    in: { text: words }",
        "in: { text: words }\n    uses: command",
    );
    sandbox.ok("plan toy.yaml --check");
}

#[test]
fn a_failure_is_shown_with_a_way_out_and_spares_the_rest() {
    let sandbox = Sandbox::toy();
    sandbox.edit("toy.yaml", "wc -c < {in.text} > {out.number}", "echo it went wrong >&2; exit 3");
    sandbox.write("more.yaml", "extends: toy.yaml\nstages:\n  last: { uses: command, in: { n: count }, with: { program: [cp, \"{in.n}\", \"{out.n}\"], inputs: { n: file }, outputs: { n: file } } }\n");
    let ran = sandbox.ends("run more.yaml --jobs 1", 1);
    check("run_failed", &ran);
    assert_eq!(
        sandbox.ends("run more.yaml --format json", 1).statuses(),
        ["copy cached", "count failed", "last skipped", "words cached"]
    );
    let logs = sandbox.ok("logs more.yaml count");
    assert!(logs.stdout.contains("it went wrong"), "{logs}");
}

#[test]
fn logs_of_cached_stages_stay() {
    let sandbox = Sandbox::toy();
    check("logs_none", sandbox.ends("logs toy.yaml words", 1));
    sandbox.ok("run toy.yaml");
    sandbox.ok("run toy.yaml");
    let logs = sandbox.ok("logs toy.yaml words");
    assert!(logs.stdout.contains("said hello"), "{logs}");
}

#[test]
fn past_runs_are_listed() {
    let sandbox = Sandbox::toy();
    check("runs_none", sandbox.ok("runs"));
    sandbox.ends("runs show last", 1);
    sandbox.ok("run toy.yaml --set word=howdy --jobs 1");
    sandbox.ok("run toy.yaml --set word=howdy --jobs 1");
    let runs = sandbox.ok("runs --format json").json();
    assert_eq!(runs.len(), 2);
    assert!(runs[0]["id"].as_str() > runs[1]["id"].as_str(), "the latest comes first");
    check_costs("runs_list", sandbox.ok("runs --limit 1"));
    let oldest = runs[1]["id"].as_str().unwrap();
    let shown = sandbox.ok(&format!("runs show {oldest}"));
    assert!(
        shown.stdout.contains("set       word=howdy") && shown.stdout.contains("3 stages: 3 ran"),
        "{shown}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::toy();
    for line in ["schema", "run toy.yaml --format json", "plan toy.yaml --all", "stages", "completions bash"]
    {
        let mut child =
            sandbox.command(line.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    sandbox.ok("plan toy.yaml --check");
}

#[test]
fn the_cache_can_lie_elsewhere() {
    let sandbox = Sandbox::toy();
    sandbox.ok("run toy.yaml --cache one");
    sandbox.ok("plan toy.yaml --check --cache one");
    let output =
        sandbox.command(["plan", "toy.yaml", "--check"]).env("SNDPIPE_CACHE", "one").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!sandbox.path(".sndpipe").exists());
}
