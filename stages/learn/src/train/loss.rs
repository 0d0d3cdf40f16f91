//! The loss of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::OutputKind;
use sndpipe_artefacts::named;
use sndpipe_engine::ParamError;
use sndpipe_nn::LossSpec;

use super::params::{TrainParams, nested};

/// A loss with its options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum LossParams {
    /// Categorical cross entropy of the softmax.
    #[default]
    Cce,
    /// Binary cross entropy of the sigmoid, the mean over classes.
    Bce,
    /// Mean absolute error of the softmax.
    Mae,
    /// Generalised cross entropy, between `cce` (q towards 0) and `mae` (q = 1).
    Lq {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
    },
    /// Soft bootstrapping: the targets are mixed with the network's own scores.
    Lsoft {
        /// Weight of the labels, `0..=1`.
        #[serde(default = "beta")]
        beta: f64,
    },
    /// `cce` with smoothed labels.
    CceSmooth {
        /// What is taken from the label and spread over all classes, `0..=1`.
        #[serde(default = "smoothing")]
        epsilon: f64,
    },
    /// `cce` without the samples whose loss is above a share of the batch's largest.
    CceMax {
        /// Above 0, at most 1.
        #[serde(default = "max_share")]
        share: f64,
    },
    /// `cce` without the samples whose loss is above the batch's median by some standard deviations.
    CceOutlier {
        /// At least 0.
        #[serde(default = "deviations")]
        deviations: f64,
    },
    /// `lq` without the samples whose loss is above a share of the batch's largest.
    LqMax {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
        /// Above 0, at most 1.
        share: f64,
    },
    /// `lq` without the samples whose loss is above a percentile of the batch.
    LqPercentile {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
        /// `0..=100`.
        percentile: f64,
    },
}

/// Another loss for the rest of a training: `{ after: 20, loss: { name: lq_percentile, q: 0.5, percentile: 96 } }`.
///
/// # Source
/// Fonseca et al., *Model-agnostic Approaches to Handling Noisy Labels When Training Sound Event Classifiers*, WASPAA 2019: a
/// first stage learns which labels to believe, a second one leaves out what the network does not believe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Then {
    /// Epochs with the first loss, `1..epochs`. What they reach counts neither for `select` nor for `early_stopping` nor for a
    /// plateau.
    pub after: u32,
    /// The loss of the epochs behind them, of the same sort as the first one.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<LossParams>")]
    pub loss: LossParams,
}

impl Then {
    /// Every parameter that does not fit the training.
    pub(super) fn mistakes(&self, params: &TrainParams) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let epochs = params.epochs;
        if !(1..epochs).contains(&self.after) {
            let message = format!("{} is outside 1..{epochs} (epochs)", self.after);
            mistakes.push(ParamError::new("then.after", message));
        }
        if let Err(error) = self.loss.spec().check() {
            mistakes.push(nested("then.loss", &error));
        }
        if self.loss.output() != params.loss.output() {
            let error = ParamError::new("then.loss", "one loss is `bce`, the other is for one class a clip");
            mistakes.push(error.help("take two losses of the same sort"));
        }
        mistakes
    }
}

const fn q() -> f64 {
    0.7
}

const fn beta() -> f64 {
    0.3
}

const fn smoothing() -> f64 {
    0.15
}

const fn max_share() -> f64 {
    0.6
}

const fn deviations() -> f64 {
    1.9
}

impl LossParams {
    /// What turns the logits of a network with this loss into scores.
    #[must_use]
    pub const fn output(&self) -> OutputKind {
        match self {
            Self::Bce => OutputKind::Sigmoid,
            _ => OutputKind::Softmax,
        }
    }

    /// The loss of the networks' crate.
    #[must_use]
    pub const fn spec(&self) -> LossSpec {
        match *self {
            Self::Cce => LossSpec::Cce,
            Self::Bce => LossSpec::Bce,
            Self::Mae => LossSpec::Mae,
            Self::Lq { q } => LossSpec::Lq { q },
            Self::Lsoft { beta } => LossSpec::Lsoft { beta },
            Self::CceSmooth { epsilon } => LossSpec::CceSmooth { epsilon },
            Self::CceMax { share } => LossSpec::CceMax { share },
            Self::CceOutlier { deviations } => LossSpec::CceOutlier { deviations },
            Self::LqMax { q, share } => LossSpec::LqMax { q, share },
            Self::LqPercentile { q, percentile } => LossSpec::LqPercentile { q, percentile },
        }
    }
}
