//! A planned front-end: samples in, features out.

use std::ops::Range;

use half::f16;
use sndpipe_cache::{Row, Values};
use thiserror::Error;

use super::image::resize_time;
use super::mel::FilterBank;
use super::params::{FrequencyScale, Kind, LogForm, OffsetPlacement, SpectrogramParams, Storage};
use super::settings::{Settings, Transform};
use super::stft::Stft;

/// Frames per second that three resolutions are resized to where nothing is said.
const IMAGE_FRAMES_PER_SECOND: f64 = 50.0;

/// Why a front-end or its features could not be made.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SpectrogramError {
    /// Parameters outside their ranges, alone or at this sample rate.
    #[error("{field}: {message}")]
    Param {
        /// The first wrong field.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A clip without samples.
    #[error("the clip holds no samples")]
    Empty,
    /// More frames than a row can count.
    #[error("{frames} frames are too many")]
    Long {
        /// How many there are.
        frames: usize,
    },
}

/// Features of one clip, `[channels, frames, bands]`, row-major; a single channel is `[frames, bands]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Number of channels, 1 or 3.
    pub channels: usize,
    /// Number of frames.
    pub frames: usize,
    /// Number of bands, the lowest frequency first.
    pub bands: usize,
    /// The values.
    pub values: Vec<f32>,
}

impl Features {
    /// Returns the values as 16-bit floats.
    pub fn to_f16(&self) -> Vec<f16> {
        self.values.iter().map(|&x| f16::from_f32(x)).collect()
    }
}

/// A front-end for one sample rate: windows, FFT plans and filters. Shared freely between threads.
pub struct Frontend {
    settings: Settings,
    stfts: Vec<Stft>,
    /// Absent for linear bins.
    bank: Option<FilterBank>,
    rate: u32,
    storage: Storage,
}

impl Frontend {
    /// Plans the front-end of `params` for audio at `sample_rate` Hz.
    ///
    /// # Errors
    /// [`SpectrogramError::Param`] for the first field that is wrong, alone or at this sample rate.
    pub fn new(params: &SpectrogramParams, sample_rate: u32) -> Result<Self, SpectrogramError> {
        let settings = Settings::new(params, sample_rate).map_err(|wrong| {
            let (field, message) = wrong.into_iter().next().unwrap_or_default();
            SpectrogramError::Param { field, message }
        })?;
        let stfts: Vec<Stft> = settings.transforms.iter().map(Stft::new).collect();
        let bins = settings.transforms.first().map_or(1, |t| t.n_fft / 2 + 1);
        let bank = (settings.scale != FrequencyScale::Linear).then(|| {
            FilterBank::mel(
                bins,
                settings.bin_hz,
                settings.bands,
                settings.range,
                settings.scale,
                settings.area_norm,
            )
        });
        Ok(Self { settings, stfts, bank, rate: sample_rate, storage: params.storage })
    }

    /// Returns what of the front-end is not as it may seem: bands without a bin, and a recipe's frequencies that the audio does not have.
    pub fn remarks(&self) -> Vec<String> {
        let empty = self.bank.as_ref().map(FilterBank::empty).unwrap_or_default();
        let empty = (!empty.is_empty()).then(|| {
            let first: Vec<String> = empty.iter().take(5).map(usize::to_string).collect();
            let (more, bands) = (if empty.len() > 5 { ", …" } else { "" }, self.settings.bands);
            let verb = if empty.len() == 1 { "lies" } else { "lie" };
            format!(
                "{} of {bands} mel bands {verb} between two FFT bins and never change ({}{more}, from 0): \
                 take fewer `bands`, a larger `n_fft` or a higher `low_hz`",
                empty.len(),
                first.join(", ")
            )
        });
        self.settings.cut.clone().into_iter().chain(empty).collect()
    }

    /// Returns the values that the front-end works with, whether given, of a recipe, or what the sample rate leaves of them: lengths in
    /// samples, frequencies in Hz.
    pub fn used(&self) -> serde_json::Value {
        let settings = &self.settings;
        let of_each = |value: fn(&Transform) -> usize| -> serde_json::Value {
            match &settings.transforms[..] {
                [one] => value(one).into(),
                several => several.iter().map(value).collect::<Vec<usize>>().into(),
            }
        };
        let first = settings.transforms.first();
        let mut used = serde_json::json!({
            "kind": settings.kind,
            "window": first.map(|transform| transform.window),
            "window_samples": of_each(|transform| transform.window_samples),
            "hop_samples": of_each(|transform| transform.hop),
            "n_fft": first.map(|transform| transform.n_fft),
            "padding": first.map(|transform| transform.padding),
            "spectrum": first.map(|transform| transform.spectrum),
            "normalised": first.map(|transform| transform.normalised),
            "waveform_offset": first.map(|transform| transform.waveform_offset),
            "scale": settings.scale,
            "log": settings.log,
            "offset": settings.offset,
            "offset_placement": settings.placement,
        });
        if settings.scale != FrequencyScale::Linear {
            used["low_hz"] = settings.range.0.into();
            used["high_hz"] = settings.range.1.into();
            used["area_norm"] = settings.area_norm.into();
        }
        used
    }

