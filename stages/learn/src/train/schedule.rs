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
    /// A factor for each epoch, behind a pause at a small rate and a rise to the whole one; all steps of an epoch have the same rate.
    ///
    /// ESResNet's: `{ name: exponential, factor: 0.985, start: 0.1, pause: 5, warm_up: 15 }`. Epochs 0 to 4 have a tenth of the rate, 5 to 14
    /// rise by the same amount each to all of it, from 15 on each has 0.985 of the one before.
    Exponential {
        /// What the rate of an epoch is multiplied by for the next, above 0, at most 1.
        #[serde(default = "esresnet")]
        factor: f64,
        /// Share of the rate at the beginning, `0..=1`.
        #[serde(default = "tenth")]
        start: f64,
        /// Epochs at that share, `0..=warm_up`.
        #[serde(default)]
        pause: u32,
        /// Epochs before the first at the whole rate, those of the pause included.
        #[serde(default)]
        warm_up: u32,
    },
}

const fn esresnet() -> f64 {
    0.985
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
            &Self::Exponential { factor, start, pause, warm_up } => ScheduleSpec::Exponential {
                gamma: factor,
                start,
                pause: pause.into(),
                warmup: warm_up.into(),
            },
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
                        outside(*point, 0.0, f64::from(epochs)) && !(0.0..1.0).contains(point),
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
            Self::Exponential { factor, start, pause, warm_up } => {
                let range = "0 (exclusive) ..=1";
                refuse(!(*factor > 0.0 && *factor <= 1.0), "schedule.factor", factor, range);
                refuse(outside(*start, 0.0, 1.0), "schedule.start", start, "0..=1");
                refuse(pause > warm_up, "schedule.pause", pause, &format!("0..={warm_up} (`warm_up`)"));
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sndpipe_nn::Moment;

    use super::*;

    /// Rates of ESResNet's recipe with a base of 2.5e-4, by its definition.
    #[test]
    fn an_exponential_is_that_of_esresnet() {
        let schedule: ScheduleParams =
            serde_json::from_value(json!({ "name": "exponential", "pause": 5, "warm_up": 15 })).unwrap();
        assert_eq!(schedule.mistakes(300), []);
        for (epoch, expected) in [
            (0, 2.5e-5),
            (4, 2.5e-5),
            (5, 4.75e-5),
            (9, 1.375e-4),
            (14, 2.5e-4),
            (15, 2.5e-4),
            (16, 2.4625e-4),
            (100, 6.9186e-5),
            (299, 3.4185e-6),
        ] {
            let at = Moment { epoch, step: 3, steps_per_epoch: 7, epochs: 300 };
            let rate = schedule.spec(0.0).rate(2.5e-4, at);
            // The check values have five digits.
            assert!((rate / expected - 1.0).abs() < 1.5e-5, "epoch {epoch}: {rate} instead of {expected}");
        }
        let wrong = ScheduleParams::Exponential { factor: 0.0, start: 2.0, pause: 6, warm_up: 5 };
        let paths: Vec<String> = wrong.mistakes(300).into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["schedule.factor", "schedule.start", "schedule.pause"]);
    }
}
