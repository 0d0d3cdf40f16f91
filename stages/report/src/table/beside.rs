//! Metrics of other stages beside those of a repeated one.

use std::collections::BTreeSet;

use sndpipe_artefacts::OneOrMany;
use sndpipe_engine::{Axes, Item, Kind, ParamError, Port, StageError, StageIo, Upstream};

use super::cells::{Cell, rows_of};

/// The port of the metrics whose axes a table has.
const METRICS: &str = "metrics";

/// What a row has on the axes of rows behind the first.
const NOTHING: &str = "-";

/// The inputs of a table: metrics, and those that stand beside them.
pub(super) fn ports(beside: &[String]) -> Vec<Port> {
    let port = |name| {
        Port::new(name, Kind::Metrics).collecting().reading(&["metric", "class", "value", "better?", "unit?"])
    };
    std::iter::once(METRICS).chain(beside.iter().map(String::as_str)).map(port).collect()
}

/// Names that cannot be those of inputs.
pub(super) fn mistakes(beside: &[String], rows: &OneOrMany) -> Vec<ParamError> {
    let mut mistakes = Vec::new();
    for (at, name) in beside.iter().enumerate() {
        let path = format!("beside[{at}]");
        if name.is_empty() || name == METRICS {
            mistakes.push(ParamError::new(path, format!("`{name}` cannot be the name of another input")));
        } else if beside[..at].contains(name) {
            mistakes.push(ParamError::new(path, format!("`{name}` is there twice")));
        }
    }
    if !beside.is_empty() && rows.0.is_empty() {
        let error = ParamError::new("beside", "a table of one row has no row for others");
        mistakes.push(error.help("name the axis of rows with `rows`"));
    }
    mistakes
}

/// The cells of all inputs; those beside are rows with the names of their inputs.
///
/// # Errors
/// [`StageError::Failed`] where metrics beside have an axis of rows, or one that the others lack.
pub(super) fn read(rows: &OneOrMany, beside: &[String], io: &StageIo<'_>) -> Result<Vec<Cell>, StageError> {
    gather(rows, beside, |port| {
        io.tables(port)?.into_iter().map(|(axes, table)| Cell::read(axes, &table)).collect()
    })
}

