//! The head of a training without labels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::ParamError;
use sndpipe_nn::HeadSpec;

/// What makes embeddings of the encoder's features; all of them have length 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadParams {
    /// Linear layers with batch norm and ReLU between them.
    Mlp {
        /// Sizes of all layers but the last, each `1..=1048576`.
        #[serde(default = "hidden")]
        hidden: Vec<usize>,
        /// Numbers of an embedding, `1..=1048576`.
        #[serde(default = "size")]
        size: usize,
    },
    /// One linear layer.
    Linear {
        /// Numbers of an embedding, `1..=1048576`.
        #[serde(default = "linear_size")]
        size: usize,
    },
    /// The features themselves.
    None {},
}

fn hidden() -> Vec<usize> {
    vec![512]
}

const fn size() -> usize {
    512
}

const fn linear_size() -> usize {
    128
}

impl Default for HeadParams {
    fn default() -> Self {
        Self::Mlp { hidden: hidden(), size: size() }
    }
}

impl HeadParams {
    /// The description that builds the head, and the numbers of an embedding where it decides about them.
    #[must_use]
    pub fn spec(&self) -> (HeadSpec, usize) {
        match self {
            Self::Mlp { hidden, size } => (HeadSpec::Projection { hidden: hidden.clone() }, *size),
            Self::Linear { size } => (HeadSpec::Projection { hidden: Vec::new() }, *size),
            Self::None {} => (HeadSpec::Unit, 1),
        }
    }

    /// Every option out of its range.
    pub(super) fn mistakes(&self) -> Vec<ParamError> {
        let sizes: Vec<(&str, usize)> = match self {
            Self::Mlp { hidden, size } => {
                hidden.iter().map(|&size| ("head.hidden", size)).chain([("head.size", *size)]).collect()
            }
            Self::Linear { size } => vec![("head.size", *size)],
            Self::None {} => Vec::new(),
        };
        let wrong = sizes.into_iter().filter(|(_, size)| !(1..=1 << 20).contains(size));
        wrong.map(|(path, size)| ParamError::new(path, format!("{size} is outside 1..=1048576"))).collect()
    }
}
