//! What is drawn: the points of each line.

use sndpipe_artefacts::Scale;
use sndpipe_engine::StageError;

use super::params::PlotParams;
use crate::table::{Cell, Summary, labels_of, scale_of, spread_axis, summarise, values_of};

/// A line and its points, one for each place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub name: String,
    pub points: Vec<Summary>,
}

/// Everything that is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Points {
    /// Labels of the places, in the order of the axis.
    pub places: Vec<String>,
    pub lines: Vec<Line>,
    /// Whether all that is drawn are shares of a whole.
    pub percent: bool,
    /// The axis that deviations are taken over.
    pub spread: Option<String>,
}

impl Points {
    /// Gathers the cells.
    ///
    /// # Errors
    /// [`StageError::Failed`] if an axis or a metric is not there.
    pub fn of(params: &PlotParams, cells: &[Cell]) -> Result<Self, StageError> {
        let over = params.averaged(cells)?;
        let spread = spread_axis(cells, &over);
        let places = match &params.x {
            Some(axis) => labels_of(cells, axis),
            None => starred(&params.metric.0, cells)?,
        };
        let mut labels: Vec<Vec<String>> = Vec::new();
        for cell in cells {
            let of_cell = cell.labels(&params.lines.0);
            if !labels.contains(&of_cell) {
                labels.push(of_cell);
            }
        }
        let mut lines = Vec::new();
        for metric in &params.metric.0 {
            for labels in &labels {
                let point = |place: &String| -> Result<Summary, StageError> {
                    let values = match &params.x {
                        Some(_) => values_of(cells, metric)?,
                        None => {
                            cells.iter().map(|cell| cell.value(&metric.replacen('*', place, 1))).collect()
                        }
                    };
                    let here = |cell: &Cell| {
                        let at = params.x.as_ref().is_none_or(|axis| cell.label(axis) == Some(place));
                        at && cell.labels(&params.lines.0) == *labels
                    };
                    let here: Vec<(&Cell, Option<f64>)> =
                        cells.iter().zip(values).filter(|(cell, _)| here(cell)).collect();
                    Ok(summarise(&here, &over, spread))
                };
                let points = places.iter().map(point).collect::<Result<_, _>>()?;
                let metric = metric.replacen("_*", "", 1).replacen('*', "", 1);
                let several = params.metric.0.len() > 1 || labels.is_empty();
                let parts = several.then_some(metric).into_iter().chain(labels.iter().cloned());
                lines.push(Line { name: parts.collect::<Vec<_>>().join(", "), points });
            }
        }
        let mut drawn = Vec::new();
        for metric in &params.metric.0 {
            let names =
                if params.x.is_some() { vec![metric.clone()] } else { starred_names(metric, &places) };
            for name in names {
                // Some lines have no value at some places.
                if cells.iter().any(|cell| cell.metrics.iter().any(|of| of.name == name)) {
                    drawn.push(scale_of(cells, &name)?);
                }
            }
        }
        let percent = drawn.iter().all(Scale::is_fraction);
        Ok(Self { places, lines, percent, spread: spread.cloned() })
    }

    /// The places as numbers, if all are.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let number = |place: &String| place.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        self.places.iter().map(number).collect()
    }
}

/// The metrics that a name with a `*` stands for.
fn starred_names(metric: &str, places: &[String]) -> Vec<String> {
    places.iter().map(|place| metric.replacen('*', place, 1)).collect()
}

/// What stands for the `*` of the metrics' names, in the order of the evaluation.
fn starred(metrics: &[String], cells: &[Cell]) -> Result<Vec<String>, StageError> {
    let mut places: Vec<String> = Vec::new();
    for metric in metrics {
        let (before, behind) = metric.split_once('*').unwrap_or((metric, ""));
        let names = cells.iter().flat_map(|cell| &cell.metrics).map(|of| &of.name);
        let found: Vec<&str> =
            names.filter_map(|name| name.strip_prefix(before)?.strip_suffix(behind)).collect();
        if found.is_empty() {
            return Err(StageError::failed(format!("there is no metric like `{metric}`"))
                .help("`sndpipe show` lists the metrics of an evaluation"));
        }
        for place in found {
            if !places.iter().any(|known| known == place) {
                places.push(place.to_owned());
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::table::Metric;

    fn cell(axes: &[(&str, &str)], metrics: &[(&str, f64)]) -> Cell {
        let own = |text: &str| text.to_owned();
        Cell {
            axes: axes.iter().map(|(axis, label)| (own(axis), own(label))).collect(),
            metrics: metrics.iter().map(|(name, value)| Metric::of(name, Some(*value))).collect(),
            repeats: None,
        }
    }

    fn points(value: Value, cells: &[Cell]) -> Result<Points, StageError> {
        Points::of(&serde_json::from_value(value).unwrap(), cells)
    }

    #[test]
    fn an_axis_gives_the_places() {
        let mut cells = Vec::new();
        for (rate, base) in [("0", 0.5), ("2.5", 0.7), ("10", 0.6)] {
            for (seed, more) in [("0", 0.0), ("1", 0.1)] {
                cells.push(cell(&[("rate", rate), ("seed", seed)], &[("mAP", base + more)]));
            }
        }
        let found = points(json!({ "metric": "mAP", "x": "rate" }), &cells).unwrap();
        assert_eq!(found.numbers(), Some(vec![0.0, 2.5, 10.0]));
        assert_eq!(found.spread.as_deref(), Some("seed"));
        assert_eq!(found.lines.len(), 1);
        assert_eq!(found.lines[0].name, "mAP");
        let means: Vec<f64> = found.lines[0].points.iter().filter_map(|point| point.mean).collect();
        assert!(means.iter().zip([0.55, 0.75, 0.65]).all(|(a, b)| (a - b).abs() < 1e-12), "{means:?}");
        assert!(found.lines[0].points.iter().all(|point| point.n == 2 && point.std.is_some()));
        let lines = points(json!({ "metric": "mAP", "x": "rate", "lines": "seed" }), &cells).unwrap();
        assert_eq!(lines.lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    }

    #[test]
    fn a_star_gives_the_places() {
        let metrics = [("time_1", 0.9), ("time_3", 0.8), ("bands_1", 0.7), ("bands_3", 0.6)];
        let cells = ["mp", "aps"].map(|pool| cell(&[("pool", pool)], &metrics));
        let found = points(json!({ "metric": ["time_*", "bands_*"], "lines": "pool" }), &cells).unwrap();
        assert_eq!(found.places, ["1", "3"]);
        let names: Vec<&str> = found.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["time, mp", "time, aps", "bands, mp", "bands, aps"]);
        assert_eq!(found.lines[2].points[1].mean, Some(0.6));
    }

    #[track_caller]
    fn refuse(value: Value, expected: &str) {
        let cells = [cell(&[("fold", "1"), ("pool", "mp")], &[("mAP", 0.5)])];
        assert_eq!(points(value, &cells).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_not_there_is_named() {
        refuse(
            json!({ "metric": "mAP", "x": "rate" }),
            "the metrics have no axis `rate`; the collected axes are: fold, pool",
        );
        refuse(json!({ "metric": "time_*" }), "there is no metric like `time_*`");
        refuse(json!({ "metric": "AUC", "x": "fold" }), "there is no metric `AUC`; there are mAP");
        refuse(
            json!({ "metric": "mAP", "x": "fold", "over": [] }),
            "the axis `pool` is collected, but is neither in `x` nor in `lines` nor in `over`",
        );
    }
}
