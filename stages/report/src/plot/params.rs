//! Parameters of `plot`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::OneOrMany;
use sndpipe_engine::{ParamError, StageError};

use crate::table::{Cell, averaged};

/// Draws metrics over an axis: a line for each metric and each label of the `lines` axes, the mean over the `over` axes, and bars of one
/// standard deviation to either side.
///
/// `plot` is an SVG that needs nothing else and is readable on light and dark ground; `points` has what is drawn: `line, x, mean, std,
/// n`, with means and deviations as for `table`. Places on x are numbers where all labels are, else evenly spaced. A `*` in the name of
/// a metric stands for its place: `consistency_time_*` over 1, 3 and 5; an evaluation without one of the places has a gap there. A line of
/// more than 30 places has marks and bars at some of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlotParams {
    /// The metric, or metrics: those of `evaluate` over all classes; with one `*` in each name where `x` is absent.
    pub metric: OneOrMany,
    /// The axis whose labels are places on x. Absent: what the `*` of `metric` stands for.
    #[serde(default)]
    pub x: Option<String>,
    /// The axis, or axes, whose labels are lines. Absent: one line for each metric.
    #[serde(default)]
    pub lines: OneOrMany,
    /// The axes that are averaged. Absent: all others.
    #[serde(default)]
    pub over: Option<OneOrMany>,
    /// What stands above. Absent: nothing.
    #[serde(default)]
    pub title: Option<String>,
    /// What x is, with its unit. Absent: the name of the axis.
    #[serde(default)]
    pub x_label: Option<String>,
    /// What y is. Absent: the name of the metric. Fractions are drawn as percentages, which is added.
    #[serde(default)]
    pub y_label: Option<String>,
}

impl PlotParams {
    /// The axes that are averaged.
    ///
    /// # Errors
    /// [`StageError::Failed`] if an axis is not there, or has no place.
    pub(super) fn averaged(&self, cells: &[Cell]) -> Result<Vec<String>, StageError> {
        let placed: Vec<&String> = self.x.iter().chain(&self.lines.0).collect();
        averaged(cells, &placed, self.over.as_ref(), &["x", "lines"])
    }

    /// Every parameter that does not fit.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if self.metric.0.is_empty() {
            let error = ParamError::new("metric", "an empty list gives an empty drawing");
            mistakes.push(error.help("name a metric, such as `accuracy`"));
        }
        for metric in &self.metric.0 {
            match (metric.matches('*').count(), &self.x) {
                (1, None) | (0, Some(_)) => {}
                (0, None) => mistakes.push(
                    ParamError::new("metric", format!("`{metric}` has no `*`, and there is no `x`"))
                        .help("name the axis of x, or write a `*` where the names of metrics differ"),
                ),
                (_, Some(axis)) => mistakes.push(
                    ParamError::new("metric", format!("`{metric}` has a `*`, and x is the axis `{axis}`"))
                        .help("leave `x` out, or write the metric's name"),
                ),
                (_, None) => {
                    mistakes.push(ParamError::new("metric", format!("`{metric}` has more than one `*`")));
                }
            }
        }
        let over = self.over.iter().flat_map(|over| &over.0).map(|axis| ("over", axis));
        let axes =
            self.x.iter().map(|axis| ("x", axis)).chain(self.lines.0.iter().map(|axis| ("lines", axis)));
        let mut used: Vec<(&str, &String)> = Vec::new();
        for (place, axis) in axes.chain(over) {
            if let Some((other, _)) = used.iter().find(|(_, earlier)| *earlier == axis) {
                mistakes.push(ParamError::new(place, format!("the axis `{axis}` is already in `{other}`")));
            }
            used.push((place, axis));
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: &[&str]) {
        let params: PlotParams = serde_json::from_value(value).unwrap();
        let found: Vec<String> = params.mistakes().into_iter().map(|error| error.message).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn x_has_one_source() {
        check(json!({ "metric": "mAP", "x": "rate" }), &[]);
        check(json!({ "metric": "consistency_time_*", "lines": "pool" }), &[]);
        check(json!({ "metric": "mAP" }), &["`mAP` has no `*`, and there is no `x`"]);
        check(json!({ "metric": "a_*", "x": "rate" }), &["`a_*` has a `*`, and x is the axis `rate`"]);
        check(
            json!({ "metric": "mAP", "x": "rate", "lines": "rate" }),
            &["the axis `rate` is already in `x`"],
        );
    }
}
