//! Parameters of the stage `decode`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::length::Length;

/// The highest sample rate that is believed, Hz.
pub const MAX_SAMPLE_RATE: u32 = 768_000;

/// What a file may cost at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeLimits {
    /// The longest sound that is decoded, in seconds. Decoding stops where it is passed.
    pub max_seconds: f64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_seconds: 3600.0 }
    }
}

/// Which channels are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// The mean of all channels.
    #[default]
    Mono,
    /// The first channel.
    First,
    /// Two channels: the first two, or one twice.
    Stereo,
}

impl Channels {
    /// Returns how many channels come out.
    pub fn count(self) -> usize {
        match self {
            Self::Mono | Self::First => 1,
            Self::Stereo => 2,
        }
    }
}

/// How the level of a clip is made comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// The level stays as recorded.
    None,
    /// Divided by the largest absolute value plus 0.005, so that silence stays quiet.
    #[default]
    Peak,
    /// Moved and stretched so that the smallest value is -1 and the largest 1; a constant clip becomes 0.
    Minmax,
    /// As `minmax`, but only where a sample lies above 1.
    MinmaxIfClipped,
}

/// What happens to a clip that does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The stage fails and names the clip.
    #[default]
    Fail,
    /// The clip is left out, with the reason on record.
    Skip,
}

/// What happens to a clip that decodes, but is damaged inside: a part is missing or out of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDamage {
    /// What is there is kept, with a remark on what is missing and where.
    #[default]
    Keep,
    /// The clip counts as one that does not decode: `on_error` decides.
    Refuse,
}

impl OnDamage {
    fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

/// What turns the bytes of a file into samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// The decoders of this program.
    #[default]
    Builtin,
    /// The program `ffmpeg` in `PATH`, for formats that are not built in; its digest is part of the key.
    Ffmpeg,
}

impl Decoder {
    fn is_builtin(&self) -> bool {
        *self == Self::Builtin
    }
}

/// Decodes audio files (wav, aiff, au, caf, flac, ogg, opus, webm, mkv, mp3, m4a) to samples at one rate, or prepares samples that are already there.
///
/// In order: decode, mix or pick channels, resample, remove the mean, normalise, fit the length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeParams {
    /// Sample rate that every clip is converted to, Hz, 1000 to 768000.
    pub sample_rate: u32,
    /// Which channels are kept.
    #[serde(default)]
    pub channels: Channels,
    /// Subtract the mean of the whole clip (per channel).
    #[serde(default = "yes")]
    pub remove_mean: bool,
    /// How the level is made comparable, after the mean is removed (one factor for all channels).
    #[serde(default)]
    pub normalise: Normalise,
    /// Factor on every sample at the end, above 0 and finite; 1 leaves them alone.
    #[serde(default = "one")]
    pub scale: f64,
    /// The length every clip is brought to, after all of the above; absent keeps each clip's own.
    #[serde(default)]
    pub length: Option<Length>,
    /// The longest file that is accepted, in seconds, above 0.
    #[serde(default = "an_hour")]
    pub max_seconds: f64,
    /// What decodes the files.
    #[serde(default, skip_serializing_if = "Decoder::is_builtin")]
    pub decoder: Decoder,
    /// What happens to a clip that does not decode.
    #[serde(default)]
    pub on_error: OnError,
    /// What happens to a clip that decodes, but is damaged inside.
    #[serde(default, skip_serializing_if = "OnDamage::is_keep")]
    pub damage: OnDamage,
}

fn yes() -> bool {
    true
}

fn one() -> f64 {
    1.0
}

fn an_hour() -> f64 {
    DecodeLimits::default().max_seconds
}

impl Default for DecodeParams {
    fn default() -> Self {
        Self {
            sample_rate: 22_050,
            channels: Channels::default(),
            remove_mean: true,
            normalise: Normalise::default(),
            scale: 1.0,
            length: None,
            max_seconds: an_hour(),
            decoder: Decoder::default(),
            on_error: OnError::default(),
            damage: OnDamage::default(),
        }
    }
}

impl DecodeParams {
    /// Returns every value outside its range, as (field, message).
    pub fn check(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut say = |field: &str, message: String| wrong.push((field.to_owned(), message));
        if !(1000..=MAX_SAMPLE_RATE).contains(&self.sample_rate) {
            say("sample_rate", format!("{} is outside 1000..={MAX_SAMPLE_RATE}", self.sample_rate));
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            say("scale", format!("{} is not a finite number above 0", self.scale));
        }
        if !(self.max_seconds.is_finite() && self.max_seconds > 0.0) {
            say("max_seconds", format!("{} is not a finite number above 0", self.max_seconds));
        }
        if let Some(length) = self.length.filter(|l| !(l.seconds > 0.0 && l.seconds <= 86_400.0)) {
            say("length.seconds", format!("{} is outside 0..=86400, 0 excluded", length.seconds));
        }
        wrong
    }

    /// Returns the limits for `decode`.
    pub fn limits(&self) -> DecodeLimits {
        DecodeLimits { max_seconds: self.max_seconds }
    }
}
