//! Typed values read from JSON, with the place where one does not fit.
//!
//! One deserialiser for all parameters of all stages: what is read is compiled once for each type, and keeping track of the place costs no more
//! than pushing it on a stack.

use std::cell::RefCell;
use std::fmt::Write as _;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Error, Map, Value};

/// Why a value is not of a type.
#[derive(Debug)]
pub struct Misfit {
    /// Where, such as `optimiser.rates[2]`; empty for the value itself.
    pub path: String,
    /// Why, in the words of serde.
    pub error: Error,
}

/// Reads a value of a type.
///
/// # Errors
/// [`Misfit`] with the first place that does not fit.
pub fn read<'v, T: Deserialize<'v>>(value: &'v Value) -> Result<T, Misfit> {
    let path = RefCell::default();
    T::deserialize(At { value, path: &path }).map_err(|error| Misfit { path: written(&path.borrow()), error })
}

/// From a map or a list to something in it.
enum Step<'v> {
    Field(&'v str),
    Item(usize),
}

type Path<'v> = RefCell<Vec<Step<'v>>>;

fn written(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        let dot = if text.is_empty() { "" } else { "." };
        // Writing to a string cannot fail.
        let _ = match step {
            Step::Field(name) => write!(text, "{dot}{name}"),
            Step::Item(index) => write!(text, "[{index}]"),
        };
    }
    text
}

/// A value and the way to it.
#[derive(Clone, Copy)]
struct At<'v, 'p> {
    value: &'v Value,
    path: &'p Path<'v>,
}

impl<'v> At<'v, '_> {
    /// Does something with a value one step further. Where that fails the step stays, for it says where.
    fn step<T>(
        self,
        depth: usize,
        step: Step<'v>,
        read: impl FnOnce(Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let back = || self.path.borrow_mut().truncate(depth);
        back();
        self.path.borrow_mut().push(step);
        let found = read(self)?;
        back();
        Ok(found)
    }

    fn mismatch(self, expected: &dyn Expected) -> Error {
        let found = match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => Unexpected::Unsigned(value),
                (_, Some(value), _) => Unexpected::Signed(value),
                (.., value) => Unexpected::Float(value.unwrap_or_default()),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Error::invalid_type(found, expected)
    }

    fn items<V: Visitor<'v>>(self, items: &'v [Value], visitor: V) -> Result<V::Value, Error> {
        let depth = self.path.borrow().len();
        let mut left = Items { items: items.iter().enumerate(), path: self.path, depth };
        let found = visitor.visit_seq(&mut left)?;
        match left.items.next() {
            None => Ok(found),
            Some(_) => Err(Error::invalid_length(items.len(), &"fewer elements in array")),
        }
    }

    fn fields<V: Visitor<'v>>(self, fields: &'v Map<String, Value>, visitor: V) -> Result<V::Value, Error> {
        let depth = self.path.borrow().len();
        let mut left = Fields { fields: fields.iter(), next: None, path: self.path, depth };
        let found = visitor.visit_map(&mut left)?;
        match left.fields.next() {
            None => Ok(found),
            Some(_) => Err(Error::invalid_length(fields.len(), &"fewer elements in map")),
        }
    }
}

