//! The network of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::ParamError;
use sndpipe_nn::{NetworkSpec, PoolingSpec, ops::PolyphaseNorm};

use super::params::nested;

/// A network with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkParams {
    /// Eight 3x3 convolutions in four blocks, max-pooling between them.
    Vgg41Plain {
        /// Factor of all channel counts, `0.03125..=16`.
        #[serde(default = "one")]
        width: f64,
    },
    /// VGG41 and VGG42 of the work on shift invariance: nine 3x3 convolutions, a maximum at stride 1 inside the blocks.
    Vgg41 {
        /// Factor of all channel counts, `1..=8`: 1 for VGG41, 2 for VGG42.
        #[serde(default = "once")]
        k: usize,
        /// How a block halves the map: `mp`, `aps`, or a map such as `{ tlpf: 5 }` with `blur`, `tlpf`, `aps_tlpf` or
        /// `aps_blur` and the size of the filter (`3..=7`, trained ones from 2).
        #[serde(default = "max_pooling")]
        #[schemars(with = "serde_json::Value")]
        pool: PoolingSpec,
        /// The norm by which adaptive polyphase sampling chooses: `l1_induced` (published as l1), `l1_flat`, `l2`, `l_inf`.
        #[serde(default = "induced")]
        #[schemars(with = "String")]
        norm: PolyphaseNorm,
        /// Factor of all channel counts beside `k`, `0.03125..=16`.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        width: f64,
    },
    /// Six 3x3 convolutions, maximum and mean of the map, a hidden layer: the VGG-like baseline of FSD50K.
    VggLike {
        /// Units of the hidden layer, `1..=1048576`.
        #[serde(default = "vgg_hidden")]
        hidden: usize,
    },
    /// Three 5x5 convolutions and a bidirectional recurrent layer: the CRNN baseline of FSD50K. Patches of 8 frames and 40 bands
    /// or more.
    Crnn {},
    /// ResNet-18.
    Resnet18 {},
    /// ResNet-50.
    Resnet50 {
        /// ESResNet's attention at five places.
        #[serde(default)]
        attention: bool,
        /// Whether the first and the second half of the channels are two images whose features are added.
        #[serde(default)]
        stereo: bool,
    },
    /// MobileNetV1 of the DCASE 2019 Task 2 baseline.
    MobilenetV1 {},
    /// DenseNet-121.
    Densenet121 {},
    /// Three 5x5 convolutions and a hidden layer: the network of the papers on noisy labels.
    NoisyCnn {
        /// Probability that a value before each fully connected layer is dropped in training, `0..1`.
        #[serde(default = "half")]
        dropout: f64,
    },
    /// DenSE: dense modules with squeeze and excitation; the other network of the papers on noisy labels.
    DenseSe {
        /// Probability that a value before the classifier is dropped in training, `0..1`.
        #[serde(default = "half")]
        dropout: f64,
    },
    /// Fully connected layers.
    Mlp {
        /// Sizes of the hidden layers; an empty list gives a linear model.
        #[serde(default = "hidden")]
        hidden: Vec<usize>,
        /// Probability that a hidden value is dropped in training, `0..1`.
        #[serde(default)]
        dropout: f64,
    },
}

const fn one() -> f64 {
    1.0
}

fn is_one(width: &f64) -> bool {
    *width == 1.0
}

const fn once() -> usize {
    1
}

const fn half() -> f64 {
    0.5
}

const fn vgg_hidden() -> usize {
    512
}

const fn max_pooling() -> PoolingSpec {
    PoolingSpec::Mp
}

const fn induced() -> PolyphaseNorm {
    PolyphaseNorm::L1Induced
}

fn hidden() -> Vec<usize> {
    vec![256]
}

impl Default for NetworkParams {
    fn default() -> Self {
        Self::Vgg41Plain { width: one() }
    }
}

impl NetworkParams {
    /// The description that builds the network.
    #[must_use]
    pub fn spec(&self) -> NetworkSpec {
        match self {
            Self::Vgg41Plain { width } => NetworkSpec::Vgg41Plain { width: *width },
            Self::Vgg41 { k, pool, norm, width } => {
                NetworkSpec::Vgg41 { k: *k, pool: *pool, norm: *norm, width: *width }
            }
            Self::VggLike { hidden } => NetworkSpec::VggLike { hidden: *hidden },
            Self::Crnn {} => NetworkSpec::Crnn,
            Self::Resnet18 {} => NetworkSpec::Resnet18,
            Self::Resnet50 { attention, stereo } => {
                NetworkSpec::Resnet50 { attention: *attention, stereo: *stereo }
            }
            Self::MobilenetV1 {} => NetworkSpec::MobilenetV1,
            Self::Densenet121 {} => NetworkSpec::Densenet121,
            Self::NoisyCnn { dropout } => NetworkSpec::NoisyCnn { dropout: *dropout },
            Self::DenseSe { dropout } => NetworkSpec::DenseSe { dropout: *dropout },
            Self::Mlp { hidden, dropout } => NetworkSpec::Mlp { hidden: hidden.clone(), dropout: *dropout },
        }
    }

    /// The same without what changes neither names nor shapes of parameters.
    pub(crate) fn layout(&self) -> Self {
        match self {
            Self::Vgg41 { k, pool, width, .. } => {
                let pool = match *pool {
                    PoolingSpec::Tlpf(size) | PoolingSpec::ApsTlpf(size) => PoolingSpec::Tlpf(size),
                    _ => PoolingSpec::Mp,
                };
                Self::Vgg41 { k: *k, pool, norm: induced(), width: *width }
            }
            Self::Resnet50 { attention, .. } => Self::Resnet50 { attention: *attention, stereo: false },
            Self::NoisyCnn { .. } => Self::NoisyCnn { dropout: half() },
            Self::DenseSe { .. } => Self::DenseSe { dropout: half() },
            Self::Mlp { hidden, dropout } => {
                // A dropout between two layers moves the number of the second one.
                Self::Mlp { hidden: hidden.clone(), dropout: if *dropout > 0.0 { half() } else { 0.0 } }
            }
            other => other.clone(),
        }
    }

    /// A parameter that is out of range.
    pub(crate) fn mistake(&self) -> Option<ParamError> {
        self.spec().check().err().map(|error| nested("network", &error))
    }
}
