//! Stage kinds, the schema, the starter file and completions.

use crate::sandbox::{Sandbox, check};

#[test]
fn every_stage_kind_is_described() {
    let sandbox = Sandbox::new();
    let list = sandbox.ok("stages");
    let names: Vec<&str> = list.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    for expected in [
        "command",
        "dataset.csv",
        "decode",
        "spectrogram",
        "split.folds",
        "train",
        "score",
        "embed",
        "model.import",
        "evaluate",
        "embed.raw",
        "evaluate.consistency",
        "evaluate.history",
        "evaluate.knn",
        "evaluate.retrieval",
        "evaluate.recovery",
        "labels.corrupt",
        "labels.hide",
        "scenes",
        "table",
        "plot",
        "scatter",
        "tsne",
        "pretrain",
        "views",
    ] {
        assert!(names.contains(&expected), "no `{expected}`\n{list}");
    }
    for line in list.stdout.lines() {
        assert!(line.split("  ").nth(1).is_some(), "`{line}` lacks its documentation");
    }
    for name in names {
        let page = sandbox.ok(&format!("stages {name}"));
        assert!(page.stdout.contains("Parameters"), "{page}");
        let json = sandbox.ok(&format!("stages {name} --format json")).json();
        assert_eq!(json[0]["name"], name);
    }
    check("stages_command", sandbox.ok("stages command"));
    check("stages_model_import", sandbox.ok("stages model.import"));
}

#[test]
fn the_schema_accepts_the_toy_and_refuses_a_typo() {
    let sandbox = Sandbox::new();
    let schema: serde_json::Value = serde_json::from_str(&sandbox.ok("schema").stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let pipeline = |uses: &str| {
        serde_json::json!({
            "version": 1, "name": "toy",
            "stages": { "words": { "uses": uses, "with": { "program": ["true"], "outputs": { "text": "file" } } } },
        })
    };
    assert!(validator.is_valid(&pipeline("command")));
    assert!(!validator.is_valid(&pipeline("comand")));
}

#[test]
fn init_writes_a_pipeline_once() {
    let sandbox = Sandbox::new();
    sandbox.ok("init first");
    check("init_again", sandbox.ends("init first", 2));
    let starter = fs_err::read_to_string(sandbox.path("first/pipeline.yaml")).unwrap();
    assert!(starter.starts_with('#') && starter.contains("dataset.synth"));
    let graph = sandbox.ok("graph first/pipeline.yaml");
    assert!(graph.stdout.contains("model"), "{graph}");
}

#[test]
fn completions_exist_for_every_shell() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(sandbox.ok(&format!("completions {shell}")).stdout.contains("sndpipe"), "{shell}");
    }
}
