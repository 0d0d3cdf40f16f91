//! Clips of different lengths made equal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a clip reaches a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LengthMode {
    /// Shorter clips are repeated from their start, longer ones keep their start.
    #[default]
    Repeat,
    /// Shorter clips get zeros at the end, longer ones keep their start.
    Pad,
    /// Shorter clips get equally many zeros on both sides, of longer ones the middle is kept.
    Centre,
    /// Shorter clips stay as they are, longer ones keep their start.
    Crop,
    /// Shorter clips are repeated from their start, longer ones stay as they are.
    AtLeast,
}

/// A length and how clips reach it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// The length, in seconds, above 0.
    pub seconds: f64,
    /// How a clip reaches it.
    #[serde(default)]
    pub mode: LengthMode,
}

impl Length {
    /// Returns the length in samples at `sample_rate` Hz, rounded, at least 1.
    pub fn samples(&self, sample_rate: u32) -> usize {
        ((self.seconds * f64::from(sample_rate)).round() as usize).max(1)
    }
}
