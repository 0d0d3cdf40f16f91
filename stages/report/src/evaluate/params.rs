//! Parameters of `evaluate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Judges scores by labels.
///
/// `metrics` is long: `metric, class, value, n`, a row without a class for each metric over all and one for each class. An
/// undefined value (a class without positives) is empty, with `n` 0, does not enter a mean and is told; so is the d' of a class
/// with an AUC of 0 or 1, which is infinite. Over all: `mAP`, `AUC`, `dprime_macro`, `dprime_of_mean_auc`, `lwlrap`; for each
/// class: `average_precision`, `AUC`, `dprime`, `lwlrap`. One class a clip has in addition `accuracy`, `balanced_accuracy` and
/// `mAP@3`, and for each class `recall` and `mAP@3`. Pairs labelled `ignored` are left out.
///
/// The order of the classes changes no metric where scores are equal: in `lwlrap` and `mAP@3` equal scores share the worst of their ranks,
/// as in scikit-learn's `label_ranking_average_precision_score`; of several largest scores the class with the least name is predicted.
///
/// `mAP` is the mean over classes of the area under the curve of precision over recall without interpolation, elsewhere called
/// PR-AUC; `mAP@3` is another thing, the mean over clips of 1, 1/2 or 1/3 for the rank of the clip's class. `dprime_macro` is the
/// mean of the classes' d', `dprime_of_mean_auc` the d' of their mean AUC: papers mean either.
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
