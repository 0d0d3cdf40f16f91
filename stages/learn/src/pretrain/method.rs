//! What a training without labels learns.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sndpipe_artefacts::named;
use sndpipe_engine::ParamError;
use sndpipe_engine::misfit::{self, Misfit};
use sndpipe_nn::{MethodSpec, Negatives, Objective};

use crate::train::nested;

/// A method with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum MethodParams {
    /// Tells both views of a clip from the views of the other clips of the batch (NT-Xent).
    ///
    /// Source: Chen et al., ICML 2020; Fonseca et al., ICASSP 2021.
    Contrastive {
        /// What similarities are divided by; above 0.
        #[serde(default = "warm")]
        temperature: f64,
    },
    /// Takes each clip as a class of its own, with the running mean of its embeddings in a memory (NPID).
    ///
    /// Source: Wu, Xiong, Yu, Lin, CVPR 2018.
    Instance {
        /// What similarities are divided by; above 0.
        #[serde(default = "cold")]
        temperature: f64,
        /// Entries of the memory that a clip is compared with each time, `0..=1048576`; 0 for all of them, which is exact. Else the
        /// constant of the estimation comes from the first batch.
        #[serde(default)]
        negatives: usize,
        /// Share of its old entry in a clip's new one, `0..1`.
        #[serde(default = "half")]
        momentum: f64,
    },
    /// Brings a view nearer to the other view of its clip than to another clip of the batch.
    ///
    /// Source: Jansen et al., ICASSP 2018; margin and choice of negatives are ours.
    Triplet {
        /// By how much nearer, in squared distance; at least 0.
        #[serde(default = "margin")]
        margin: f64,
        /// The other clip: `semi_hard` (the nearest of those farther away than the other view) or `random`.
        #[serde(default)]
        #[schemars(with = "String")]
        negatives: Negatives,
    },
    /// Predicts of all pairs of first and second views whether they are of one clip, from the encoder's features.
    ///
    /// Source: Jansen et al., ICASSP 2020.
    Coincidence {
        /// Units of the hidden layer over both, `1..=1048576`.
        #[serde(default = "units")]
        hidden: usize,
    },
}

const fn warm() -> f64 {
    0.2
}

const fn cold() -> f64 {
    0.1
}

const fn half() -> f64 {
    0.5
}

const fn margin() -> f64 {
    0.1
}

const fn units() -> usize {
    512
}

impl MethodParams {
    /// The method of the networks' crate.
    #[must_use]
    pub const fn spec(&self) -> MethodSpec {
        match *self {
            Self::Contrastive { temperature } => MethodSpec::Contrastive { temperature },
            Self::Instance { temperature, negatives, momentum } => {
                MethodSpec::Instance { temperature, negatives, momentum }
            }
            Self::Triplet { margin, negatives } => MethodSpec::Triplet { margin, negatives },
            Self::Coincidence { hidden } => MethodSpec::Coincidence { hidden },
        }
    }
}

/// A method with its weight in the sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedMethod {
    /// A name, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<MethodParams>")]
    pub method: MethodParams,
    /// Factor of its loss; above 0.
    #[serde(default = "once")]
    pub weight: f64,
}

const fn once() -> f64 {
    1.0
}

/// One method, or several whose losses are added: a name, a map with `name` and options, or a list of maps with `method` and
/// `weight`.
#[derive(Debug, Clone, PartialEq)]
pub struct Methods(pub Vec<WeightedMethod>);

impl Default for Methods {
    fn default() -> Self {
        Self(vec![WeightedMethod { method: MethodParams::Contrastive { temperature: warm() }, weight: 1.0 }])
    }
}

/// One method of weight 1 is written as itself, so that both spellings are one.
impl Serialize for Methods {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [WeightedMethod { method, weight: 1.0 }] => method.serialize(serializer),
            list => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Methods {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if !value.is_array() {
            let method = named::deserialize(value).map_err(D::Error::custom)?;
            return Ok(Self(vec![WeightedMethod { method, weight: 1.0 }]));
        }
        misfit::read(&value)
            .map(Self)
            .map_err(|Misfit { path, error }| D::Error::custom(format!("`{path}`: {error}")))
    }
}

