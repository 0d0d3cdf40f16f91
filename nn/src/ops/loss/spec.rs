//! Losses of classifiers by name.

use serde::{Deserialize, Serialize};

use crate::NnError;

/// A loss with its options, as pipeline files write it: `{ name: lq, q: 0.7 }`.
///
/// `x` are the logits of a sample, `p = softmax(x)`, `t` its targets (a distribution over classes, one-hot or mixed). All
/// but the last two are means over the samples of a batch, whatever was left out of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LossSpec {
    /// Categorical cross entropy of softmax(logits): `-sum t ln p`.
    #[default]
    Cce,
    /// Binary cross entropy of sigmoid(logits): the mean over samples and classes; targets in [0, 1].
    Bce,
    /// Mean absolute error `sum |p - t|`, which is `2 (1 - p_y)` for a sample of class `y`.
    /// Source: Ghosh, Kumar and Sastry 2017.
    Mae,
    /// Generalised cross entropy `sum t (1 - (p + 1e-8)^q) / q`: `cce` for `q` towards 0, half of `mae` at 1.
    /// Source: Zhang and Sabuncu 2018.
    Lq {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
    },
    /// Soft bootstrapping: `-sum (beta t + (1 - beta) p) ln max(p, 1e-7)`; the gradient also flows through `p` in the
    /// targets. Source: Reed et al. 2015.
    Lsoft {
        /// Weight of the labels, `0..=1`.
        #[serde(default = "beta")]
        beta: f64,
    },
    /// `cce` with smoothed labels: `(1 - epsilon) t + epsilon / classes`.
    CceSmooth {
        /// What is taken from the label and spread over all classes, `0..=1`.
        #[serde(default = "smoothing")]
        epsilon: f64,
    },
    /// `cce` without the samples whose loss is above `share` times the largest of the batch; they count as 0 in the mean.
    CceMax {
        /// Above 0, at most 1.
        #[serde(default = "max_share")]
        share: f64,
    },
    /// `cce` without the samples whose loss is above the batch's median plus `deviations` standard deviations (of the
    /// population); they count as 0 in the mean.
    CceOutlier {
        /// At least 0.
        #[serde(default = "deviations")]
        deviations: f64,
    },
    /// `lq` without the samples whose loss is above `share` times the largest of the batch; the mean over the others.
    LqMax {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
        /// Above 0, at most 1.
        share: f64,
    },
    /// `lq` without the samples whose loss is above a percentile of the batch (the lower one of two neighbours); the mean
    /// over the others.
    LqPercentile {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
        /// `0..=100`.
        percentile: f64,
    },
}

fn q() -> f64 {
    0.7
}

fn beta() -> f64 {
    0.3
}

fn smoothing() -> f64 {
    0.15
}

fn max_share() -> f64 {
    0.6
}

fn deviations() -> f64 {
    1.9
}

impl LossSpec {
    /// Checks the ranges; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        let share = |name: &str, value: f64| {
            if value > 0.0 && value <= 1.0 {
                return Ok(());
            }
            Err(NnError::range(name, value, "in (0, 1]"))
        };
        let closed = |name: &str, value: f64| {
            if (0.0..=1.0).contains(&value) {
                return Ok(());
            }
            Err(NnError::range(name, value, "in [0, 1]"))
        };
        match *self {
            LossSpec::Cce | LossSpec::Bce | LossSpec::Mae => Ok(()),
            LossSpec::Lq { q } => share("q", q),
            LossSpec::Lsoft { beta } => closed("beta", beta),
            LossSpec::CceSmooth { epsilon } => closed("epsilon", epsilon),
            LossSpec::CceMax { share: s } => share("share", s),
            LossSpec::CceOutlier { deviations } => {
                if !(deviations >= 0.0 && deviations.is_finite()) {
                    return Err(NnError::range("deviations", deviations, "not negative"));
                }
                Ok(())
            }
            LossSpec::LqMax { q, share: s } => share("q", q).and_then(|()| share("share", s)),
            LossSpec::LqPercentile { q, percentile } => {
                share("q", q)?;
                if !(0.0..=100.0).contains(&percentile) {
                    return Err(NnError::range("percentile", percentile, "in [0, 100]"));
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: LossSpec) {
        let spec: LossSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec, expected);
        spec.check().unwrap();
        let again = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<LossSpec>(&again).unwrap(), expected);
    }

    #[test]
    fn names_and_defaults_are_those_of_the_pipeline_file() {
        check(r#"{"name": "cce"}"#, LossSpec::Cce);
        check(r#"{"name": "bce"}"#, LossSpec::Bce);
        check(r#"{"name": "mae"}"#, LossSpec::Mae);
        check(r#"{"name": "lq", "q": 0.5}"#, LossSpec::Lq { q: 0.5 });
        check(r#"{"name": "lq"}"#, LossSpec::Lq { q: 0.7 });
        check(r#"{"name": "lsoft"}"#, LossSpec::Lsoft { beta: 0.3 });
        check(r#"{"name": "cce_smooth"}"#, LossSpec::CceSmooth { epsilon: 0.15 });
        check(r#"{"name": "cce_max"}"#, LossSpec::CceMax { share: 0.6 });
        check(r#"{"name": "cce_outlier"}"#, LossSpec::CceOutlier { deviations: 1.9 });
        check(r#"{"name": "lq_max", "share": 0.93}"#, LossSpec::LqMax { q: 0.7, share: 0.93 });
        check(
            r#"{"name": "lq_percentile", "q": 0.5, "percentile": 96}"#,
            LossSpec::LqPercentile { q: 0.5, percentile: 96.0 },
        );
        assert_eq!(serde_json::to_string(&LossSpec::Cce).unwrap(), r#"{"name":"cce"}"#);
    }

    #[test]
    fn mistakes_are_named() {
        for text in [r#"{"name": "lq", "p": 0.7}"#, r#"{"name": "lq_max"}"#, r#""lq""#, r#"{"name": "lp"}"#] {
            assert!(serde_json::from_str::<LossSpec>(text).is_err(), "{text}");
        }
        let error = |spec: LossSpec| spec.check().unwrap_err().to_string();
        assert_eq!(error(LossSpec::Lq { q: 0.0 }), "`q` is 0, must be in (0, 1]");
        assert_eq!(error(LossSpec::Lsoft { beta: f64::NAN }), "`beta` is NaN, must be in [0, 1]");
        assert_eq!(error(LossSpec::CceMax { share: 1.5 }), "`share` is 1.5, must be in (0, 1]");
        assert_eq!(
            error(LossSpec::CceOutlier { deviations: -1.0 }),
            "`deviations` is -1, must be not negative"
        );
        assert_eq!(
            error(LossSpec::LqPercentile { q: 0.5, percentile: 101.0 }),
            "`percentile` is 101, must be in [0, 100]"
        );
        assert_eq!(error(LossSpec::LqMax { q: 2.0, share: 1.0 }), "`q` is 2, must be in (0, 1]");
        assert_eq!(error(LossSpec::CceSmooth { epsilon: -0.1 }), "`epsilon` is -0.1, must be in [0, 1]");
    }
}
