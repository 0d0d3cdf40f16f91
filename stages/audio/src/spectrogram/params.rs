//! Parameters of the stage `spectrogram`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recipe::Recipe;
use super::window::Window;

/// What the features look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One spectrogram, `[frames, bands]`.
    LogMel,
    /// The bins of one spectrogram cut into three equal blocks, `[3, frames, bins / 3]`; channel 0 holds the lowest frequencies, left-over
    /// highest bins are dropped.
    ThreeBand,
    /// Three spectrograms with short, middle and long windows, resized to one number of frames, `[3, frames, bands]`.
    ThreeResolution,
}

/// How frequency is divided into bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FrequencyScale {
    /// Triangles on Slaney's mel scale, linear below 1 kHz.
    Slaney,
    /// Triangles on HTK's mel scale.
    Htk,
    /// The FFT bins themselves; `bands` and the frequency range do not apply.
    Linear,
}

/// What is summed in a band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spectrum {
    /// The squared magnitude.
    Power,
    /// The magnitude.
    Magnitude,
}

/// The logarithm at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogForm {
    /// `log10(x)`.
    Log10,
    /// `ln(x)`.
    Ln,
    /// `10 log10(x)`, decibels of a power.
    Decibel,
    /// `x` itself.
    None,
}

/// How the offset keeps the logarithm finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffsetPlacement {
    /// Added to every value.
    Add,
    /// Smaller values are raised to it.
    Clamp,
    /// Only zeros become it.
    ReplaceZero,
}

/// What a frame sees beyond the clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Frame `t` is centred on sample `t * hop`, the clip is mirrored at its ends: `1 + samples / hop` frames.
    Reflect,
    /// Frame `t` is centred on sample `t * hop`, zeros lie around the clip: `1 + samples / hop` frames.
    Zero,
    /// Only whole windows inside the clip: `1 + (samples - window) / hop` frames; a shorter clip is one frame, with zeros.
    None,
}

/// Number format of stored features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats, half the space, about three decimal digits.
    F16,
}

/// Computes the spectrogram of every clip: log-mel, or the three-channel images of ESResNet and of the ImageNet-style front-ends.
///
/// A recipe sets everything; every other field, where given, overrides it. Without a recipe, `kind` picks one: `log_mel` f1,
/// `three_band` f3, `three_resolution` f5. At a sample rate other than a recipe's own, its window and hop keep their durations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpectrogramParams {
    /// A published front-end, f1 to f6.
    pub recipe: Option<Recipe>,
    /// What the features look like.
    pub kind: Option<Kind>,
    /// Number of mel bands, 1 to 4096.
    pub bands: Option<usize>,
    /// Window shape.
    pub window: Option<Window>,
    /// Window length in ms, above 0; rounded down to whole samples. Not for `three_resolution`.
    pub window_ms: Option<f64>,
    /// Window length in samples, 1 to 1048576, instead of `window_ms`.
    pub window_samples: Option<usize>,
    /// Time from frame to frame in ms, above 0; rounded down to whole samples. Not for `three_resolution`.
    pub hop_ms: Option<f64>,
    /// Samples from frame to frame, 1 to 1048576, instead of `hop_ms`.
    pub hop_samples: Option<usize>,
    /// The three window lengths of `three_resolution` in ms, above 0.
    pub windows_ms: Option<[f64; 3]>,
    /// The three hops of `three_resolution` in ms, above 0.
    pub hops_ms: Option<[f64; 3]>,
    /// FFT length in samples, at least the window, at most 1048576; the window is zero-padded to it on both sides.
    pub n_fft: Option<usize>,
    /// How frequency is divided into bands.
    pub scale: Option<FrequencyScale>,
    /// Give the mel triangles equal areas instead of equal peaks of 1.
    pub area_norm: Option<bool>,
    /// Lowest frequency in Hz, at least 0.
    pub low_hz: Option<f64>,
    /// Highest frequency in Hz, above `low_hz`, at most half the sample rate.
    pub high_hz: Option<f64>,
    /// What is summed in a band.
    pub spectrum: Option<Spectrum>,
    /// Divide the spectrum by the square root of the FFT length.
    pub normalised: Option<bool>,
    /// The logarithm at the end.
    pub log: Option<LogForm>,
    /// The number that keeps the logarithm finite, above 0 unless `log` is none.
    pub offset: Option<f64>,
    /// How the offset is applied.
    pub offset_placement: Option<OffsetPlacement>,
    /// A constant added to the waveform before the transform.
    pub waveform_offset: Option<f64>,
    /// What a frame sees beyond the clip.
    pub padding: Option<Padding>,
    /// Frames that `three_resolution` is resized to, 1 to 1000000; absent means 50 per second of the clip.
    pub frames: Option<usize>,
    /// Number format of stored features.
    pub storage: Storage,
}

/// Longest window, hop and FFT in samples.
const LONGEST: usize = 1 << 20;

