//! Parameters of `evaluate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Judges scores by labels.
///
/// `metrics` is long: `metric, class, value, n`, a row without a class for each metric over all and one for each class. An
/// undefined value (a class without positives) is empty, with `n` 0, and does not enter a mean. One class a clip:
/// `accuracy`, `balanced_accuracy`, `mAP`, `AUC`, and for each class `recall`, `average_precision`, `AUC`. Several classes a
/// clip: `mAP`, `AUC`, `lwlrap`, and for each class `average_precision`, `AUC`. Pairs labelled `ignored` are left out.
///
/// `confusion` counts, for one class a clip, `class, predicted, n, share`; for several `class, n, tp, fp, fn, tn` at `threshold`.
/// `predictions` has a row for each clip: `clip_id, class, predicted, score, correct`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateParams {
    /// Whether clips have one class or several.
    pub task: Task,
    /// From which score on a class counts as predicted in `confusion` where clips have several, `0..=1`.
    pub threshold: f64,
}

impl Default for EvaluateParams {
    fn default() -> Self {
        Self { task: Task::Auto, threshold: 0.5 }
    }
}

/// How many classes a clip has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// `multi_class` if every clip with labels has exactly one class, else `multi_label`.
    #[default]
    Auto,
    /// One class a clip; a clip without a class is left out, one with several is an error.
    MultiClass,
    /// Any number of classes a clip; a clip without labels has none.
    MultiLabel,
}
