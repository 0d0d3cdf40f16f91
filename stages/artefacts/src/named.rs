//! Parameters that are a name, or a map with a name and options: `loss: cce` and `loss: { name: cce }` are one.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sndpipe_engine::misfit::{self, Misfit};

/// Reads a list of names or maps; see [`deserialize`].
///
/// # Errors
/// Those of `T`, with the place in the list named.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let read = |(i, value): (usize, Value)| {
        deserialize(value).map_err(|error| D::Error::custom(format!("item {}: {error}", i + 1)))
    };
    Vec::<Value>::deserialize(deserializer)?.into_iter().enumerate().map(read).collect()
}

/// The schema of what [`list`] reads.
pub fn list_schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let item = schema::<T>(generator);
    json_schema!({ "type": "array", "items": item })
}

/// Reads a name or a map with the key `name`; both give the same value, so that both give the same key.
///
/// # Errors
/// Those of `T`, with the nested parameter named.
pub fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = match Value::deserialize(deserializer)? {
        Value::String(name) => serde_json::json!({ "name": name }),
        value => value,
    };
    misfit::read(&value).map_err(|Misfit { path, error }| {
        let message = error.to_string();
        // An error about a field of the map is at the map, which the caller names.
        if path.is_empty() || message.starts_with("unknown field") {
            D::Error::custom(message)
        } else {
            D::Error::custom(format!("`{path}`: {message}"))
        }
    })
}

/// The schema of what [`deserialize`] reads.
pub fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let map = generator.subschema_for::<T>();
    let whole = T::json_schema(generator);
    let forms = whole.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&Value> = forms.iter().filter_map(|form| form.pointer("/properties/name/const")).collect();
    let mut name = json_schema!({ "type": "string", "description": "a name, with the default options" });
    if !names.is_empty() {
        name.insert("enum".to_owned(), serde_json::json!(names));
    }
    json_schema!({ "anyOf": [name, map] })
}