/// What is wrong with the rows and axes of a table whose inputs are wired so; `judge` looks at its cells, which have no values yet.
pub(crate) fn miswired(
    rows: &OneOrMany,
    beside: &[String],
    upstream: &[Upstream<'_>],
    judge: impl FnOnce(&[Cell]) -> Result<(), StageError>,
) -> Vec<ParamError> {
    let planned = |port: &str| {
        let items = upstream.iter().find(|wired| wired.port == port).map_or(&[][..], |wired| wired.items);
        let cell = |item: &Item| Cell { axes: item.axes.clone(), metrics: Vec::new(), repeats: None };
        Ok(items.iter().map(cell).collect())
    };
    let error = match gather(rows, beside, planned).and_then(|cells| judge(&cells)) {
        Err(StageError::Failed { message, help }) => ParamError { path: String::new(), message, help },
        _ => return Vec::new(),
    };
    vec![error]
}

fn gather(
    rows: &OneOrMany,
    beside: &[String],
    read: impl Fn(&str) -> Result<Vec<Cell>, StageError>,
) -> Result<Vec<Cell>, StageError> {
    let mut cells = read(METRICS)?;
    let places = places(&cells, rows);
    let there = rows_of(&cells, &rows.0);
    for name in beside {
        if there.contains(&labels(name, rows.0.len())) {
            let message =
                format!("`{METRICS}` has a row `{name}` already, and an input of that name is beside it");
            return Err(StageError::failed(message).help("give the input another name"));
        }
        cells.extend(
            row(name, &read(name)?, rows, &places).map_err(|error| error.at(&format!("input `{name}`")))?,
        );
    }
    Ok(cells)
}

/// Where cells lie on the axes that are not rows, each place once.
fn places(cells: &[Cell], rows: &OneOrMany) -> Vec<Axes> {
    let mut seen = BTreeSet::new();
    let place = |cell: &Cell| -> Axes {
        cell.axes.iter().filter(|(axis, _)| !rows.0.contains(axis)).cloned().collect()
    };
    cells.iter().map(place).filter(|place| seen.insert(place.clone())).collect()
}

/// The labels of a row beside.
fn labels(name: &str, axes: usize) -> Vec<String> {
    (0..axes).map(|at| if at == 0 { name } else { NOTHING }.to_owned()).collect()
}

/// One row of metrics that may lack axes: a cell stands for all places that it agrees with.
fn row(name: &str, cells: &[Cell], rows: &OneOrMany, places: &[Axes]) -> Result<Vec<Cell>, StageError> {
    let known: Vec<&String> = places.first().into_iter().flatten().map(|(axis, _)| axis).collect();
    let axes: BTreeSet<&String> = cells.iter().flat_map(|cell| &cell.axes).map(|(axis, _)| axis).collect();
    if let Some(axis) = axes.iter().find(|axis| rows.0.contains(axis)) {
        let message = format!("the metrics have the axis `{axis}`, whose labels are rows");
        return Err(StageError::failed(message).help("gather them at `metrics`, where they are rows already"));
    }
    if let Some(axis) = axes.iter().find(|axis| !known.contains(axis)) {
        return Err(StageError::failed(format!(
            "the metrics have the axis `{axis}`, which `{METRICS}` lacks"
        ))
        .help(format!("name one cell of it (`from: stage[{axis}=…]`), or gather it at `{METRICS}`, too")));
    }
    let head: Axes = rows.0.iter().cloned().zip(labels(name, rows.0.len())).collect();
    let at = |place: &Axes| -> Option<Cell> {
        let agrees = |cell: &Cell| cell.axes.iter().all(|label| place.contains(label));
        let number = cells.iter().position(agrees)?;
        let axes = head.iter().chain(place).cloned().collect();
        Some(Cell { axes, metrics: cells[number].metrics.clone(), repeats: Some(number) })
    };
    Ok(places.iter().filter_map(at).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::table::Metric;

    fn cell(axes: &[(&str, &str)], value: f64) -> Cell {
        let axes = axes.iter().map(|(axis, label)| ((*axis).to_owned(), (*label).to_owned())).collect();
        Cell { axes, metrics: vec![Metric::of("mAP", Some(value))], repeats: None }
    }

    fn rows(names: &[&str]) -> OneOrMany {
        OneOrMany(names.iter().map(|&name| name.to_owned()).collect())
    }

    fn repeated() -> Vec<Cell> {
        let mut cells = Vec::new();
        for sampler in ["noise", "joint"] {
            for fold in ["1", "2"] {
                for seed in ["0", "1", "2"] {
                    cells.push(cell(&[("sampler", sampler), ("fold", fold), ("seed", seed)], 0.5));
                }
            }
        }
        cells
    }

    #[test]
    fn a_cell_without_seeds_stands_for_all_of_them() {
        let by_sampler = rows(&["sampler"]);
        let places = places(&repeated(), &by_sampler);
        assert_eq!(places.len(), 6);
        let raw = [cell(&[("fold", "1")], 0.3), cell(&[("fold", "2")], 0.4)];
        let found = row("log_mel", &raw, &by_sampler, &places).unwrap();
        let values: Vec<f64> = found.iter().filter_map(|cell| cell.value("mAP")).collect();
        assert_eq!(values, [0.3, 0.3, 0.3, 0.4, 0.4, 0.4]);
        let fourth = cell(&[("sampler", "log_mel"), ("fold", "2"), ("seed", "1")], 0.4);
        assert_eq!(found[4], Cell { repeats: Some(1), ..fourth });
        let one = row("chance", &[cell(&[], 0.1)], &rows(&["sampler", "network"]), &places).unwrap();
        assert_eq!(
            (one.len(), one[0].label("sampler"), one[0].label("network")),
            (6, Some("chance"), Some("-"))
        );
    }

    #[test]
    fn axes_without_a_place_are_named() {
        let by_sampler = rows(&["sampler"]);
        let places = places(&repeated(), &by_sampler);
        let error =
            |axis| row("x", &[cell(&[(axis, "a")], 0.1)], &by_sampler, &places).unwrap_err().to_string();
        assert_eq!(error("sampler"), "the metrics have the axis `sampler`, whose labels are rows");
        assert_eq!(error("rate"), "the metrics have the axis `rate`, which `metrics` lacks");
    }

    #[test]
    fn names_of_inputs_differ() {
        let names: Vec<String> = serde_json::from_value(json!(["raw", "metrics", "raw"])).unwrap();
        let found: Vec<String> = mistakes(&names, &rows(&[])).into_iter().map(|error| error.path).collect();
        assert_eq!(found, ["beside[1]", "beside[2]", "beside"]);
    }
}
