//! The form of a parameter: the part of a stage kind's JSON schema that is about a place inside of `with:`.

use serde_json::Value as Json;

/// A place in a schema: the alternatives that a value there may have, references and nested alternatives resolved.
#[derive(Debug, Clone)]
pub(super) struct Form<'s> {
    root: &'s Json,
    parts: Vec<&'s Json>,
}

impl<'s> Form<'s> {
    /// Whether it is the same place of the same schema.
    pub fn is(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, other)| std::ptr::eq(*one, *other))
    }

    /// The form of all parameters of a kind.
    pub fn new(schema: &'s Json) -> Self {
        Self::of(schema, vec![schema])
    }

    fn of(root: &'s Json, mut open: Vec<&'s Json>) -> Self {
        let mut parts: Vec<&'s Json> = Vec::new();
        while let Some(part) = open.pop() {
            if parts.iter().any(|known| std::ptr::eq(*known, part)) {
                continue;
            }
            parts.push(part);
            let target = part.get("$ref").and_then(Json::as_str).and_then(|target| target.strip_prefix('#'));
            open.extend(target.and_then(|target| root.pointer(target)));
            for key in ["oneOf", "anyOf", "allOf"] {
                open.extend(part.get(key).and_then(Json::as_array).into_iter().flatten());
            }
        }
        Self { root, parts }
    }

    /// The key whose text selects one of several variants: each of them requires one value of it.
    pub fn tag(&self) -> Option<&'s str> {
        self.parts.iter().find_map(|part| {
            let constant =
                |key: &&str| part.get("properties").and_then(|all| all.get(*key)?.get("const")).is_some();
            part.get("required")?.as_array()?.iter().filter_map(Json::as_str).find(constant)
        })
    }

    /// The form of an entry of a map.
    pub fn entry(&self, key: &str) -> Option<Self> {
        let entry = |part: &&'s Json| {
            let named = part.get("properties").and_then(|all| all.get(key));
            named.or_else(|| part.get("additionalProperties").filter(|any| any.is_object()))
        };
        let parts: Vec<&'s Json> = self.parts.iter().filter_map(entry).collect();
        (!parts.is_empty()).then(|| Self::of(self.root, parts))
    }

    /// The form of an item of a list.
    pub fn item(&self) -> Option<Self> {
        let parts: Vec<&'s Json> = self.parts.iter().filter_map(|part| part.get("items")).collect();
        (!parts.is_empty()).then(|| Self::of(self.root, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_key_with_one_value_in_each_variant() {
        let schema = serde_json::json!({
            "properties": {
                "loss": { "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/Loss" }] },
                "env": { "type": "object", "additionalProperties": { "type": "string" } },
                "steps": { "type": "array", "items": { "$ref": "#/$defs/Loss" } },
                "person": { "properties": { "name": { "type": "string" } }, "required": ["name"] },
            },
            "$defs": { "Loss": { "oneOf": [
                { "properties": { "name": { "const": "lq" }, "inner": { "$ref": "#/$defs/Loss" } }, "required": ["name"] },
                { "properties": { "name": { "const": "cce" } }, "required": ["name"] },
            ] } },
        });
        let all = Form::new(&schema);
        let tag = |form: Option<Form<'_>>| form.unwrap().tag().map(str::to_owned);
        assert_eq!(all.tag(), None);
        assert_eq!(tag(all.entry("loss")).as_deref(), Some("name"));
        assert_eq!(tag(all.entry("loss").unwrap().entry("inner")).as_deref(), Some("name"));
        assert_eq!(tag(all.entry("steps").unwrap().item()).as_deref(), Some("name"));
        assert_eq!(tag(all.entry("env")), None);
        assert_eq!(tag(all.entry("person")), None);
        assert!(all.entry("other").is_none());
        assert!(all.entry("env").unwrap().entry("any").is_some());
    }
}
