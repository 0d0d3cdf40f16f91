//! Parameters of `table`.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use sndpipe_artefacts::OneOrMany;
use sndpipe_artefacts::Scale;
use sndpipe_engine::ParamError;

use super::beside;

/// Gathers metrics into a table: a row for each label of the `rows` axes, the mean over the `over` axes.
///
/// The mean is taken over the last axes of `over` first, so that `over: [fold, seed]` gives the mean of the means of folds.
/// `std` is the sample standard deviation over the axis `seed` if that is in `over` and has several labels, else over the last
/// axis of `over` that has several; the other axes are averaged first. `n` counts the values in a mean. Columns: the axes of
/// `rows`, `metric`, then `mean`, `std` and `n`, or a mean and a deviation for each label of `columns`, then `paper` and
/// `source` where numbers of a paper are given.
///
/// With a `baseline` there are `difference`, `low`, `high` and `verdict`, too: the mean over pairs of a row's value minus that of the
/// baseline in the same cell of the `over` axes, its bootstrap interval, and what follows. `within noise` means that the interval
/// contains zero; `better` and `worse` that it does not; `too few pairs` that it does not, but that so few differences have
/// one sign by chance more often than `level` allows (below 6 pairs at 0.95). A cell without a partner is an error.
///
/// With `recovered` there are `recovered`, `recovered low` and `recovered high`: the share `(row - baseline) / (topline - baseline)` of means over
/// the cells of the `over` axes, and its bootstrap interval, for which all three rows are drawn alike. There is none where the topline
/// is not better than the baseline, and no interval where some sample of cells says so or pairs are too few.
///
/// With `beside` the table has rows of other stages: each name is an input that gathers metrics, too, and the label of their row. Where they
/// lack an axis that is averaged, a cell stands for all of its labels: a baseline that knows no seeds is compared with every seed.
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
    /// The row that every other row is compared with, pair by pair: its label, or labels joined by `, `. Absent: no comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Two rows between which lies a gain, and the share of it that every row has. Absent: no such column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
    /// Inputs whose metrics are rows, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// How the interval of a comparison is found.
    #[serde(default, skip_serializing_if = "Bootstrap::is_default")]
    pub bootstrap: Bootstrap,
    /// Decimals of percentages in text, `0..=6`.
    #[serde(default = "one")]
    pub precision: u8,
}

/// The rows between which lies a gain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovered {
    /// The row that has nothing of it: its label, or labels joined by `, `.
    pub baseline: String,
    /// The row that has all of it, such as the supervised one.
    pub topline: String,
}

/// The percentile bootstrap over pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bootstrap {
    /// Samples of pairs that are drawn, with replacement, `100..=1000000`.
    pub samples: usize,
    /// Share of their means that lies in the interval, from 0.5, below 1.
    pub level: f64,
    /// Seed of the drawing.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { samples: 10_000, level: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Every parameter out of its range.
    pub(super) fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if !(100..=1_000_000).contains(&self.samples) {
            let message = format!("{} is outside 100..=1000000", self.samples);
            mistakes.push(ParamError::new("bootstrap.samples", message));
        }
        if !(0.5..1.0).contains(&self.level) {
            mistakes.push(ParamError::new("bootstrap.level", format!("{} is outside 0.5..1", self.level)));
        }
        mistakes
    }
}

const fn one() -> u8 {
    1
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
        mistakes.extend(self.bootstrap.mistakes());
        mistakes.extend(beside::mistakes(&self.beside, &self.rows));
        if self.baseline.is_some() && self.rows.0.is_empty() {
            let error = ParamError::new("baseline", "a table of one row has nothing to compare");
            mistakes.push(error.help("name the axis of rows with `rows`"));
        }
        if let Some(Recovered { baseline, topline }) = &self.recovered {
            if self.rows.0.is_empty() {
                let error = ParamError::new("recovered", "a table of one row has nothing to compare");
                mistakes.push(error.help("name the axis of rows with `rows`"));
            }
            if baseline == topline {
                let message = format!("`{baseline}` is the baseline, too, and there is no gain");
                mistakes.push(ParamError::new("recovered.topline", message));
            }
        }
        for (row, paper) in &self.paper {
            let metric = paper.metric.as_ref().or(self.metric.0.first());
            let Some(metric) = metric else { continue };
            let path = format!("paper.{row}");
            if !self.metric.0.contains(metric) {
                let error = ParamError::new(path, format!("the table has no metric `{metric}`"));
                mistakes.push(error.help(format!("its metrics are: {}", self.metric.0.join(", "))));
            } else if let Some(value) =
                paper.value.filter(|value| Scale::of_name(metric).is_fraction() && value.abs() > 1.0)
            {
                let error = ParamError::new(path, format!("{value} is no fraction, as `{metric}` is"));
                mistakes.push(error.help(format!("write {}", value / 100.0)));
            }
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
