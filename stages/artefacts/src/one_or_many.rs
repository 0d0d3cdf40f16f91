//! A name or a list of names, in the parameters of a stage.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A name or a list of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(name) => Ok(Self(vec![name])),
            serde_json::Value::Array(names) => {
                let name = |name: serde_json::Value| name.as_str().map(str::to_owned);
                let names: Option<Vec<String>> = names.into_iter().map(name).collect();
                names.map(Self).ok_or_else(|| serde::de::Error::custom("a list of names was expected"))
            }
            other => {
                Err(serde::de::Error::custom(format!("a name or a list of names was expected, not {other}")))
            }
        }
    }
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
