//! Parameters, a recipe and a sample rate made one complete description.

use super::params::{FrequencyScale, Kind, LogForm, OffsetPlacement, Padding, SpectrogramParams, Spectrum};
use super::recipe::{F5_HOPS_MS, F5_WINDOWS_MS, Recipe};
use super::window::Window;

/// One short-time transform, all in samples and Hz.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Transform {
    pub window: Window,
    pub window_samples: usize,
    pub hop: usize,
    pub n_fft: usize,
    pub padding: Padding,
    pub waveform_offset: f64,
    pub spectrum: Spectrum,
    pub normalised: bool,
}

/// How bins become bands and numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub kind: Kind,
    /// One transform, or three for `three_resolution`.
    pub transforms: Vec<Transform>,
    pub scale: FrequencyScale,
    /// Bands of a spectrogram; the FFT bins for a linear scale.
    pub bands: usize,
    pub range: (f64, f64),
    pub area_norm: bool,
    /// Hz from bin to bin, as the filters see it.
    pub bin_hz: f64,
    pub log: LogForm,
    pub offset: f64,
    pub placement: OffsetPlacement,
    pub frames: Option<usize>,
    /// What the sample rate cuts off a recipe's range.
    pub cut: Option<String>,
}

type Wrong = Vec<(String, String)>;

impl Settings {
    /// Completes `params` for audio at `rate` Hz.
    ///
    /// # Errors
    /// What [`SpectrogramParams::check`] finds, then what only the sample rate shows, as (field, message).
    pub fn new(params: &SpectrogramParams, rate: u32) -> Result<Self, Wrong> {
        let wrong = params.check();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let base = params.base();
        let preset = base.preset();
        let ratio = f64::from(rate) / f64::from(preset.rate);
        let scaled = |n: usize| ((n as f64 * ratio).round() as usize).max(1);
        let from_ms = |ms: f64| ((ms * f64::from(rate) / 1000.0 + 1e-9) as usize).max(1);
        let kind = params.kind();
        let lengths: Vec<(usize, usize)> = if kind == Kind::ThreeResolution {
            let windows = params.windows_ms.unwrap_or(F5_WINDOWS_MS);
            let hops = params.hops_ms.unwrap_or(F5_HOPS_MS);
            windows.iter().zip(hops).map(|(&w, h)| (from_ms(w), from_ms(h))).collect()
        } else {
            let window = params.window_samples.or(params.window_ms.map(from_ms));
            let hop = params.hop_samples.or(params.hop_ms.map(from_ms));
            vec![(
                window.unwrap_or_else(|| scaled(preset.window_samples)),
                hop.unwrap_or_else(|| scaled(preset.hop_samples)),
            )]
        };
        let longest = lengths.iter().map(|&(w, _)| w).max().unwrap_or(1);
        let n_fft = params.n_fft.unwrap_or_else(|| match kind {
            // The longest window, as published.
            Kind::ThreeResolution => longest,
            _ => scaled(preset.n_fft).max(longest).next_power_of_two(),
        });
        if n_fft < longest {
            return Err(one("n_fft", format!("{n_fft} is shorter than the window of {longest} samples")));
        }
        let nyquist = f64::from(rate) / 2.0;
        let low = params.low_hz.unwrap_or(preset.range.0);
        let high = params.high_hz.unwrap_or_else(|| preset.range.1.unwrap_or(nyquist).min(nyquist));
        if high > nyquist {
            return Err(one("high_hz", format!("{high} is above half the sample rate, {nyquist}")));
        }
        if low >= high {
            return Err(one("low_hz", format!("{low} is not below the highest frequency, {high}")));
        }
        let scale = params.scale.unwrap_or(preset.scale);
        let published = preset.range.1.unwrap_or(f64::from(preset.rate) / 2.0);
        let cut = published > nyquist && params.high_hz.is_none() && scale != FrequencyScale::Linear;
        let cut = cut.then(|| {
            format!(
                "recipe {} goes up to {published} Hz, audio at {rate} Hz to {nyquist}: `high_hz` is {high}",
                base.name()
            )
        });
        let bins = n_fft / 2 + 1;
        let bin_hz = if base == Recipe::F5 && bins > 1 {
            // As published: bins spread evenly from 0 to half the (whole) sample rate, which for an odd length is not where they are.
            f64::from(rate / 2) / (bins - 1) as f64
        } else {
            f64::from(rate) / n_fft as f64
        };
        let transforms = lengths
            .into_iter()
            .map(|(window_samples, hop)| Transform {
                window: params.window.unwrap_or(preset.window),
                window_samples,
                hop,
                n_fft,
                padding: params.padding.unwrap_or(preset.padding),
                waveform_offset: params.waveform_offset.unwrap_or(preset.waveform_offset),
                spectrum: params.spectrum.unwrap_or(preset.spectrum),
                normalised: params.normalised.unwrap_or(preset.normalised),
            })
            .collect();
        let bands = match (scale, preset.scale) {
            (FrequencyScale::Linear, _) => bins,
            // A recipe of bins has no number of mel bands to offer.
            (_, FrequencyScale::Linear) => params.bands.unwrap_or(96),
            _ => params.bands.unwrap_or(preset.bands),
        };
        Ok(Self {
            kind,
            transforms,
            scale,
            bands,
            range: (low, high),
            area_norm: params.area_norm.unwrap_or(false),
            bin_hz,
            log: params.log_form(),
            offset: params.offset.unwrap_or(preset.offset),
            placement: params.offset_placement.unwrap_or(preset.placement),
            frames: params.frames,
            cut,
        })
    }
}

fn one(field: &str, message: String) -> Wrong {
    vec![(field.to_owned(), message)]
}
