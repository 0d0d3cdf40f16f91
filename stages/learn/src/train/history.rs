//! The history of a training.

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_engine::StageError;

/// What was measured after each epoch: the artefact `history`, long form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    rows: Vec<Entry>,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    epoch: u32,
    subset: String,
    metric: String,
    value: Option<Bits>,
}

/// A number whose every bit survives JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Bits(u64);

impl Bits {
    /// A number to be kept.
    pub const fn new(value: f64) -> Self {
        Self(value.to_bits())
    }

    /// The number.
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<u64> for Bits {
    fn from(bits: u64) -> Self {
        Self(bits)
    }
}

impl From<Bits> for u64 {
    fn from(bits: Bits) -> Self {
        bits.0
    }
}

impl History {
    /// Adds a number; epochs count from 1.
    pub fn add(&mut self, epoch: u32, subset: &str, metric: &str, value: Option<f64>) {
        let value = value.map(Bits::new);
        self.rows.push(Entry { epoch, subset: subset.to_owned(), metric: metric.to_owned(), value });
    }

    /// The numbers of an epoch in a line for people; the name of the subset stands before those that are not of the training subset.
    pub fn line(&self, epoch: u32) -> String {
        let mut parts = Vec::new();
        for row in self.rows.iter().filter(|row| row.epoch == epoch) {
            let Some(value) = row.value.map(Bits::get) else { continue };
            let value = if row.metric == "rate" { format!("{value:.2e}") } else { format!("{value:.4}") };
            let subset = if row.subset == "train" { String::new() } else { format!("{} ", row.subset) };
            parts.push(format!("{subset}{} {value}", row.metric.replace('_', " ")));
        }
        parts.join(", ")
    }

    /// The table `epoch, subset, metric, value`.
    pub fn to_table(&self) -> Result<RecordBatch, StageError> {
        let text = |of: fn(&Entry) -> &String| self.rows.iter().map(|row| of(row).clone()).collect();
        columns::table(vec![
            ("epoch", Values::Int(self.rows.iter().map(|row| i64::from(row.epoch)).collect())),
            ("subset", Values::Text(text(|row| &row.subset))),
            ("metric", Values::Text(text(|row| &row.metric))),
            ("value", Values::Number(self.rows.iter().map(|row| row.value.map(Bits::get)).collect())),
        ])
    }
}
