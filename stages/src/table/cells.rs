//! The values that a table is made of.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use sndpipe_engine::{Axes, StageError};

use crate::columns;

/// One evaluation: its cell, and the metrics over all classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub axes: Axes,
    pub metrics: Vec<(String, Option<f64>)>,
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
        Ok(Self { axes, metrics })
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
    let mut labels: Vec<String> = Vec::new();
    for label in cells.iter().filter_map(|cell| cell.label(axis)) {
        if !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    }
    labels
}

/// The axes that the cells have.
pub(crate) fn axes_of(cells: &[Cell]) -> Vec<String> {
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
