//! Parameters of `embed`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Scored;
use sndpipe_engine::ParamError;

/// Gives the features that a model's encoder finds in clips: the numbers that its classifier reads.
///
/// Of a model that was trained without labels they may also be what its head makes of these: vectors of length 1.
///
/// Features are neither standardised nor scaled to length. For networks that end in a mean or maximum over the patch these are its
/// channels (512 for `resnet18`, 2048 for `resnet50`), for `noisy_cnn`, `vgg_like` and `mlp` the last hidden layer, for
/// `dense_se` the flattened map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedParams {
    /// Which clips: those of one subset, or all. `all` takes every clip of the split, or of the features where no split is
    /// connected.
    pub subset: Scored,
    /// Frames between the starts of patches, `1..=65536`; only full patches count. Absent: the hop of the training.
    pub hop: Option<usize>,
    /// Whether a row holds one vector for its clip or one for each patch.
    pub per: Per,
    /// What is taken: what the encoder gives, or what the head of a model of `pretrain` makes of it.
    #[serde(skip_serializing_if = "is_encoder")]
    pub of: Of,
}

/// What a model gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The encoder's features.
    #[default]
    Encoder,
    /// What the head makes of them; not of a classifier.
    Head,
}

fn is_encoder(of: &Of) -> bool {
    *of == Of::Encoder
}

/// What gets a vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// The clip: the mean over its patches.
    #[default]
    Clip,
    /// Every patch, in their order.
    Patch,
}

impl Default for EmbedParams {
    fn default() -> Self {
        Self { subset: Scored::All, hop: None, per: Per::Clip, of: Of::Encoder }
    }
}

impl EmbedParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let hop = self.hop.filter(|hop| !(1..=65_536).contains(hop));
        hop.map(|hop| ParamError::new("hop", format!("{hop} is outside 1..=65536"))).into_iter().collect()
    }
}
