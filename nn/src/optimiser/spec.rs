//! Optimisers by name.

use serde::{Deserialize, Serialize};

use crate::NnError;

/// An optimiser by name, with its options; the learning rate comes with every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OptimiserSpec {
    /// Adam; weight decay is added to the gradient (L2).
    Adam {
        /// Decay of the two moments, each `0..1`.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the root of the second moment; above 0.
        #[serde(rename = "eps", default = "epsilon")]
        epsilon: f64,
        /// Factor of a weight in its gradient; at least 0.
        #[serde(default)]
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay.
    Adamw {
        /// Decay of the two moments, each `0..1`.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the root of the second moment; above 0.
        #[serde(rename = "eps", default = "epsilon")]
        epsilon: f64,
        /// A weight shrinks by this times the rate; at least 0.
        #[serde(default = "decoupled")]
        weight_decay: f64,
    },
    /// Gradient descent with momentum; weight decay is added to the gradient.
    Sgd {
        /// Factor of the previous update, `0..1`.
        #[serde(default)]
        momentum: f64,
        /// Factor of a weight in its gradient; at least 0.
        #[serde(default)]
        weight_decay: f64,
        /// Nesterov's momentum.
        #[serde(default)]
        nesterov: bool,
    },
    /// Gradient descent with momentum whose rate is, for each parameter, `trust |w| / (|g| + weight_decay |w|)` times the
    /// learning rate, so that no layer moves by more than a share of its size.
    ///
    /// Parameters of one axis (biases and those of normalisations) have the plain rate and no decay; a parameter whose norm,
    /// or whose gradient's norm, is 0 has the plain rate. Source: You, Gitman and Ginsburg 2017, with SimCLR's exceptions.
    Lars {
        /// Factor of the previous update, `0..1`.
        #[serde(default = "lars_momentum")]
        momentum: f64,
        /// Factor of a weight in its gradient; at least 0.
        #[serde(default)]
        weight_decay: f64,
        /// Share of a weight's norm that a step of rate 1 moves it by; above 0.
        #[serde(default = "trust")]
        trust: f64,
    },
}

fn betas() -> (f64, f64) {
    (0.9, 0.999)
}

fn epsilon() -> f64 {
    1e-8
}

fn decoupled() -> f64 {
    1e-2
}

fn lars_momentum() -> f64 {
    0.9
}

fn trust() -> f64 {
    1e-3
}

impl Default for OptimiserSpec {
    fn default() -> Self {
        OptimiserSpec::Adam { betas: betas(), epsilon: epsilon(), weight_decay: 0.0 }
    }
}

impl OptimiserSpec {
    /// Checks the ranges; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        let unit = |name: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                return Ok(());
            }
            Err(NnError::range(name, value, "in [0, 1)"))
        };
        let decay = match *self {
            OptimiserSpec::Adam { betas, epsilon, weight_decay }
            | OptimiserSpec::Adamw { betas, epsilon, weight_decay } => {
                unit("betas", betas.0)?;
                unit("betas", betas.1)?;
                if !(epsilon > 0.0 && epsilon.is_finite()) {
                    return Err(NnError::range("eps", epsilon, "positive"));
                }
                weight_decay
            }
            OptimiserSpec::Sgd { momentum, weight_decay, nesterov } => {
                unit("momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err(NnError::range("momentum", momentum, "positive with `nesterov`"));
                }
                weight_decay
            }
            OptimiserSpec::Lars { momentum, weight_decay, trust } => {
                unit("momentum", momentum)?;
                if !(trust > 0.0 && trust.is_finite()) {
                    return Err(NnError::range("trust", trust, "positive"));
                }
                weight_decay
            }
        };
        if !(decay >= 0.0 && decay.is_finite()) {
            return Err(NnError::range("weight_decay", decay, "not negative"));
        }
        Ok(())
    }

    /// Names of the state tensors that belong to each parameter.
    pub(crate) fn slots(&self) -> &'static [&'static str] {
        match self {
            OptimiserSpec::Adam { .. } | OptimiserSpec::Adamw { .. } => &["exp_avg", "exp_avg_sq"],
            OptimiserSpec::Sgd { momentum, .. } if *momentum > 0.0 => &["momentum_buffer"],
            OptimiserSpec::Lars { .. } => &["momentum_buffer"],
            OptimiserSpec::Sgd { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let spec: OptimiserSpec = serde_json::from_str(r#"{"name": "lars"}"#).unwrap();
        assert_eq!(spec, OptimiserSpec::Lars { momentum: 0.9, weight_decay: 0.0, trust: 1e-3 });
        let spec: OptimiserSpec = serde_json::from_str(r#"{"name": "lars", "trust": 0}"#).unwrap();
        assert_eq!(spec.check().unwrap_err().to_string(), "`trust` is 0, must be positive");
        let spec: OptimiserSpec = serde_json::from_str(r#"{"name": "adam", "betas": [1.0, 0.9]}"#).unwrap();
        assert_eq!(spec.check().unwrap_err().to_string(), "`betas` is 1, must be in [0, 1)");
        let spec: OptimiserSpec = serde_json::from_str(r#"{"name": "sgd", "nesterov": true}"#).unwrap();
        assert!(spec.check().unwrap_err().to_string().contains("`momentum` is 0"));
        assert!(serde_json::from_str::<OptimiserSpec>(r#"{"name": "sgd", "betas": [0, 0]}"#).is_err());
    }
}
