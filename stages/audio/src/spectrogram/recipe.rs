//! The published front-ends as named recipes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params::{FrequencyScale, LogForm, OffsetPlacement, Padding, Spectrum};
use super::window::Window;

/// A published front-end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recipe {
    /// 96 Slaney bands, 50 to 10,500 Hz, 30 ms Hamming, `log10(power + 1.1e-8)`, 22,050 Hz: FSD50K and contrastive learning.
    F1,
    /// 96 Slaney bands, 0 to 22,050 Hz, 40 ms Hamming, `log10(power + 2.22e-16)`, 44,100 Hz: FSDnoisy18k.
    F2,
    /// 3 x 341 linear bins in decibels, 37.5 ms Blackman-Harris, 44,100 Hz: ESResNet.
    F3,
    /// 64 HTK bands, 125 to 7,500 Hz, 25 ms Hann, `ln(magnitude + 0.01)`, 16,000 Hz: AudioSet systems.
    F4,
    /// Three resolutions of 128 HTK bands, 25, 50 and 100 ms Hann, `ln(power + 1e-6)`: image networks.
    F5,
    /// 96 HTK bands, 20 to 20,000 Hz, 25 ms Hann, `ln(magnitude + 0.001)`, 44,100 Hz: the DCASE 2019 baseline.
    F6,
}

/// Everything a recipe fixes, at its own sample rate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preset {
    /// Hz.
    pub rate: u32,
    pub window: Window,
    /// Samples at `rate`.
    pub window_samples: usize,
    /// Samples at `rate`.
    pub hop_samples: usize,
    /// Samples at `rate`.
    pub n_fft: usize,
    pub scale: FrequencyScale,
    pub bands: usize,
    /// Hz; `None` is half the sample rate.
    pub range: (f64, Option<f64>),
    pub spectrum: Spectrum,
    pub normalised: bool,
    pub log: LogForm,
    pub offset: f64,
    pub placement: OffsetPlacement,
    pub waveform_offset: f64,
    pub padding: Padding,
}

/// Window lengths of [`Recipe::F5`], ms.
pub(super) const F5_WINDOWS_MS: [f64; 3] = [25.0, 50.0, 100.0];
/// Hops of [`Recipe::F5`], ms.
pub(super) const F5_HOPS_MS: [f64; 3] = [10.0, 25.0, 50.0];

impl Recipe {
    /// Returns what `recipe:` says.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F1 => "f1",
            Self::F2 => "f2",
            Self::F3 => "f3",
            Self::F4 => "f4",
            Self::F5 => "f5",
            Self::F6 => "f6",
        }
    }

    /// Returns the sample rate the recipe was published with, Hz.
    pub fn sample_rate(self) -> u32 {
        self.preset().rate
    }

    pub(super) fn scale(self) -> FrequencyScale {
        self.preset().scale
    }

    pub(super) fn preset(self) -> Preset {
        let f1 = Preset {
            rate: 22_050,
            window: Window::Hamming,
            window_samples: 660,
            hop_samples: 220,
            n_fft: 2048,
            scale: FrequencyScale::Slaney,
            bands: 96,
            range: (50.0, Some(10_500.0)),
            spectrum: Spectrum::Power,
            normalised: false,
            log: LogForm::Log10,
            offset: 1.1e-8,
            placement: OffsetPlacement::Add,
            waveform_offset: 1.1e-8,
            padding: Padding::Reflect,
        };
        match self {
            Self::F1 => f1,
            Self::F2 => Preset {
                rate: 44_100,
                window_samples: 1764,
                hop_samples: 882,
                range: (0.0, None),
                offset: 2.22e-16,
                waveform_offset: 2.22e-16,
                ..f1
            },
            Self::F3 => Preset {
                rate: 44_100,
                window: Window::BlackmanHarris,
                window_samples: 1654,
                hop_samples: 561,
                scale: FrequencyScale::Linear,
                bands: 1025,
                range: (0.0, None),
                normalised: true,
                log: LogForm::Decibel,
                offset: 1e-18,
                placement: OffsetPlacement::ReplaceZero,
                waveform_offset: 0.0,
                ..f1
            },
            Self::F4 => Preset {
                rate: 16_000,
                window: Window::Hann,
                window_samples: 400,
                hop_samples: 160,
                n_fft: 512,
                scale: FrequencyScale::Htk,
                bands: 64,
                range: (125.0, Some(7500.0)),
                spectrum: Spectrum::Magnitude,
                log: LogForm::Ln,
                offset: 0.01,
                waveform_offset: 0.0,
                padding: Padding::None,
                ..f1
            },
            Self::F5 => Preset {
                rate: 44_100,
                window: Window::Hann,
                window_samples: 4410,
                hop_samples: 2205,
                n_fft: 4410,
                scale: FrequencyScale::Htk,
                bands: 128,
                range: (0.0, None),
                log: LogForm::Ln,
                offset: 1e-6,
                waveform_offset: 0.0,
                ..f1
            },
            Self::F6 => Preset {
                rate: 44_100,
                window: Window::Hann,
                window_samples: 1102,
                hop_samples: 441,
                scale: FrequencyScale::Htk,
                range: (20.0, Some(20_000.0)),
                spectrum: Spectrum::Magnitude,
                log: LogForm::Ln,
                offset: 0.001,
                waveform_offset: 0.0,
                padding: Padding::None,
                ..f1
            },
        }
    }
}
