//! Descriptions of networks, as written in a pipeline file.

use serde::{Deserialize, Serialize};

use super::PoolingSpec;
use crate::{
    NnError,
    ops::{BatchNormSpec, PolyphaseNorm},
};

/// A network by name, with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum NetworkSpec {
    /// VGG41 in the plain drawing: blocks of 32, 64, 128 and 256 channels with two 3x3 convolutions each (batch norm,
    /// ReLU), 2x2 max-pooling after the first three, mean over frequency, maximum over time, linear.
    /// 1,224,040 parameters at 200 outputs.
    Vgg41Plain {
        /// Factor of all channel counts; 0.5 for half the width.
        #[serde(default = "one")]
        width: f64,
    },
    /// VGG41 (`k` = 1; 1,258,728 parameters at 200 outputs) and VGG42 (`k` = 2; 4,927,240) as published on shift invariance:
    /// a 3x3 convolution of 32 k channels, three blocks of two of 48, 64 and 128 k with a 3x3 maximum at stride 1 between
    /// them and `pool` behind, two of 256 k; mean over frequency, maximum over time, linear.
    Vgg41 {
        /// Factor of all channel counts, in 1..=8.
        #[serde(default = "once")]
        k: usize,
        /// How the blocks halve the map.
        #[serde(default = "plain_pool")]
        pool: PoolingSpec,
        /// The norm by which adaptive polyphase sampling chooses.
        #[serde(default = "induced")]
        norm: PolyphaseNorm,
        /// Factor of all channel counts beside `k`; 0.5 for half the width.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        width: f64,
    },
    /// The VGG-like network: six 3x3 convolutions of 32 (three), 64 (two) and 128 channels, maximum and mean of the map, a
    /// hidden layer, linear. 265,640 parameters at `hidden` = 256 and 200 outputs.
    VggLike {
        /// Units of the hidden layer.
        #[serde(default = "hidden")]
        hidden: usize,
    },
    /// Three 5x5 convolutions of 128 channels with max-pooling of (2, 5), (2, 4) and (2, 2), a bidirectional recurrent layer
    /// of 64 units, the product of both directions at the last step, linear. 959,816 parameters at 200 outputs.
    Crnn,
    /// ResNet-18 as in torchvision. 11,272,840 parameters at one channel and 200 outputs.
    Resnet18,
    /// ResNet-50 as in torchvision. 23,610,482 parameters at three channels and 50 outputs, 30,634,098 with attention.
    Resnet50 {
        /// ESResNet's attention at five places.
        #[serde(default)]
        attention: bool,
        /// Whether the channels are two images whose features are added, as ESResNet treats stereo; batch norm sees both
        /// together.
        #[serde(default)]
        stereo: bool,
    },
    /// MobileNetV1 in the variant of the DCASE 2019 Task 2 baseline. 3,745,199 parameters at 527 outputs.
    MobilenetV1,
    /// DenseNet-121 as in torchvision.
    Densenet121,
    /// The network of the papers on noisy labels: three 5x5 convolutions of 24, 48 and 48 channels, a hidden layer of 64.
    /// 531,624 numbers with running statistics at 100 frames, 96 bands and 20 outputs.
    NoisyCnn {
        /// Probability that a value before each fully connected layer is dropped in training.
        #[serde(default = "half")]
        dropout: f64,
    },
    /// DenSE, the other network of the papers on noisy labels: a convolution and four modules of two, whose outputs are weighed
    /// by squeeze and excitation and concatenated with what they read. 458,358 numbers with running statistics at 100 frames,
    /// 96 bands and 20 outputs.
    DenseSe {
        /// Probability that a value before the classifier is dropped in training.
        #[serde(default = "half")]
        dropout: f64,
    },
    /// Fully connected layers with ReLU over the flattened patch.
    Mlp {
        /// Sizes of the hidden layers.
        hidden: Vec<usize>,
        /// Probability that a hidden value is dropped in training.
        #[serde(default)]
        dropout: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn is_one(width: &f64) -> bool {
    *width == 1.0
}

fn once() -> usize {
    1
}

fn hidden() -> usize {
    512
}

fn half() -> f64 {
    0.5
}

fn plain_pool() -> PoolingSpec {
    PoolingSpec::Mp
}

fn induced() -> PolyphaseNorm {
    PolyphaseNorm::L1Induced
}

impl Default for NetworkSpec {
    fn default() -> Self {
        NetworkSpec::Vgg41Plain { width: 1.0 }
    }
}

impl NetworkSpec {
    /// Checks ranges that need no input shape; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        let in_range = |field: &str, value: f64, range: std::ops::Range<f64>, words: &str| {
            if range.contains(&value) { Ok(()) } else { Err(NnError::range(field, value, words)) }
        };
        match self {
            NetworkSpec::Vgg41Plain { width } | NetworkSpec::Vgg41 { width, .. }
                if !(1.0 / 32.0..=16.0).contains(width) =>
            {
                Err(NnError::range("width", width, "in 1/32 ..= 16"))
            }
            NetworkSpec::Vgg41 { k, .. } if !(1..=8).contains(k) => Err(NnError::range("k", k, "in 1 ..= 8")),
            NetworkSpec::Vgg41 { pool, .. } => pool.check(),
            NetworkSpec::VggLike { hidden } if *hidden == 0 || *hidden > 1 << 20 => {
                Err(NnError::range("hidden", hidden, "in 1 ..= 1048576"))
            }
            NetworkSpec::NoisyCnn { dropout } | NetworkSpec::DenseSe { dropout } => {
                in_range("dropout", *dropout, 0.0..1.0, "in [0, 1)")
            }
            NetworkSpec::Mlp { hidden, .. } if hidden.iter().any(|&size| size == 0 || size > 1 << 20) => {
                Err(NnError::range("hidden", format!("{hidden:?}"), "sizes in 1 ..= 1048576"))
            }
            NetworkSpec::Mlp { dropout, .. } => in_range("dropout", *dropout, 0.0..1.0, "in [0, 1)"),
            NetworkSpec::Vgg41Plain { .. }
            | NetworkSpec::VggLike { .. }
            | NetworkSpec::Crnn
            | NetworkSpec::Resnet18
            | NetworkSpec::Resnet50 { .. }
            | NetworkSpec::MobilenetV1
            | NetworkSpec::Densenet121 => Ok(()),
        }
    }

    /// The name in a pipeline file.
    pub fn name(&self) -> &'static str {
        match self {
            NetworkSpec::Vgg41Plain { .. } => "vgg41_plain",
            NetworkSpec::Vgg41 { .. } => "vgg41",
            NetworkSpec::VggLike { .. } => "vgg_like",
            NetworkSpec::Crnn => "crnn",
            NetworkSpec::Resnet18 => "resnet18",
            NetworkSpec::Resnet50 { .. } => "resnet50",
            NetworkSpec::MobilenetV1 => "mobilenet_v1",
            NetworkSpec::Densenet121 => "densenet121",
            NetworkSpec::NoisyCnn { .. } => "noisy_cnn",
            NetworkSpec::DenseSe { .. } => "dense_se",
            NetworkSpec::Mlp { .. } => "mlp",
        }
    }

    /// The name of the classifier, the layer behind the encoder.
    pub fn classifier(&self) -> &'static str {
        if *self == NetworkSpec::Densenet121 { "classifier" } else { "fc" }
    }

    /// Share of the newest batch in the running statistics of its batch norms; none where it has none.
    pub fn norm_momentum(&self) -> Option<f64> {
        match self {
            NetworkSpec::Vgg41 { .. } | NetworkSpec::NoisyCnn { .. } | NetworkSpec::DenseSe { .. } => {
                Some(BatchNormSpec::KERAS.momentum)
            }
            NetworkSpec::MobilenetV1 => Some(BatchNormSpec::SLOW.momentum),
            NetworkSpec::Vgg41Plain { .. }
            | NetworkSpec::VggLike { .. }
            | NetworkSpec::Crnn
            | NetworkSpec::Resnet18
            | NetworkSpec::Resnet50 { .. }
            | NetworkSpec::Densenet121 => Some(BatchNormSpec::default().momentum),
            NetworkSpec::Mlp { .. } => None,
        }
    }

    /// The least frames and bands that leave something behind every pooling.
    pub fn least(&self) -> (usize, usize) {
        match self {
            NetworkSpec::Vgg41Plain { .. } | NetworkSpec::VggLike { .. } => (8, 8),
            // Adaptive polyphase sampling takes at least two rows and columns.
            NetworkSpec::Vgg41 { .. } => (5, 5),
            NetworkSpec::Crnn => (8, 40),
            NetworkSpec::NoisyCnn { .. } => (16, 4),
            // The transitions halve without padding what the first convolution and pooling leave of it.
            NetworkSpec::Densenet121 => (29, 29),
            NetworkSpec::Resnet18
            | NetworkSpec::Resnet50 { .. }
            | NetworkSpec::MobilenetV1
            | NetworkSpec::DenseSe { .. }
            | NetworkSpec::Mlp { .. } => (1, 1),
        }
    }
}

/// Shape of one sample as the caller stores it: channel, then frame, then band, bands innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputShape {
    /// Channels of the spectrogram.
    pub channels: usize,
    /// Frames (time).
    pub frames: usize,
    /// Bands (frequency).
    pub bands: usize,
}

impl InputShape {
    /// Numbers of one sample.
    pub fn len(&self) -> usize {
        self.channels * self.frames * self.bands
    }

    /// Whether a sample holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<(usize, usize, usize)> for InputShape {
    fn from((channels, frames, bands): (usize, usize, usize)) -> Self {
        InputShape { channels, frames, bands }
    }
}
