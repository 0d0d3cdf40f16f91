//! The JSON schema agrees with the compiler.

use serde_json::{Value, json};
use sndpipe_engine::schema;

use super::{EXAMPLE, kinds};

fn validator() -> jsonschema::Validator {
    let schema = schema(&kinds::registry());
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::draft202012::new(&schema).unwrap()
}

fn example() -> Value {
    // JSON is YAML, so the example is read by the YAML library and written as JSON.
    serde_saphyr::from_str(EXAMPLE).unwrap()
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
