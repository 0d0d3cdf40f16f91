//! Parameters of a stage kind as its JSON schema describes them.

use serde_json::{Value, json};

/// One parameter, for people.
pub struct ParamDoc {
    /// Its name.
    pub name: String,
    /// Type and range: `integer, 1..=1024`, `one of hann, hamming`.
    pub kind: String,
    /// Its documentation.
    pub docs: String,
    /// Its default as JSON.
    pub default: Option<String>,
    /// Whether it must be given.
    pub required: bool,
    /// How deep it is nested.
    pub depth: usize,
    /// A value that may be accepted.
    pub example: Option<Value>,
}

/// The parameters of a schema, each followed by those inside it.
pub fn params_of(schema: &Value) -> Vec<ParamDoc> {
    let mut params = Vec::new();
    gather(schema, schema, 0, &mut params);
    params
}

fn gather(root: &Value, object: &Value, depth: usize, into: &mut Vec<ParamDoc>) {
    const DEEPEST: usize = 2;
    let Some(properties) = object.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> = object
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in properties {
        let shape = resolve(root, property);
        let text = |value: &Value| value.get("description").and_then(Value::as_str).map(str::to_owned);
        let mut docs = text(property).or_else(|| text(shape)).unwrap_or_default();
        for (value, meaning) in meanings(root, shape) {
            docs.push_str(&format!("\n- {value}: {meaning}"));
        }
        into.push(ParamDoc {
            name: name.clone(),
            kind: kind(root, shape),
            docs,
            default: property.get("default").filter(|default| !default.is_null()).map(Value::to_string),
            required: required.contains(&name.as_str()),
            depth,
            example: example(root, shape),
        });
        if depth < DEEPEST {
            gather(root, shape, depth + 1, into);
            for choice in choices(root, shape) {
                let first = into.len();
                gather(root, choice.map, depth + 1, into);
                // Options belong to the name in front of them; the name itself is among the meanings.
                let options = into.split_off(first).into_iter().filter(|option| option.name != "name");
                into.extend(
                    options.map(|option| ParamDoc {
                        name: format!("{}.{}", choice.name, option.name),
                        ..option
                    }),
                );
            }
        }
    }
}

/// One of the maps that a parameter may be, told apart by `name`.
struct Choice<'a> {
    name: String,
    map: &'a Value,
}

/// The maps with a fixed `name` that a value, or an item of a list, may be.
fn choices<'a>(root: &'a Value, value: &'a Value) -> Vec<Choice<'a>> {
    if let Some(items) = value.get("items") {
        return choices(root, resolve(root, items));
    }
    let forms = alternatives(value).map(Vec::as_slice).unwrap_or_default();
    let found = forms.iter().flat_map(|form| {
        let form = resolve(root, form);
        match form.pointer("/properties/name/const").and_then(Value::as_str) {
            Some(name) => vec![Choice { name: name.to_owned(), map: form }],
            None => choices(root, form),
        }
    });
    found.collect()
}

/// Follows references, and takes the one form of an optional value that is not null.
fn resolve<'a>(root: &'a Value, value: &'a Value) -> &'a Value {
    if let Some(path) = value.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
        return root.pointer(path).map_or(value, |found| resolve(root, found));
    }
    for joined in ["anyOf", "oneOf", "allOf"] {
        let forms = value.get(joined).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut some = forms.iter().filter(|form| form.get("type") != Some(&json!("null")));
        if let (Some(only), None) = (some.next(), some.next()) {
            return resolve(root, only);
        }
    }
    value
}

fn alternatives(value: &Value) -> Option<&Vec<Value>> {
    ["oneOf", "anyOf"].iter().find_map(|joined| value.get(joined).and_then(Value::as_array))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `integer, 1..=1024`.
fn kind(root: &Value, value: &Value) -> String {
    let value = resolve(root, value);
    if let Some(constant) = value.get("const") {
        return plain(constant);
    }
    if let Some(values) = value.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().filter(|value| !value.is_null()).map(plain).collect();
        return format!("one of {}", values.join(", "));
    }
    if value.get("items").is_none() && !choices(root, value).is_empty() {
        return "a name, or a map with `name` and options".to_owned();
    }
    if let Some(forms) = alternatives(value) {
        let forms = forms.iter().filter(|form| form.get("type") != Some(&json!("null")));
        let kinds: Vec<String> = forms.map(|form| kind(root, form)).collect();
        let one_of = kinds.iter().any(|kind| kind.starts_with("one of "));
        let kinds: Vec<&str> =
            kinds.iter().map(|kind| kind.strip_prefix("one of ").unwrap_or(kind)).collect();
        let all_constant = one_of
            || alternatives(value).is_some_and(|forms| forms.iter().all(|form| form.get("const").is_some()));
        return if all_constant { format!("one of {}", kinds.join(", ")) } else { kinds.join(" or ") };
    }
    let types: Vec<&str> = match value.get("type") {
        Some(Value::String(only)) => vec![only.as_str()],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    };
    let mut text = match &types[..] {
        [] => "any value".to_owned(),
        ["array"] => value
            .get("items")
            .map_or_else(|| "list".to_owned(), |items| format!("list of {}", kind(root, items))),
        ["object"] => match value.get("properties").and_then(Value::as_object) {
            Some(properties) if !properties.is_empty() => {
                format!("{{ {} }}", properties.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            _ => "map".to_owned(),
        },
        several => several.join(" or "),
    };
    let bound = |name: &str| value.get(name).filter(|bound| bound.is_number()).map(Value::to_string);
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => text.push_str(&format!(", {low}..={high}")),
        (Some(low), None) => text.push_str(&format!(", from {low}")),
        (None, Some(high)) => text.push_str(&format!(", up to {high}")),
        (None, None) => {}
    }
    text
}

/// What each value of an enumeration means, where it says so.
fn meanings(root: &Value, value: &Value) -> Vec<(String, String)> {
    let value = resolve(root, value);
    let named = choices(root, value);
    if !named.is_empty() {
        let meaning = |choice: &Choice<'_>| {
            let properties = choice.map.get("properties").and_then(Value::as_object);
            let options = properties.into_iter().flat_map(|map| map.keys()).filter(|name| *name != "name");
            let options: Vec<&str> = options.map(String::as_str).collect();
            let options =
                if options.is_empty() { String::new() } else { format!(" {{ {} }}", options.join(", ")) };
            let text = choice.map.get("description").and_then(Value::as_str).unwrap_or_default();
            (format!("{}{options}", choice.name), text.to_owned())
        };
        return named.iter().map(meaning).collect();
    }
    let forms = alternatives(value).map(Vec::as_slice).unwrap_or_default();
    let meaning = |form: &Value| {
        let description = form.get("description")?.as_str()?.to_owned();
        Some((plain(form.get("const")?), description))
    };
    forms.iter().filter_map(meaning).collect()
}