    /// Returns (channels, bands) of every clip's features.
    pub fn shape(&self) -> (usize, usize) {
        match self.settings.kind {
            Kind::LogMel => (1, self.settings.bands),
            Kind::ThreeBand => (3, self.settings.bands / 3),
            Kind::ThreeResolution => (3, self.settings.bands),
        }
    }

    /// Returns the frames per second; `None` where every clip is resized to one number of frames.
    pub fn frame_rate(&self) -> Option<f64> {
        match self.settings.kind {
            Kind::ThreeResolution if self.settings.frames.is_some() => None,
            Kind::ThreeResolution => Some(IMAGE_FRAMES_PER_SECOND),
            _ => {
                self.settings.transforms.first().map(|transform| f64::from(self.rate) / transform.hop as f64)
            }
        }
    }

    /// Returns the number of frames of a clip of `samples` samples.
    pub fn frames(&self, samples: usize) -> usize {
        match self.settings.kind {
            Kind::ThreeResolution => self.settings.frames.unwrap_or_else(|| {
                let frames = samples as f64 / f64::from(self.rate) * IMAGE_FRAMES_PER_SECOND;
                (frames.round() as usize).max(1)
            }),
            _ => self.stfts.first().map_or(1, |stft| stft.frames(samples)),
        }
    }

    /// Computes the features of one channel of samples.
    ///
    /// # Errors
    /// [`SpectrogramError::Empty`] for a clip without samples.
    pub fn features(&self, samples: &[f32]) -> Result<Features, SpectrogramError> {
        self.some_features(samples, 0..self.frames(samples.len()))
    }

    /// Computes some frames of the features of one channel of samples, within `0..self.frames(samples.len())`: the numbers
    /// that they have in the features of the whole.
    ///
    /// # Errors
    /// [`SpectrogramError::Empty`] for a clip without samples.
    pub fn some_features(&self, samples: &[f32], frames: Range<usize>) -> Result<Features, SpectrogramError> {
        if samples.is_empty() {
            return Err(SpectrogramError::Empty);
        }
        let (channels, bands) = self.shape();
        let values = match self.settings.kind {
            Kind::LogMel => self.spectrogram(&self.stfts[0], samples, frames.clone()),
            Kind::ThreeBand => {
                let bins = self.spectrogram(&self.stfts[0], samples, frames.clone());
                blocks(&bins, self.settings.bands, bands)
            }
            Kind::ThreeResolution => {
                let resized = |stft: &Stft| {
                    let own = self.spectrogram(stft, samples, 0..stft.frames(samples.len()));
                    let all = resize_time(&own, bands, self.frames(samples.len()));
                    all[frames.start * bands..frames.end * bands].to_vec()
                };
                self.stfts.iter().flat_map(resized).collect()
            }
        };
        Ok(Features { channels, frames: frames.len(), bands, values })
    }

    /// Computes some frames as [`some_features`](Self::some_features) does, as they are stored.
    ///
    /// # Errors
    /// [`SpectrogramError::Empty`] for a clip without samples, [`SpectrogramError::Long`] for more than `u32::MAX` frames.
    pub fn row(&self, samples: &[f32], frames: Range<usize>) -> Result<Row, SpectrogramError> {
        let features = self.some_features(samples, frames)?;
        let frames =
            u32::try_from(features.frames).map_err(|_| SpectrogramError::Long { frames: features.frames })?;
        let values = match self.storage {
            Storage::F32 => Values::F32(features.values),
            Storage::F16 => Values::F16(features.to_f16()),
        };
        Ok(Row { frames, values })
    }

    fn spectrogram(&self, stft: &Stft, samples: &[f32], frames: Range<usize>) -> Vec<f32> {
        let mut values = Vec::with_capacity(frames.len() * self.settings.bands);
        stft.process(samples, frames, |row| match &self.bank {
            Some(bank) => bank.apply(row, |_, x| values.push(self.level(x))),
            None => values.extend(row.iter().map(|&x| self.level(x))),
        });
        values
    }

    fn level(&self, x: f64) -> f32 {
        let offset = self.settings.offset;
        let x = match self.settings.placement {
            OffsetPlacement::Add => x + offset,
            OffsetPlacement::Clamp => x.max(offset),
            OffsetPlacement::ReplaceZero if x > 0.0 => x,
            OffsetPlacement::ReplaceZero => offset,
        };
        let y = match self.settings.log {
            LogForm::Log10 => x.log10(),
            LogForm::Ln => x.ln(),
            LogForm::Decibel => 10.0 * x.log10(),
            LogForm::None => x,
        };
        y as f32
    }
}

/// Cuts `[frames, bins]` into three blocks of `block` bins, `[3, frames, block]`, the lowest first.
fn blocks(values: &[f32], bins: usize, block: usize) -> Vec<f32> {
    (0..3)
        .flat_map(|channel| {
            values.chunks_exact(bins).flat_map(move |row| row[channel * block..(channel + 1) * block].iter())
        })
        .copied()
        .collect()
}
