//! What stands beside the weights of a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_cache::Meta;

use crate::shape::FrameShape;

/// What stands beside the weights in the model's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// The classes in the order of the outputs; none where it was trained without labels, and nothing turns what it gives into
    /// scores.
    pub classes: Vec<String>,
    /// What turns logits into scores.
    pub output: OutputKind,
    /// What is done to features first.
    pub standardisation: Standardisation,
    /// Frames between the patches of a clip, unless another hop is asked for.
    pub hop: usize,
    /// Metadata of the features it was trained on: their recipe, from the file to the spectrogram. Empty where the model came
    /// from elsewhere.
    pub features: Meta,
}

/// How logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// One class a clip: the scores of a patch add up to 1.
    Softmax,
    /// Any number of classes a clip: each score stands alone.
    Sigmoid,
}

/// Features are shifted by the mean and divided by the standard deviation: of all values (one number), of each channel and
/// band (as many, channel by channel), or not at all (none).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standardisation {
    /// Means.
    pub mean: Vec<f32>,
    /// Standard deviations; never 0.
    pub std: Vec<f32>,
}

impl Standardisation {
    /// Leaves features as they are.
    #[must_use]
    pub const fn none() -> Self {
        Self { mean: Vec::new(), std: Vec::new() }
    }

    /// Standardises frames of one channel in place.
    pub fn apply(&self, values: &mut [f32], channel: usize, shape: FrameShape) {
        match (self.mean.as_slice(), self.std.as_slice()) {
            ([], _) | (_, []) => {}
            (&[mean], &[std]) => values.iter_mut().for_each(|value| *value = (*value - mean) / std),
            (mean, std) => {
                let bands = channel * shape.bands..(channel + 1) * shape.bands;
                let (mean, std) = (&mean[bands.clone()], &std[bands]);
                for frame in values.chunks_exact_mut(shape.bands) {
                    for ((value, mean), std) in frame.iter_mut().zip(mean).zip(std) {
                        *value = (*value - mean) / std;
                    }
                }
            }
        }
    }

    /// Whether it fits features of a shape.
    #[must_use]
    pub fn fits(&self, shape: FrameShape) -> bool {
        self.mean.len() == self.std.len()
            && [0, 1, shape.len()].contains(&self.mean.len())
            && self.std.iter().all(|&std| std.is_finite() && std != 0.0)
    }
}

/// How the scores of a clip's patches become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchMean {
    /// The sum of scores over their number.
    #[default]
    Arithmetic,
    /// The exponential of the mean logarithm; not scaled to add up to 1.
    Geometric,
}