impl SpectrogramParams {
    /// Returns the parameters of a recipe.
    pub fn of(recipe: Recipe) -> Self {
        Self { recipe: Some(recipe), ..Self::default() }
    }

    /// Returns the kind that the features will have.
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or(match self.recipe {
            Some(Recipe::F3) => Kind::ThreeBand,
            Some(Recipe::F5) => Kind::ThreeResolution,
            _ => Kind::LogMel,
        })
    }

    /// Returns the logarithm that the features will have.
    pub fn log_form(&self) -> LogForm {
        self.log.unwrap_or(self.base().preset().log)
    }

    /// Returns the recipe that fills in what is not given.
    pub fn base(&self) -> Recipe {
        self.recipe.unwrap_or(match self.kind() {
            Kind::LogMel => Recipe::F1,
            Kind::ThreeBand => Recipe::F3,
            Kind::ThreeResolution => Recipe::F5,
        })
    }

    /// Returns every value outside its range and every contradiction, as (field, message), before a sample rate is known.
    pub fn check(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut say = |field: &str, message: String| wrong.push((field.to_owned(), message));
        let mut whole = |field: &str, value: Option<usize>, max: usize| {
            if let Some(n) = value.filter(|n| !(1..=max).contains(n)) {
                say(field, format!("{n} is outside 1..={max}"));
            }
        };
        whole("bands", self.bands, 4096);
        whole("window_samples", self.window_samples, LONGEST);
        whole("hop_samples", self.hop_samples, LONGEST);
        whole("n_fft", self.n_fft, LONGEST);
        whole("frames", self.frames, 1_000_000);
        let mut positive = |field: &str, value: Option<f64>| {
            if let Some(x) = value.filter(|x| !(*x > 0.0 && *x <= 60_000.0)) {
                say(field, format!("{x} is outside 0..=60000, 0 excluded"));
            }
        };
        positive("window_ms", self.window_ms);
        positive("hop_ms", self.hop_ms);
        for (i, name) in ["0", "1", "2"].iter().enumerate() {
            positive(&format!("windows_ms.{name}"), self.windows_ms.map(|w| w[i]));
            positive(&format!("hops_ms.{name}"), self.hops_ms.map(|h| h[i]));
        }
        let low = self.low_hz.unwrap_or(0.0);
        if !(low.is_finite() && low >= 0.0) {
            say("low_hz", format!("{low} is not a finite number of at least 0"));
        }
        if let Some(high) = self.high_hz.filter(|&h| !(h.is_finite() && h > low)) {
            say("high_hz", format!("{high} is not a finite number above low_hz ({low})"));
        }
        let offset = self.offset.unwrap_or(1.0);
        let needs_offset = self.log != Some(LogForm::None);
        if !(offset.is_finite() && (offset > 0.0 || (offset == 0.0 && !needs_offset))) {
            say("offset", format!("{offset} is not a finite number above 0"));
        }
        if let Some(x) = self.waveform_offset.filter(|x| !x.is_finite()) {
            say("waveform_offset", format!("{x} is not finite"));
        }
        let both = [
            ("window_samples", self.window_samples.is_some() && self.window_ms.is_some(), "window_ms"),
            ("hop_samples", self.hop_samples.is_some() && self.hop_ms.is_some(), "hop_ms"),
        ];
        for (field, clash, other) in both {
            if clash {
                say(field, format!("given together with {other}; give one of the two"));
            }
        }
        if let Some((n_fft, window)) = self.n_fft.zip(self.window_samples).filter(|(n, w)| n < w) {
            say("n_fft", format!("{n_fft} is shorter than the window of {window} samples"));
        }
        let three = self.kind() == Kind::ThreeResolution;
        let misplaced = [
            ("window_ms", self.window_ms.is_some() && three, "three_resolution takes windows_ms"),
            ("window_samples", self.window_samples.is_some() && three, "three_resolution takes windows_ms"),
            ("hop_ms", self.hop_ms.is_some() && three, "three_resolution takes hops_ms"),
            ("hop_samples", self.hop_samples.is_some() && three, "three_resolution takes hops_ms"),
            ("windows_ms", self.windows_ms.is_some() && !three, "only three_resolution has three windows"),
            ("hops_ms", self.hops_ms.is_some() && !three, "only three_resolution has three hops"),
            ("frames", self.frames.is_some() && !three, "only three_resolution is resized"),
        ];
        for (field, clash, message) in misplaced {
            if clash {
                say(field, message.to_owned());
            }
        }
        let linear = self.scale == Some(FrequencyScale::Linear)
            || (self.scale.is_none() && self.base().scale() == FrequencyScale::Linear);
        if self.kind() == Kind::ThreeBand && !linear {
            say("scale", "three_band cuts FFT bins: the scale must be linear".into());
        }
        for (field, given) in [
            ("bands", self.bands.is_some()),
            ("low_hz", self.low_hz.is_some()),
            ("high_hz", self.high_hz.is_some()),
        ] {
            if given && linear {
                say(field, "does not apply to linear bins".into());
            }
        }
        wrong
    }
}
