//! The JSON schema of pipeline files, for editors.

use serde_json::{Map, Value, json};

use crate::bound::StageKind;
use crate::registry::Registry;

/// JSON schema (draft 2020-12) of the whole pipeline file: every stage kind with its own parameters, each of which may also be a
/// `${…}` reference. A file that extends another one may state parts of stages only.
#[must_use]
pub fn schema(registry: &Registry) -> Value {
    let mut defs = Map::new();
    let mut uses = Vec::new();
    let mut cases = Vec::new();
    for kind in registry.iter() {
        let (name, summary) = (kind.name(), add_kind(&**kind, &mut defs));
        uses.push(json!({ "const": name, "description": summary }));
        let needs_with = defs.get(&def_name(name)).is_some_and(|schema| schema.get("required").is_some());
        let mut then = json!({ "properties": { "with": { "anyOf": [{ "$ref": def_ref(name) }, { "$ref": "#/$defs/reference" }] } } });
        if needs_with {
            then["required"] = json!(["with"]);
        } else if let Some(forms) = then["properties"]["with"]["anyOf"].as_array_mut() {
            forms.push(json!({ "type": "null" }));
        }
        cases.push(json!({ "if": { "properties": { "uses": { "const": name } }, "required": ["uses"] }, "then": then }));
    }
    let name = json!({ "type": "string", "pattern": NAME });
    defs.insert(
        "reference".to_owned(),
        json!({ "type": "string", "pattern": r"\$\{", "description": "A parameter or an axis: `${name}`." }),
    );
    defs.insert("input".to_owned(), input());
    let description = json!({ "type": "string", "description": "A note for people; changes nothing." });
    let keep = json!({ "type": "boolean", "default": true, "description": "`false` drops the output once nothing waits for it." });
    let mut stage = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["uses"],
        "properties": {
            "uses": { "description": "The stage kind.", "oneOf": uses },
            "in": { "$ref": "#/$defs/inputs" },
            "with": { "description": "The parameters of the stage kind." },
            "keep": keep,
            "description": description,
        },
    });
    if !cases.is_empty() {
        stage["allOf"] = Value::Array(cases);
    }
    let patch = json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "uses": { "description": "The stage kind; another one than the base's replaces the stage.", "anyOf": [{ "oneOf": uses }, { "type": "null" }] },
            "in": { "anyOf": [{ "$ref": "#/$defs/inputs" }, { "type": "object" }, { "type": "null" }] },
            "with": { "type": ["object", "string", "null"], "description": "Parameters that differ; `null` removes one." },
            "keep": { "type": ["boolean", "null"] },
            "description": { "type": ["string", "null"] },
        },
    });
    defs.insert(
        "inputs".to_owned(),
        json!({
            "description": "What the stage reads: one stage, or a stage for each input.",
            "anyOf": [
                { "$ref": "#/$defs/source" },
                { "type": "object", "additionalProperties": { "$ref": "#/$defs/input" } },
                { "type": "null" },
            ],
        }),
    );
    defs.insert(
        "source".to_owned(),
        json!({
            "type": "string",
            "pattern": r"^\s*[A-Za-z_][A-Za-z0-9_]*\s*([.\[].*)?$",
            "description": "`stage`, `stage.output`, `stage[axis=label]` or both.",
        }),
    );
    defs.insert("stage".to_owned(), stage);
    defs.insert("patch".to_owned(), patch);
    let stages = |of: &str| {
        json!({
            "type": "object",
            "description": "The stages by name.",
            "propertyNames": name,
            "additionalProperties": { "$ref": format!("#/$defs/{of}") },
        })
    };
    let mut whole = stages("stage");
    whole["minProperties"] = json!(1);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sndpipe pipeline",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "version": { "const": 1, "description": "The version of the file format." },
            "extends": { "type": "string", "description": "A base file, relative to this one: maps merge, lists and scalars replace, `null` removes a key." },
            "name": { "type": ["string", "null"], "description": "The name of the experiment; by default that of the file." },
            "description": { "type": ["string", "null"], "description": "A note for people; changes nothing." },
            "params": { "type": ["object", "null"], "propertyNames": name, "description": "Defaults, for `${name}` and `--set name=value`." },
            "matrix": { "type": ["object", "null"], "propertyNames": name, "additionalProperties": axis(), "description": "The axes along which stages are repeated." },
            "zip": { "type": ["array", "null"], "items": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 2 }] }, "description": "Axes that advance together." },
            "exclude": { "type": ["array", "null"], "items": { "type": "object", "minProperties": 1, "additionalProperties": scalar() }, "description": "Cells that do not exist." },
            "stages": true,
        },
        "if": { "required": ["extends"] },
        "then": { "properties": { "stages": { "anyOf": [stages("patch"), { "type": "null" }] } } },
        "else": { "required": ["version", "stages"], "properties": { "stages": whole } },
        "$defs": defs,
    })
}

const NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

fn scalar() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn axis() -> Value {
    json!({
        "description": "Values, or named bundles of values.",
        "anyOf": [
            { "type": "array", "items": scalar(), "minItems": 1 },
            { "type": "object", "minProperties": 1 },
            { "$ref": "#/$defs/reference" },
            { "type": "null" },
        ],
    })
}

fn input() -> Value {
    json!({
        "anyOf": [
            { "$ref": "#/$defs/source" },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["from"],
                "properties": {
                    "from": { "$ref": "#/$defs/source" },
                    "collect": {
                        "description": "The axes whose cells are gathered.",
                        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "uniqueItems": true }],
                    },
                },
            },
        ],
    })
}

fn def_name(kind: &str) -> String {
    format!("with.{kind}")
}

fn def_ref(kind: &str) -> String {
    format!("#/$defs/{}", def_name(kind))
}

/// Adds the parameters of a stage kind and gives its summary.
fn add_kind(kind: &dyn StageKind, defs: &mut Map<String, Value>) -> String {
    let mut schema = kind.schema().clone();
    let prefix = def_name(kind.name());
    let inner = schema.as_object_mut().and_then(|map| map.remove("$defs"));
    if let Some(map) = schema.as_object_mut() {
        map.remove("$schema");
        map.remove("title");
    }
    let summary = schema.get("description").and_then(Value::as_str).unwrap_or("").to_owned();
    if let Some(Value::Object(inner)) = inner {
        for (name, mut def) in inner {
            loosen(&mut def, &prefix);
            defs.insert(format!("{prefix}.{name}"), def);
        }
    }
    loosen(&mut schema, &prefix);
    defs.insert(prefix, schema);
    summary
}

/// Lets every value inside of a schema be a reference too, and points it at definitions under their new names.
fn loosen(schema: &mut Value, prefix: &str) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::String(target)) = map.get_mut("$ref") {
        *target = match target.strip_prefix("#/$defs/") {
            Some(name) => format!("#/$defs/{prefix}.{name}"),
            None => format!("#/$defs/{prefix}"),
        };
    }
    // With references allowed, several forms can fit one value.
    if let Some(forms) = map.remove("oneOf") {
        match map.remove("anyOf") {
            None => drop(map.insert("anyOf".to_owned(), forms)),
            Some(other) => {
                map.insert("anyOf".to_owned(), forms);
                map.insert("allOf".to_owned(), json!([{ "anyOf": other }]));
            }
        }
    }
    for key in ["anyOf", "allOf"] {
        for form in map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            loosen(form, prefix);
        }
    }
    for key in ["items", "additionalProperties", "contains"] {
        if let Some(part) = map.get_mut(key).filter(|part| part.is_object()) {
            or_reference(part, prefix);
        }
    }
    for part in map.get_mut("prefixItems").and_then(Value::as_array_mut).into_iter().flatten() {
        or_reference(part, prefix);
    }
    for key in ["properties", "patternProperties"] {
        for part in map.get_mut(key).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            or_reference(part, prefix);
        }
    }
}

fn or_reference(part: &mut Value, prefix: &str) {
    loosen(part, prefix);
    let mut outer = Map::new();
    if let Some(map) = part.as_object_mut() {
        for key in ["description", "default", "examples", "deprecated"] {
            if let Some(value) = map.remove(key) {
                outer.insert(key.to_owned(), value);
            }
        }
    }
    outer.insert("anyOf".to_owned(), json!([part.take(), { "$ref": "#/$defs/reference" }]));
    *part = Value::Object(outer);
}
