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
    /// Multiplied by `gamma` at the start of each epoch, behind a pause and a linear rise; the rate of an epoch is the same in
    /// all its steps.
    ///
    /// Epochs before `pause` have the share `start` of the base rate; from there the share rises by the same amount each
    /// epoch, to 1 in epoch `warmup - 1`; epoch `warmup` has the base rate, later ones `gamma` of that before.
    Exponential {
        /// Factor of each epoch.
        gamma: f64,
        /// Share of the base rate at the beginning.
        #[serde(default = "tenth")]
        start: f64,
        /// Epochs at that share.
        #[serde(default)]
        pause: u64,
        /// Epochs before the base rate, those of the pause included.
        #[serde(default)]
        warmup: u64,
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
            ScheduleSpec::Exponential { gamma, start, pause, warmup } => {
                not_negative("gamma", *gamma)?;
                not_negative("start", *start)?;
                if pause > warmup {
                    return Err(NnError::range("pause", pause, &format!("at most `warmup`, {warmup}")));
                }
                Ok(())
            }
            ScheduleSpec::Warmup { warmup } => not_negative("warmup", *warmup),
        }
    }

    /// The learning rate of the step that starts at `at`.
    pub fn rate(&self, base: f64, at: Moment) -> f64 {
        let steps = at.steps_per_epoch.max(1) as f64;
        let position = at.epoch as f64 + at.step as f64 / steps;
        let warmup = match *self {
            ScheduleSpec::Constant | ScheduleSpec::Exponential { .. } => 0.0,
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
            ScheduleSpec::Exponential { gamma, start, pause, warmup } => {
                if at.epoch >= *warmup {
                    return base * gamma.powf((at.epoch - warmup) as f64);
                }
                let risen = (at.epoch + 1).saturating_sub(*pause) as f64 / (warmup - pause).max(1) as f64;
                base * (start + (1.0 - start) * risen)
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
    fn an_exponential_has_a_pause_and_a_rise() {
        let spec = ScheduleSpec::Exponential { gamma: 0.985, start: 0.1, pause: 5, warmup: 15 };
        for step in [0, 9] {
            let share = |epoch, share: f64| check(&spec, epoch, step, 1e-3 * share);
            (0..5).for_each(|epoch| share(epoch, 0.1));
            share(5, 0.19);
            share(9, 0.55);
            share(14, 1.0);
            share(15, 1.0);
            share(16, 0.985);
        }
        // Epochs 100 and 299 of the ESResNet recipe.
        let rate = |epoch| spec.rate(2.5e-4, Moment { epoch, step: 0, steps_per_epoch: 10, epochs: 300 });
        assert!((rate(100) - 6.9186e-5).abs() < 1e-9);
        assert!((rate(299) - 3.4185e-6).abs() < 1e-10);
        let plain = ScheduleSpec::Exponential { gamma: 0.5, start: 0.1, pause: 0, warmup: 0 };
        check(&plain, 0, 0, 1e-3);
        check(&plain, 2, 0, 2.5e-4);
        let bad = ScheduleSpec::Exponential { gamma: 0.5, start: 0.1, pause: 2, warmup: 1 };
        assert_eq!(bad.check().unwrap_err().to_string(), "`pause` is 2, must be at most `warmup`, 1");
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