impl JsonSchema for Methods {
    fn schema_name() -> Cow<'static, str> {
        "Methods".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = named::schema::<MethodParams>(generator);
        let each = generator.subschema_for::<WeightedMethod>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": each, "minItems": 1 }] })
    }
}

impl Methods {
    /// What the networks' crate is to learn.
    #[must_use]
    pub fn objectives(&self) -> Vec<Objective> {
        let each = self.0.iter();
        each.map(|one| Objective { method: one.method.spec(), weight: one.weight }).collect()
    }

    /// Whether triplets alone are learnt from.
    pub(super) fn is_triplet(&self) -> bool {
        matches!(self.0.as_slice(), [WeightedMethod { method: MethodParams::Triplet { .. }, .. }])
    }

    /// Views of a clip that they need.
    #[must_use]
    pub fn views(&self) -> usize {
        self.0.iter().map(|one| one.method.spec().views()).max().unwrap_or(1)
    }

    /// Every option out of its range.
    pub(super) fn mistakes(&self) -> Vec<ParamError> {
        if self.0.is_empty() {
            return vec![
                ParamError::new("method", "the list is empty").help("name a method, such as `contrastive`"),
            ];
        }
        let mut mistakes = Vec::new();
        for (i, WeightedMethod { method, weight }) in self.0.iter().enumerate() {
            let (at, own) = match self.0.len() {
                1 => ("method".to_owned(), "method".to_owned()),
                _ => (format!("method[{i}]"), format!("method[{i}].method")),
            };
            if !(*weight > 0.0 && weight.is_finite()) {
                let message = format!("{weight} is outside the positive numbers");
                mistakes.push(ParamError::new(format!("{at}.weight"), message));
            }
            mistakes.extend(method.spec().check().err().map(|error| nested(&own, &error)));
            let name = method.spec().name();
            if self.0[..i].iter().any(|other| other.method.spec().name() == name) {
                mistakes.push(ParamError::new(own, format!("`{name}` is there twice")));
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Methods, String> {
        serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn all_spellings_of_a_method_are_one() {
        let long = json!({ "name": "instance", "temperature": 0.1, "negatives": 0, "momentum": 0.5 });
        let spellings = [
            json!("instance"),
            json!({ "name": "instance" }),
            json!([{ "method": "instance" }]),
            json!([{ "method": { "name": "instance", "momentum": 0.5 }, "weight": 1 }]),
        ];
        for spelling in spellings {
            let methods = read(spelling).unwrap();
            assert_eq!(serde_json::to_value(&methods).unwrap(), long);
            assert_eq!(methods, read(long.clone()).unwrap());
        }
        let several =
            read(json!([{ "method": "contrastive" }, { "method": "coincidence", "weight": 0.5 }])).unwrap();
        let written = serde_json::to_value(&several).unwrap();
        assert_eq!(written[1], json!({ "method": { "name": "coincidence", "hidden": 512 }, "weight": 0.5 }));
        assert_eq!(read(written).unwrap(), several);
        assert_eq!((several.views(), read(json!("instance")).unwrap().views()), (2, 1));
    }

    #[test]
    fn mistakes_name_their_place() {
        let error = read(json!({ "name": "triplet", "margins": 1 })).unwrap_err();
        assert!(error.contains("unknown field `margins`"), "{error}");
        let error = read(json!([{ "method": "contrastive" }, { "method": "contrastiv" }])).unwrap_err();
        assert!(error.contains("[1].method") && error.contains("unknown variant `contrastiv`"), "{error}");
        let methods = read(json!([
            { "method": { "name": "contrastive", "temperature": 0 } },
            { "method": "contrastive", "weight": -1 },
        ]))
        .unwrap();
        let found: Vec<String> = methods
            .mistakes()
            .into_iter()
            .map(|error| format!("{}: {}", error.path, error.message))
            .collect();
        let expected = [
            "method[0].method.temperature: 0 is not allowed, it must be positive",
            "method[1].weight: -1 is outside the positive numbers",
            "method[1].method: `contrastive` is there twice",
        ];
        assert_eq!(found, expected);
        assert_eq!(read(json!([])).unwrap().mistakes()[0].message, "the list is empty");
    }
}
