//! Parameters of `table`.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use sndpipe_engine::ParamError;

/// Gathers metrics into a table: a row for each label of the `rows` axes, the mean over the `over` axes.
///
/// The mean is taken over the last axes of `over` first, so that `over: [fold, seed]` gives the mean of the means of folds.
/// `std` is the sample standard deviation over the axis `seed` if that is in `over` and has several labels, else over the last
/// axis of `over` that has several; the other axes are averaged first. `n` counts the values in a mean. Columns: the axes of
/// `rows`, `metric`, then `mean`, `std` and `n`, or a mean and a deviation for each label of `columns`, then `paper` and
/// `source` where numbers of a paper are given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableParams {
    /// The axis, or axes, whose labels are rows. Absent: one row.
    #[serde(default)]
    pub rows: OneOrMany,
    /// The axis whose labels are columns.
    #[serde(default)]
    pub columns: Option<String>,
    /// The axes that are averaged. Absent: all that are neither rows nor columns.
    #[serde(default)]
    pub over: Option<OneOrMany>,
    /// The metric, or metrics: those of `evaluate` over all classes.
    pub metric: OneOrMany,
    /// Published numbers beside ours, by row: the label, or labels joined by `, ` where there are several axes of rows.
    #[serde(default)]
    pub paper: BTreeMap<String, PaperValue>,
    /// Decimals of percentages in text, `0..=6`.
    #[serde(default = "one")]
    pub precision: u8,
}

const fn one() -> u8 {
    1
}

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

/// A published number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaperValue {
    /// The number as a fraction, or `n/a` where the paper has none.
    #[serde(default, deserialize_with = "number_or_none")]
    #[schemars(schema_with = "number_schema")]
    pub value: Option<f64>,
    /// Where it stands.
    #[serde(default)]
    pub source: String,
    /// Which metric it is. Absent: the first of the table.
    #[serde(default)]
    pub metric: Option<String>,
}

fn number_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) if text == "n/a" => Ok(None),
        value => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom(format!("{value} is neither a number nor `n/a`"))),
    }
}

fn number_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "number" }, { "const": "n/a" }, { "type": "null" }] })
}

impl TableParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if self.metric.0.is_empty() {
            mistakes.push(
                ParamError::new("metric", "an empty list gives an empty table")
                    .help("name a metric, such as `accuracy`"),
            );
        }
        if self.precision > 6 {
            mistakes.push(ParamError::new("precision", format!("{} is outside 0..=6", self.precision)));
        }
        let over = self.over.iter().flat_map(|over| &over.0).map(|axis| ("over", axis));
        let mut used: Vec<(&str, &String)> = Vec::new();
        for (place, axis) in self
            .rows
            .0
            .iter()
            .map(|axis| ("rows", axis))
            .chain(self.columns.iter().map(|axis| ("columns", axis)))
            .chain(over)
        {
            if let Some((other, _)) = used.iter().find(|(_, earlier)| *earlier == axis) {
                mistakes.push(ParamError::new(place, format!("the axis `{axis}` is already in `{other}`")));
            }
            used.push((place, axis));
        }
        mistakes
    }
}
