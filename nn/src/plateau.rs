//! Learning rates that follow a metric.

use serde::{Deserialize, Serialize};

use crate::NnError;

/// How the learning rate falls where a metric stands still; multiplies that of a [`ScheduleSpec`](crate::ScheduleSpec).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauSpec {
    /// What the rate is multiplied by.
    #[serde(default = "half")]
    pub factor: f64,
    /// So many observations in a row without an improvement change the rate.
    #[serde(default = "patience")]
    pub patience: u64,
    /// A value must be better than the best by more than this.
    #[serde(default)]
    pub min_delta: f64,
    /// Whether a smaller value is the better one, as for a loss.
    #[serde(default)]
    pub falls: bool,
}

fn half() -> f64 {
    0.5
}

fn patience() -> u64 {
    5
}

impl PlateauSpec {
    /// Checks the ranges; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        if !(self.factor > 0.0 && self.factor < 1.0) {
            return Err(NnError::range("factor", self.factor, "in (0, 1)"));
        }
        if self.patience == 0 {
            return Err(NnError::range("patience", self.patience, "at least 1"));
        }
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            return Err(NnError::range("min_delta", self.min_delta, "not negative"));
        }
        Ok(())
    }
}

/// What a plateau schedule has seen; written and read back with a checkpoint, it goes on to the bit.
///
/// Semantics of Keras' `ReduceLROnPlateau` without cooldown: the count of observations starts again behind an improvement
/// and behind a change of the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// Bits of the best value.
    best: Option<u64>,
    waited: u64,
    drops: u32,
}

impl Plateau {
    /// Takes the next value of the metric, mostly at the end of an epoch. A NaN is no improvement.
    pub fn observe(&mut self, spec: &PlateauSpec, value: f64) {
        let improved = match self.best.map(f64::from_bits) {
            None => !value.is_nan(),
            Some(best) if spec.falls => value < best - spec.min_delta,
            Some(best) => value > best + spec.min_delta,
        };
        if improved {
            (self.best, self.waited) = (Some(value.to_bits()), 0);
            return;
        }
        self.waited += 1;
        if self.waited >= spec.patience {
            (self.waited, self.drops) = (0, self.drops + 1);
        }
    }

    /// What the learning rate is to be multiplied by.
    pub fn scale(&self, spec: &PlateauSpec) -> f64 {
        (0..self.drops).fold(1.0, |scale, _| scale * spec.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: &str, values: &[f64], expected: &[f64]) {
        let spec: PlateauSpec = serde_json::from_str(spec).unwrap();
        spec.check().unwrap();
        let mut plateau = Plateau::default();
        for (value, expected) in values.iter().zip(expected) {
            plateau.observe(&spec, *value);
            assert_eq!(plateau.scale(&spec), *expected, "at {value}");
            // As a checkpoint does.
            let text = serde_json::to_string(&plateau).unwrap();
            assert_eq!(serde_json::from_str::<Plateau>(&text).unwrap(), plateau);
        }
    }

    #[test]
    fn the_rate_is_halved_where_a_metric_stands_still() {
        let values = [0.5, 0.6, 0.6, 0.1, 0.7, 0.7, 0.7, 0.7, 0.7, 0.8];
        check(r#"{"patience": 2}"#, &values, &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]);
        check("{}", &[0.3; 12], &[1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]);
        // A fall by less than 0.1 is none.
        let spec = r#"{"patience": 1, "factor": 0.1, "min_delta": 0.1, "falls": true}"#;
        check(spec, &[1.0, 0.8, 0.75, 0.6, 2.0], &[1.0, 1.0, 0.1, 0.1, 0.1 * 0.1]);
        check(r#"{"patience": 1}"#, &[f64::NAN, 1.0, f64::NAN, 2.0], &[0.5, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn ranges_are_checked() {
        let error = |text: &str| {
            let spec: PlateauSpec = serde_json::from_str(text).unwrap();
            spec.check().unwrap_err().to_string()
        };
        assert_eq!(error(r#"{"factor": 1}"#), "`factor` is 1, must be in (0, 1)");
        assert_eq!(error(r#"{"patience": 0}"#), "`patience` is 0, must be at least 1");
        assert_eq!(error(r#"{"min_delta": -1}"#), "`min_delta` is -1, must be not negative");
        assert!(serde_json::from_str::<PlateauSpec>(r#"{"gamma": 0.5}"#).is_err());
    }
}
