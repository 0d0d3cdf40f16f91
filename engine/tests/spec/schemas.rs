//! The JSON schema agrees with the compiler.

use serde_json::{Value, json};
use sndpipe_engine::schema;

use super::{EXAMPLE, describe, graph, kinds};

fn validator() -> jsonschema::Validator {
    let schema = schema(&kinds::registry());
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::draft202012::new(&schema).unwrap()
}

/// The example of the documentation as JSON, which is YAML too.
fn example() -> Value {
    json!({
        "version": 1,
        "name": "esc50",
        "params": { "root": "data/ESC-50", "sample_rate": 22050 },
        "matrix": { "fold": [1, 2, 3, 4, 5], "loss": { "cce": { "name": "cce" }, "lq": { "name": "lq", "q": 0.7 } } },
        "stages": {
            "clips": { "uses": "data", "with": { "root": "${root}" } },
            "audio": { "uses": "decode", "in": "clips", "with": { "sample_rate": "${sample_rate}" } },
            "mel": { "uses": "spectrogram", "in": "audio", "with": { "bands": 96, "hop_ms": 10 } },
            "split": { "uses": "split.folds", "in": "clips", "with": { "test": "${fold}" } },
            "model": {
                "uses": "train",
                "in": { "features": "mel", "labels": "clips.labels", "split": "split" },
                "with": { "loss": "${loss}", "epochs": 60, "seed": 0 },
            },
            "scores": {
                "uses": "score",
                "in": { "model": "model", "features": "mel", "split": "split" },
                "with": { "subset": "test" },
            },
            "eval": { "uses": "evaluate", "in": { "scores": "scores", "labels": "clips.labels" } },
            "table": {
                "uses": "table",
                "in": { "metrics": { "from": "eval", "collect": ["fold", "loss"] } },
                "with": { "rows": "loss", "over": ["fold"] },
            },
        },
    })
}

#[test]
fn a_file_may_be_json() {
    let lines = |text: &str| {
        let mut lines = describe(&graph(text));
        lines.sort();
        lines
    };
    assert_eq!(lines(&example().to_string()), lines(EXAMPLE));
}

#[test]
fn valid_files_are_accepted() {
    let validator = validator();
    let check = |file: &Value| {
        let errors: Vec<String> =
            validator.iter_errors(file).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{file:#}");
    };
    check(&example());
    check(
        &json!({ "extends": "base.yaml", "stages": { "model": { "with": { "epochs": 3, "seed": null } }, "mel": null } }),
    );
    check(&json!({ "extends": "base.yaml", "params": null }));
    let stages = |stage: Value| json!({ "version": 1, "stages": { "s": stage } });
    check(&stages(
        json!({ "uses": "spectrogram", "in": "a[fold=1].b", "with": { "bands": "${bands}", "augment": [{ "kind": "${kind}" }, "${step}"] } }),
    ));
    check(&stages(
        json!({ "uses": "spectrogram", "in": null, "with": "${all}", "keep": false, "description": "x" }),
    ));
    check(&stages(json!({ "uses": "table", "in": { "metrics": { "from": "a.b", "collect": "fold" } } })));
    check(&stages(json!({ "uses": "decode", "with": null })));
    check(
        &json!({ "version": 1, "matrix": { "a": [1, true, "x"], "b": { "x": { "y": 1 }, "z": 3 }, "c": "${a}" }, "zip": [["a", "b"]], "exclude": [{ "a": 1 }], "stages": { "s": { "uses": "decode" } } }),
    );
}

#[test]
fn wrong_files_are_refused() {
    let validator = validator();
    let check = |edit: &dyn Fn(&mut Value)| {
        let mut file = example();
        edit(&mut file);
        assert!(!validator.is_valid(&file), "{file:#}");
    };
    check(&|file| file["vresion"] = json!(1));
    check(&|file| file["version"] = json!(2));
    check(&|file| drop(file.as_object_mut().unwrap().remove("version")));
    check(&|file| file["stages"] = json!({}));
    check(&|file| file["stages"]["a-b"] = json!({ "uses": "decode" }));
    check(&|file| file["stages"]["mel"]["uses"] = json!("spectogram"));
    check(&|file| file["stages"]["mel"]["withh"] = json!({}));
    check(&|file| file["stages"]["mel"]["with"]["bandz"] = json!(3));
    check(&|file| file["stages"]["mel"]["with"]["bands"] = json!("many"));
    check(&|file| file["stages"]["mel"]["with"] = json!({}));
    check(&|file| drop(file["stages"]["mel"].as_object_mut().unwrap().remove("with")));
    check(&|file| file["stages"]["mel"]["with"]["augment"] = json!([{ "kind": "nothing" }]));
    check(&|file| file["stages"]["mel"]["in"] = json!(3));
    check(&|file| file["stages"]["table"]["in"] = json!({ "metrics": { "form": "eval" } }));
    check(&|file| file["matrix"]["fold"] = json!([]));
    check(&|file| file["matrix"]["fold"] = json!([[1]]));
}

#[test]
fn descriptions_reach_the_editor() {
    let schema = schema(&kinds::registry());
    let with = &schema["$defs"]["with.spectrogram"];
    assert_eq!(with["properties"]["bands"]["description"], "Number of bands.");
    assert_eq!(with["properties"]["hop_ms"]["default"], 10.0);
    assert_eq!(
        schema["$defs"]["with.spectrogram.Step"]["properties"]["width"]["description"],
        "How wide, in frames."
    );
    let kinds = schema["$defs"]["stage"]["properties"]["uses"]["oneOf"].as_array().unwrap();
    assert!(kinds.contains(&json!({ "const": "decode", "description": "Decodes clips." })));
}
