//! The loss of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::OutputKind;
use sndpipe_artefacts::named;
use sndpipe_engine::ParamError;
use sndpipe_nn::LossSpec;

use super::params::{TrainParams, nested};

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
    #[schemars(schema_with = "named::schema::<LossSpec>")]
    pub loss: LossSpec,
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
        if let Err(error) = self.loss.check() {
            mistakes.push(nested("then.loss", &error));
        }
        if output_of(&self.loss) != output_of(&params.loss) {
            let error = ParamError::new("then.loss", "one loss is `bce`, the other is for one class a clip");
            mistakes.push(error.help("take two losses of the same sort"));
        }
        mistakes
    }
}

/// What turns the logits of a network with this loss into scores.
pub(crate) const fn output_of(loss: &LossSpec) -> OutputKind {
    match loss {
        LossSpec::Bce => OutputKind::Sigmoid,
        _ => OutputKind::Softmax,
    }
}
