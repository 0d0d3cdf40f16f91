//! The table of metrics.

use arrow_array::RecordBatch;
use sndpipe_artefacts::Scale;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_engine::StageError;

use crate::metric::Measured;

/// A metric: name, class, value with its number, and what values mean.
pub type Row<N> = (N, Option<usize>, Measured, Scale);

/// The long table of metrics.
pub fn long_table<N: AsRef<str>>(classes: &[String], rows: &[Row<N>]) -> Result<RecordBatch, StageError> {
    let class = |class: &Option<usize>| class.map(|class| classes[class].clone());
    columns::table(vec![
        ("metric", Values::Text(rows.iter().map(|(name, ..)| name.as_ref().to_owned()).collect())),
        ("class", Values::MaybeText(rows.iter().map(|(_, of, ..)| class(of)).collect())),
        ("value", Values::Number(rows.iter().map(|(_, _, measured, _)| measured.value).collect())),
        ("n", Values::Int(rows.iter().map(|(_, _, measured, _)| measured.n as i64).collect())),
        (
            "better",
            Values::MaybeText(
                rows.iter().map(|(.., of)| of.better.map(|better| better.to_string())).collect(),
            ),
        ),
        (
            "unit",
            Values::MaybeText(rows.iter().map(|(.., of)| of.unit.as_deref().map(str::to_owned)).collect()),
        ),
    ])
}