/// A value of the type.
fn example(root: &Value, value: &Value) -> Option<Value> {
    let value = resolve(root, value);
    if let Some(constant) = value.get("const") {
        return Some(constant.clone());
    }
    if let Some(first) = value.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
        return Some(first.clone());
    }
    if let Some(first) = alternatives(value).and_then(|forms| forms.first()) {
        return example(root, first);
    }
    let kind = match value.get("type")? {
        Value::String(only) => only.as_str(),
        Value::Array(several) => several.first()?.as_str()?,
        _ => return None,
    };
    let minimum = value.get("minimum").and_then(Value::as_f64).unwrap_or(1.0).max(1.0);
    match kind {
        "string" => Some(json!("x")),
        #[expect(clippy::cast_possible_truncation, reason = "a small whole number")]
        "integer" => Some(json!(minimum as i64)),
        "number" => Some(json!(minimum)),
        "boolean" => Some(json!(false)),
        "array" => Some(match value.get("items").and_then(|items| example(root, items)) {
            Some(item) => json!([item]),
            None => json!([]),
        }),
        "object" => {
            let mut map = serde_json::Map::new();
            let required = value
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            for name in required {
                map.insert(name.to_owned(), example(root, value.get("properties")?.get(name)?)?);
            }
            Some(Value::Object(map))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_told_apart_by_name_are_listed_with_their_options() {
        let named = |name: &str, docs: &str, option: &str| {
            json!({
                "type": "object", "description": docs,
                "properties": { "name": { "type": "string", "const": name }, option: { "type": "number", "default": 0.5 } },
            })
        };
        let schema = json!({
            "type": "object",
            "properties": { "loss": { "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/Loss" }] } },
            "$defs": { "Loss": { "oneOf": [named("lq", "Between.", "q"), named("smooth", "Softer.", "epsilon")] } },
        });
        let params = params_of(&schema);
        let lines: Vec<String> = params
            .iter()
            .map(|param| format!("{}|{}|{}|{}", param.depth, param.name, param.kind, param.docs))
            .collect();
        assert_eq!(
            lines,
            [
                "0|loss|a name, or a map with `name` and options|\n- lq { q }: Between.\n- smooth { epsilon }: Softer.",
                "1|lq.q|number|",
                "1|smooth.epsilon|number|",
            ]
        );
    }

    #[test]
    fn parameters_say_their_type_range_and_default() {
        let schema = json!({
            "type": "object",
            "required": ["bands", "window"],
            "properties": {
                "bands": { "description": "Mel bands.", "type": "integer", "minimum": 1, "maximum": 512 },
                "window": { "$ref": "#/$defs/Window" },
                "max_seconds": { "type": ["number", "null"], "default": null },
                "nested": { "anyOf": [{ "$ref": "#/$defs/Nested" }, { "type": "null" }] },
            },
            "$defs": {
                "Window": { "oneOf": [{ "const": "hann", "description": "Raised cosine." }, { "enum": ["hamming"] }] },
                "Nested": { "type": "object", "properties": { "rate": { "type": "number", "default": 0.5 } } },
            },
        });
        let params = params_of(&schema);
        let lines: Vec<String> = params
            .iter()
            .map(|param| {
                format!(
                    "{}{}|{}|{}|{:?}|{}",
                    ".".repeat(param.depth),
                    param.name,
                    param.kind,
                    param.docs,
                    param.default,
                    param.required
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "bands|integer, 1..=512|Mel bands.|None|true",
                "max_seconds|number||None|false",
                "nested|{ rate }||None|false",
                ".rate|number||Some(\"0.5\")|false",
                "window|one of hann, hamming|\n- hann: Raised cosine.|None|true",
            ]
        );
        assert_eq!(params[0].example, Some(json!(1)));
        assert_eq!(params[4].example, Some(json!("hann")));
    }
}
