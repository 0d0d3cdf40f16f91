//! The optimiser of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_nn::OptimiserSpec;

/// An optimiser with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimiserParams {
    /// Adam; weight decay is added to the gradient.
    Adam {
        /// Decay of the two moments, each `0..1`.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the root of the second moment; above 0.
        #[serde(default = "eps")]
        eps: f64,
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
        #[serde(default = "eps")]
        eps: f64,
        /// A weight shrinks by this times the rate; at least 0.
        #[serde(default = "decoupled")]
        weight_decay: f64,
    },
    /// Gradient descent whose rate is scaled for each layer, for large batches.
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
    /// Gradient descent.
    Sgd {
        /// Factor of the previous update, `0..1`.
        #[serde(default)]
        momentum: f64,
        /// Nesterov's momentum.
        #[serde(default)]
        nesterov: bool,
        /// Factor of a weight in its gradient; at least 0.
        #[serde(default)]
        weight_decay: f64,
    },
}

const fn lars_momentum() -> f64 {
    0.9
}

const fn trust() -> f64 {
    1e-3
}

const fn betas() -> (f64, f64) {
    (0.9, 0.999)
}

const fn eps() -> f64 {
    1e-8
}

const fn decoupled() -> f64 {
    1e-2
}

impl Default for OptimiserParams {
    fn default() -> Self {
        Self::Adam { betas: betas(), eps: eps(), weight_decay: 0.0 }
    }
}

impl OptimiserParams {
    /// The description that builds the optimiser.
    #[must_use]
    pub const fn spec(&self) -> OptimiserSpec {
        match *self {
            Self::Adam { betas, eps, weight_decay } => {
                OptimiserSpec::Adam { betas, epsilon: eps, weight_decay }
            }
            Self::Adamw { betas, eps, weight_decay } => {
                OptimiserSpec::Adamw { betas, epsilon: eps, weight_decay }
            }
            Self::Lars { momentum, weight_decay, trust } => {
                OptimiserSpec::Lars { momentum, weight_decay, trust }
            }
            Self::Sgd { momentum, nesterov, weight_decay } => {
                OptimiserSpec::Sgd { momentum, weight_decay, nesterov }
            }
        }
    }
}
