//! The values that a table is made of.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use sndpipe_engine::{Axes, StageError, did_you_mean};

use super::params::OneOrMany;
use crate::columns;

/// Beginnings of the names of metrics that are the better the smaller they are: losses, those of each method of a `pretrain` that sums
/// several among them.
const FALLING: [&str; 6] = ["loss", "epochs_to_", "contrastive", "instance", "triplet", "coincidence"];

/// Beginnings of the names of other metrics that are no fractions.
const PLAIN: [&str; 2] = ["dprime", "rate"];

/// Whether a metric is the better the smaller it is.
pub(crate) fn falls(metric: &str) -> bool {
    FALLING.iter().any(|start| metric.starts_with(start))
}

/// Whether a metric is a fraction, which is shown as a percentage.
pub(crate) fn is_fraction(metric: &str) -> bool {
    !falls(metric) && !PLAIN.iter().any(|start| metric.starts_with(start))
}

/// One evaluation: its cell, and the metrics over all classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub axes: Axes,
    pub metrics: Vec<(String, Option<f64>)>,
    /// The evaluation that this cell repeats at another place, if it does, by its number in its row: it counts once.
    pub repeats: Option<usize>,
}

/// What makes cells of a row one evaluation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evaluation {
    /// The only one at its labels.
    Own(Vec<String>),
    /// The one with this number, wherever it is repeated.
    Repeated(usize),
}

impl Cell {
    /// Reads the metrics of a cell.
    pub fn read(axes: Axes, table: &RecordBatch) -> Result<Self, StageError> {
        let names = columns::text(table, "metric")?;
        let classes = columns::maybe_text(table, "class")?;
        let values = columns::number(table, "value")?;
        let rows = names.into_iter().zip(classes).zip(values);
        let metrics =
            rows.filter(|((_, class), _)| class.is_none()).map(|((name, _), value)| (name, value)).collect();
        Ok(Self { axes, metrics, repeats: None })
    }

    /// The evaluation that the cell shows, among those of its row.
    pub(super) fn evaluation(&self, over: &[String]) -> Evaluation {
        self.repeats.map_or_else(|| Evaluation::Own(self.labels(over)), Evaluation::Repeated)
    }

    /// The value of a metric; none where it is undefined or not there.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.metrics.iter().find(|(name, _)| name == metric).and_then(|(_, value)| *value)
    }

    /// The label on an axis.
    pub fn label(&self, axis: &str) -> Option<&str> {
        self.axes.iter().find(|(name, _)| name == axis).map(|(_, label)| label.as_str())
    }

    /// The labels on some axes.
    pub fn labels(&self, axes: &[String]) -> Vec<String> {
        axes.iter().map(|axis| self.label(axis).unwrap_or_default().to_owned()).collect()
    }
}

/// The labels of an axis in the order in which they first occur, which is that of the pipeline file.
pub(crate) fn labels_of(cells: &[Cell], axis: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let labels = cells.iter().filter_map(|cell| cell.label(axis)).filter(|label| seen.insert(*label));
    labels.map(str::to_owned).collect()
}

/// The labels of rows in the order in which they first occur, which is that of the pipeline file.
pub(super) fn rows_of(cells: &[Cell], axes: &[String]) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    cells.iter().map(|cell| cell.labels(axes)).filter(|labels| seen.insert(labels.clone())).collect()
}

/// The axes that are averaged: those of `over`, or all that have no other place. `places` are the other parameters that name axes,
/// `placed` the axes that they name.
///
/// # Errors
/// [`StageError::Failed`] if a named axis is not there, or an axis of the cells has no place.
pub(crate) fn averaged(
    cells: &[Cell],
    placed: &[&String],
    over: Option<&OneOrMany>,
    places: &[&str],
) -> Result<Vec<String>, StageError> {
    let axes = axes_of(cells);
    for axis in placed.iter().copied().chain(over.into_iter().flat_map(|over| &over.0)) {
        if !axes.contains(axis) {
            let there = if axes.is_empty() { "none".to_owned() } else { axes.join(", ") };
            let near = did_you_mean(axis, axes.iter().map(String::as_str));
            let error = StageError::failed(format!(
                "the metrics have no axis `{axis}`; the collected axes are: {there}"
            ));
            return Err(error.help(match near.strip_prefix(": ") {
                Some(near) => near.to_owned(),
                None => format!("write `collect: [{axis}]` at the input `metrics`"),
            }));
        }
    }
    let rest: Vec<String> = axes.iter().filter(|axis| !placed.contains(axis)).cloned().collect();
    let Some(over) = over else { return Ok(rest) };
    match rest.iter().find(|axis| !over.0.contains(axis)) {
        Some(axis) => {
            let places: Vec<String> = places.iter().map(|place| format!("in `{place}` nor ")).collect();
            let places = places.concat();
            let message = format!("the axis `{axis}` is collected, but is neither {places}in `over`");
            Err(StageError::failed(message).help(format!("add `{axis}` to one of them")))
        }
        None => Ok(over.0.clone()),
    }
}

/// The axes that the cells have.
fn axes_of(cells: &[Cell]) -> Vec<String> {
    let mut axes: Vec<String> = Vec::new();
    for (axis, _) in cells.iter().flat_map(|cell| &cell.axes) {
        if !axes.contains(axis) {
            axes.push(axis.clone());
        }
    }
    axes
}

/// The value of a metric in every cell.
pub(crate) fn values_of(cells: &[Cell], metric: &str) -> Result<Vec<Option<f64>>, StageError> {
    cells
        .iter()
        .map(|cell| cell.metrics.iter().find(|(name, _)| name == metric).map(|(_, value)| *value))
        .collect::<Option<_>>()
        .ok_or_else(|| {
            let names: BTreeSet<&str> =
                cells.iter().flat_map(|cell| &cell.metrics).map(|(name, _)| name.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            StageError::failed(format!("there is no metric `{metric}`; there are {}", names.join(", ")))
        })
}
