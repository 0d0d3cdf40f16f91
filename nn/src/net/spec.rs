//! Descriptions of networks, as written in a pipeline file.

use serde::{Deserialize, Serialize};

use crate::NnError;

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

impl Default for NetworkSpec {
    fn default() -> Self {
        NetworkSpec::Vgg41Plain { width: 1.0 }
    }
}

impl NetworkSpec {
    /// Checks ranges that need no input shape; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        match self {
            NetworkSpec::Vgg41Plain { width } => {
                if !(1.0 / 32.0..=16.0).contains(width) {
                    return Err(NnError::range("width", width, "in 1/32 ..= 16"));
                }
            }
            NetworkSpec::Mlp { hidden, dropout } => {
                if hidden.iter().any(|&size| size == 0 || size > 1 << 20) {
                    return Err(NnError::range("hidden", format!("{hidden:?}"), "sizes in 1 ..= 1048576"));
                }
                if !(0.0..1.0).contains(dropout) {
                    return Err(NnError::range("dropout", dropout, "in [0, 1)"));
                }
            }
        }
        Ok(())
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
