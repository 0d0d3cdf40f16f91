//! The values that a table is made of.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use sndpipe_artefacts::OneOrMany;
use sndpipe_artefacts::columns;
use sndpipe_artefacts::{Scale, scales};
use sndpipe_engine::{Axes, StageError, did_you_mean};

/// A metric over all classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metric {
    pub name: String,
    /// `None` where it is undefined.
    pub value: Option<f64>,
    pub scale: Scale,
}

#[cfg(test)]
impl Metric {
    /// A metric of common name.
    pub fn of(name: &str, value: Option<f64>) -> Self {
        Self { name: name.to_owned(), value, scale: Scale::of_name(name) }
    }
}

/// One evaluation: its cell, and the metrics over all classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub axes: Axes,
    pub metrics: Vec<Metric>,
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
        let scales = scales(table)?;
        let rows = names.into_iter().zip(classes).zip(values.into_iter().zip(scales));
        let all = rows.filter(|((_, class), _)| class.is_none());
        let metrics = all.map(|((name, _), (value, scale))| Metric { name, value, scale }).collect();
        Ok(Self { axes, metrics, repeats: None })
    }

    /// The evaluation that the cell shows, among those of its row.
    pub(super) fn evaluation(&self, over: &[String]) -> Evaluation {
        self.repeats.map_or_else(|| Evaluation::Own(self.labels(over)), Evaluation::Repeated)
    }

    /// The value of a metric; none where it is undefined or not there.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.metrics.iter().find(|of| of.name == metric).and_then(|of| of.value)
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
        .map(|cell| cell.metrics.iter().find(|of| of.name == metric).map(|of| of.value))
        .collect::<Option<_>>()
        .ok_or_else(|| {
            let names: BTreeSet<&str> =
                cells.iter().flat_map(|cell| &cell.metrics).map(|of| of.name.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            StageError::failed(format!("there is no metric `{metric}`; there are {}", names.join(", ")))
        })
}

/// The scale of a metric, on which all cells must agree.
///
/// # Errors
/// [`StageError::Failed`] naming two scales.
pub(crate) fn scale_of(cells: &[Cell], metric: &str) -> Result<Scale, StageError> {
    let mut scales =
        cells.iter().flat_map(|cell| &cell.metrics).filter(|of| of.name == metric).map(|of| &of.scale);
    let Some(first) = scales.next() else { return Ok(Scale::default()) };
    match scales.find(|other| *other != first) {
        None => Ok(first.clone()),
        Some(other) => {
            let said = |scale: &Scale| {
                let better =
                    scale.better.map_or("not said".to_owned(), |better| format!("{better} is better"));
                format!("{better}, unit {}", scale.unit.as_deref().unwrap_or("none"))
            };
            let message = format!("`{metric}` has two meanings: {}; {}", said(first), said(other));
            Err(StageError::failed(message)
                .help("let the columns `better` and `unit` say the same in all metrics"))
        }
    }
}

/// Says of which metrics no verdict is possible, if there are any.
pub(super) fn without_direction<'a>(
    cells: &[Cell],
    metrics: impl IntoIterator<Item = &'a str>,
) -> Result<Option<String>, StageError> {
    let mut names: Vec<&str> = Vec::new();
    for metric in metrics {
        if scale_of(cells, metric)?.better.is_none() && !names.contains(&metric) {
            names.push(metric);
        }
    }
    Ok((!names.is_empty()).then(|| {
        format!(
            "of {} is not known whether more or less is better, so no row is called better or worse: write a column `better` with \
             `higher` or `lower` into the metrics",
            names.join(", ")
        )
    }))
}
