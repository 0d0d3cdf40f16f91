//! How the learning rate of a training changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::ParamError;
use sndpipe_nn::{PlateauSpec, ScheduleSpec};

/// A schedule with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleParams {
    /// The same rate throughout.
    Constant {},
    /// The rate is multiplied by `factor` at each point.
    Step {
        /// Epochs done before each drop; a number below 1 is a share of all epochs.
        at: Vec<f64>,
        /// What the rate is multiplied by, `0..=1`.
        #[serde(default = "tenth")]
        factor: f64,
    },
    /// The rate is multiplied by `factor` whenever the metric that is watched stands still. That metric is the one of
    /// `early_stopping`, or else `accuracy` (one class a clip) or `mAP` (`bce`), on the validation subset.
    Plateau {
        /// What the rate is multiplied by, above 0 and below 1.
        #[serde(default = "half")]
        factor: f64,
        /// Epochs in a row without an improvement that change the rate, `1..=epochs`.
        #[serde(default = "patience")]
        patience: u32,
        /// How much better is better; at least 0.
        #[serde(default)]
        min_delta: f64,
    },
    /// Half a cosine down from the rate.
    Cosine {
        /// Share of the rate that is left at the end, `0..=1`.
        #[serde(default)]
        minimum: f64,
    },
}

const fn half() -> f64 {
    0.5
}

const fn patience() -> u32 {
    5
}

const fn tenth() -> f64 {
    0.1
}

impl Default for ScheduleParams {
    fn default() -> Self {
        Self::Constant {}
    }
}

impl ScheduleParams {
    /// What a plateau is, where the schedule waits for one; `falls` says whether a smaller value of the metric is the better one.
    pub(super) fn plateau(&self, falls: bool) -> Option<PlateauSpec> {
        let &Self::Plateau { factor, patience, min_delta } = self else { return None };
        Some(PlateauSpec { factor, patience: patience.into(), min_delta, falls })
    }

    /// What does not depend on the validation subset, with its warm-up in epochs.
    pub(super) fn spec(&self, warmup: f64) -> ScheduleSpec {
        match self {
            Self::Constant {} | Self::Plateau { .. } if warmup > 0.0 => ScheduleSpec::Warmup { warmup },
            Self::Constant {} | Self::Plateau { .. } => ScheduleSpec::Constant,
            Self::Step { at, factor } => {
                ScheduleSpec::Step { milestones: at.clone(), gamma: *factor, warmup }
            }
            Self::Cosine { minimum } => ScheduleSpec::Cosine { minimum: *minimum, warmup },
        }
    }

    /// Every parameter out of its range.
    pub(crate) fn mistakes(&self, epochs: u32) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let mut refuse = |wrong: bool, path: &str, value: &dyn std::fmt::Display, range: &str| {
            if wrong {
                mistakes.push(ParamError::new(path, format!("{value} is outside {range}")));
            }
        };
        let outside = |value: f64, low: f64, high: f64| !(low..=high).contains(&value);
        match self {
            Self::Constant {} => {}
            Self::Step { at, factor } => {
                for (index, point) in at.iter().enumerate() {
                    refuse(
                        outside(*point, 0.0, f64::from(epochs)),
                        &format!("schedule.at[{index}]"),
                        point,
                        &format!("0..={epochs} (epochs, or a share below 1)"),
                    );
                }
                refuse(outside(*factor, 0.0, 1.0), "schedule.factor", factor, "0..=1");
            }
            Self::Plateau { factor, patience, min_delta } => {
                let range = "0..1 (both exclusive)";
                refuse(!(*factor > 0.0 && *factor < 1.0), "schedule.factor", factor, range);
                let range = format!("1..={epochs} (epochs)");
                refuse(!(1..=epochs).contains(patience), "schedule.patience", patience, &range);
                let wrong = !(*min_delta >= 0.0 && min_delta.is_finite());
                refuse(wrong, "schedule.min_delta", min_delta, "the numbers from 0");
            }
            Self::Cosine { minimum } => {
                refuse(outside(*minimum, 0.0, 1.0), "schedule.minimum", minimum, "0..=1");
            }
        }
        mistakes
    }
}