impl<'de> Deserializer<'de> for At<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., value) => visitor.visit_f64(value.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => self.items(items, visitor),
            Value::Object(fields) => self.fields(fields, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let depth = self.path.borrow().len();
        match self.value {
            Value::String(name) => visitor.visit_enum(Variant { name, content: None, at: self, depth }),
            Value::Object(fields) => {
                let mut fields = fields.iter();
                match (fields.next(), fields.next()) {
                    (Some((name, content)), None) => {
                        visitor.visit_enum(Variant { name, content: Some(content), at: self, depth })
                    }
                    _ => Err(Error::invalid_value(Unexpected::Map, &"map with a single key")),
                }
            }
            _ => Err(self.mismatch(&"string or map")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier
    }
}

struct Items<'v, 'p> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
    path: &'p Path<'v>,
    depth: usize,
}

impl<'v> SeqAccess<'v> for &mut Items<'v, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        let at = At { value, path: self.path };
        at.step(self.depth, Step::Item(index), |at| seed.deserialize(at)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'v, 'p> {
    fields: serde_json::map::Iter<'v>,
    /// The value of the last key.
    next: Option<(&'v str, &'v Value)>,
    path: &'p Path<'v>,
    depth: usize,
}

impl<'v> MapAccess<'v> for &mut Fields<'v, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.path.borrow_mut().truncate(self.depth);
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.next = Some((name, value));
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let (name, value) = self.next.take().ok_or_else(|| Error::custom("a value before its key"))?;
        let at = At { value, path: self.path };
        at.step(self.depth, Step::Field(name), |at| seed.deserialize(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// A variant, by its name and by what it holds.
struct Variant<'v, 'p> {
    name: &'v str,
    content: Option<&'v Value>,
    at: At<'v, 'p>,
    depth: usize,
}

impl<'v> Variant<'v, '_> {
    fn content<T>(
        self,
        expected: &str,
        read: impl FnOnce(At<'v, '_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let value = self.content.ok_or_else(|| Error::invalid_type(Unexpected::UnitVariant, &expected))?;
        At { value, ..self.at }.step(self.depth, Step::Field(self.name), read)
    }
}

impl<'v, 'p> EnumAccess<'v> for Variant<'v, 'p> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'v>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'v> VariantAccess<'v> for Variant<'v, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.content.is_none() { Ok(()) } else { self.content("unit variant", |at| <()>::deserialize(at)) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<T::Value, Error> {
        self.content("newtype variant", |at| seed.deserialize(at))
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content("tuple variant", |at| match at.value {
            Value::Array(items) => at.items(items, visitor),
            _ => Err(at.mismatch(&"tuple variant")),
        })
    }

    fn struct_variant<V: Visitor<'v>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content("struct variant", |at| match at.value {
            Value::Object(fields) => at.fields(fields, visitor),
            _ => Err(at.mismatch(&"struct variant")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Params {
        whole: u8,
        real: f64,
        text: String,
        maybe: Option<bool>,
        list: Vec<Inner>,
        map: BTreeMap<String, (u32, i32)>,
        kind: Kind,
        tagged: Option<Tagged>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        deep: f32,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        #[default]
        Plain,
        One(u8),
        Two(u8, u8),
        Named {
            deep: bool,
        },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
    enum Tagged {
        Fast { rate: f64 },
    }

    /// What fits gives what serde_json gives.
    #[test]
    fn values_are_read_as_serde_json_reads_them() {
        for value in [
            json!({}),
            json!({ "whole": 255, "real": 3, "text": "é", "maybe": true, "list": [{ "deep": -1.5 }], "map": { "a": [1, -2] } }),
            json!({ "maybe": null, "kind": "plain", "real": -2 }),
            json!({ "kind": { "one": 3 } }),
            json!({ "kind": { "two": [3, 4] } }),
            json!({ "kind": { "named": { "deep": true } }, "tagged": { "name": "fast", "rate": 1e-3 } }),
        ] {
            let expected: Params = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(read::<Params>(&value).unwrap(), expected, "{value}");
        }
    }

    /// What does not fit has the message of serde_json, and its place.
    #[test]
    fn a_misfit_says_where_it_is() {
        for (value, path) in [
            (json!(3), ""),
            (json!({ "whole": 256 }), "whole"),
            (json!({ "whole": null }), "whole"),
            (json!({ "real": "x" }), "real"),
            (json!({ "list": [{ "deep": 1 }, { "deep": [] }] }), "list[1].deep"),
            (json!({ "list": [{}] }), "list[0]"),
            (json!({ "list": [{ "deep": 1, "depth": 2 }] }), "list[0]"),
            (json!({ "map": { "a b": [1] } }), "map.a b"),
            (json!({ "map": { "c": [1, 2, 3] } }), "map.c"),
            (json!({ "map": { "c": [1, 1.5] } }), "map.c[1]"),
            (json!({ "strange": 1 }), ""),
            (json!({ "kind": "other" }), "kind"),
            (json!({ "kind": { "one": 300 } }), "kind.one"),
            (json!({ "kind": "one" }), "kind"),
            (json!({ "kind": { "plain": 1 } }), "kind.plain"),
            (json!({ "kind": { "named": { "deep": 1 } } }), "kind.named.deep"),
            (json!({ "kind": { "one": 1, "two": 2 } }), "kind"),
            (json!({ "kind": [] }), "kind"),
            (json!({ "tagged": { "name": "fast" } }), "tagged"),
            (json!({ "tagged": { "name": "slow", "rate": 1 } }), "tagged.name"),
        ] {
            let expected = serde_json::from_value::<Params>(value.clone()).unwrap_err();
            let misfit = read::<Params>(&value).unwrap_err();
            assert_eq!(
                (misfit.path.as_str(), misfit.error.to_string()),
                (path, expected.to_string()),
                "{value}"
            );
        }
    }
}
