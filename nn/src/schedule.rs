//! Learning-rate schedules.

use serde::{Deserialize, Serialize};

use crate::NnError;

/// How the learning rate changes over a training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ScheduleSpec {
    /// The base rate throughout.
    #[default]
    Constant,
    /// Multiplied by `gamma` at each milestone.
    Step {
        /// Epochs (from 0) at which the rate drops; a number below 1 is a share of all epochs.
        milestones: Vec<f64>,
        /// Factor at each milestone.
        #[serde(default = "tenth")]
        gamma: f64,
        /// Epochs over which the rate rises linearly from 0.
        #[serde(default)]
        warmup: f64,
    },
    /// Half a cosine from the base rate to `minimum` times the base rate.
    Cosine {
        /// Share of the base rate at the end.
        #[serde(default)]
        minimum: f64,
        /// Epochs over which the rate rises linearly from 0; the cosine starts behind them.
        #[serde(default)]
        warmup: f64,
    },
    /// The base rate behind a linear rise.
    Warmup {
        /// Epochs over which the rate rises linearly from 0.
        warmup: f64,
    },
}

fn tenth() -> f64 {
    0.1
}

/// A moment of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done in this epoch.
    pub step: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Epochs of the training.
    pub epochs: u64,
}

impl ScheduleSpec {
    /// Checks the ranges; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        let not_negative = |name: &str, value: f64| {
            if value >= 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(NnError::range(name, value, "not negative"))
        };
        match self {
            ScheduleSpec::Constant => Ok(()),
            ScheduleSpec::Step { milestones, gamma, warmup } => {
                milestones.iter().try_for_each(|&m| not_negative("milestones", m))?;
                not_negative("gamma", *gamma)?;
                not_negative("warmup", *warmup)
            }
            ScheduleSpec::Cosine { minimum, warmup } => {
                if !(0.0..=1.0).contains(minimum) {
                    return Err(NnError::range("minimum", minimum, "in [0, 1]"));
                }
                not_negative("warmup", *warmup)
            }
            ScheduleSpec::Warmup { warmup } => not_negative("warmup", *warmup),
        }
    }

    /// The learning rate of the step that starts at `at`.
    pub fn rate(&self, base: f64, at: Moment) -> f64 {
        let steps = at.steps_per_epoch.max(1) as f64;
        let position = at.epoch as f64 + at.step as f64 / steps;
        let warmup = match *self {
            ScheduleSpec::Constant => 0.0,
            ScheduleSpec::Step { warmup, .. }
            | ScheduleSpec::Cosine { warmup, .. }
            | ScheduleSpec::Warmup { warmup } => warmup,
        };
        if position < warmup {
            // The first step is not lost: it has one part of the rate, the last one all of it.
            return base * ((position + 1.0 / steps) / warmup).min(1.0);
        }
        match self {
            ScheduleSpec::Constant | ScheduleSpec::Warmup { .. } => base,
            ScheduleSpec::Step { milestones, gamma, .. } => {
                let epochs = at.epochs as f64;
                let passed = milestones.iter().filter(|&&m| {
                    let epoch = if m < 1.0 { m * epochs } else { m };
                    // A share such as 0.7 of 10 epochs is not exact in binary.
                    at.epoch as f64 >= epoch - 1e-9
                });
                base * gamma.powi(passed.count() as i32)
            }
            ScheduleSpec::Cosine { minimum, .. } => {
                let span = (at.epochs as f64 - warmup).max(f64::MIN_POSITIVE);
                let share = ((position - warmup) / span).clamp(0.0, 1.0);
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
                base * (minimum + (1.0 - minimum) * cosine)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: &ScheduleSpec, epoch: u64, step: u64, expected: f64) {
        let at = Moment { epoch, step, steps_per_epoch: 10, epochs: 60 };
        let rate = spec.rate(1e-3, at);
        assert!((rate - expected).abs() < 1e-12, "{rate} instead of {expected}");
    }

    #[test]
    fn a_step_schedule_drops_at_shares_and_at_epochs() {
        let spec = ScheduleSpec::Step { milestones: vec![0.8, 54.0], gamma: 0.1, warmup: 0.0 };
        check(&spec, 0, 0, 1e-3);
        check(&spec, 47, 9, 1e-3);
        check(&spec, 48, 0, 1e-4);
        check(&spec, 54, 0, 1e-5);
    }

    #[test]
    fn a_cosine_starts_behind_its_warm_up() {
        let spec = ScheduleSpec::Cosine { minimum: 0.1, warmup: 2.0 };
        check(&spec, 0, 0, 1e-3 / 20.0);
        check(&spec, 1, 9, 1e-3);
        check(&spec, 2, 0, 1e-3);
        check(&spec, 31, 0, 1e-3 * 0.55);
        check(&spec, 60, 0, 1e-4);
    }

    #[test]
    fn names_and_defaults_are_those_of_the_pipeline_file() {
        let spec: ScheduleSpec = serde_json::from_str(r#"{"name": "step", "milestones": [0.8]}"#).unwrap();
        check(&spec, 48, 0, 1e-4);
        assert!(serde_json::from_str::<ScheduleSpec>(r#"{"name": "cosine", "min": 0}"#).is_err());
        let bad = ScheduleSpec::Cosine { minimum: 2.0, warmup: 0.0 };
        assert_eq!(bad.check().unwrap_err().to_string(), "`minimum` is 2, must be in [0, 1]");
    }
}
