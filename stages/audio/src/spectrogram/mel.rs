//! Triangular filters on the mel scales.

use super::params::FrequencyScale;

/// Slaney's scale is linear below this frequency, Hz.
const BREAK_HZ: f64 = 1000.0;
/// Width of a mel below the break, Hz.
const HZ_PER_MEL: f64 = 200.0 / 3.0;

/// Converts Hz to mel: Slaney's (linear below 1 kHz, `ln(6.4) / 27` per mel above) or HTK's (`2595 log10(1 + f / 700)`); linear stays.
pub fn hz_to_mel(hz: f64, scale: FrequencyScale) -> f64 {
    match scale {
        FrequencyScale::Linear => hz,
        FrequencyScale::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
        FrequencyScale::Slaney if hz < BREAK_HZ => hz / HZ_PER_MEL,
        FrequencyScale::Slaney => BREAK_HZ / HZ_PER_MEL + (hz / BREAK_HZ).ln() * 27.0 / 6.4f64.ln(),
    }
}

/// Converts mel to Hz; the inverse of [`hz_to_mel`].
pub fn mel_to_hz(mel: f64, scale: FrequencyScale) -> f64 {
    let at_break = BREAK_HZ / HZ_PER_MEL;
    match scale {
        FrequencyScale::Linear => mel,
        FrequencyScale::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
        FrequencyScale::Slaney if mel < at_break => mel * HZ_PER_MEL,
        FrequencyScale::Slaney => BREAK_HZ * ((mel - at_break) * 6.4f64.ln() / 27.0).exp(),
    }
}

/// Triangles over FFT bins, only their nonzero parts.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterBank {
    /// Per band: the first bin, then where its weights start and end in `weights`.
    bands: Vec<(usize, usize, usize)>,
    weights: Vec<f64>,
}

impl FilterBank {
    /// Builds `bands` triangles, linear in Hz, with corners equally spaced in mel between `low_hz` and `high_hz`.
    ///
    /// # Shapes and units
    /// - `bins`: number of FFT bins; bin `k` lies at `k * bin_hz` Hz.
    /// - The peak of a triangle is 1, or with `area` `2 / width in Hz`, so that all have the same area.
    pub fn mel(
        bins: usize,
        bin_hz: f64,
        bands: usize,
        (low_hz, high_hz): (f64, f64),
        scale: FrequencyScale,
        area: bool,
    ) -> Self {
        let (low, high) = (hz_to_mel(low_hz, scale), hz_to_mel(high_hz, scale));
        let corner = |i: usize| mel_to_hz(low + (high - low) * i as f64 / (bands + 1) as f64, scale);
        let mut bank = Self { bands: Vec::with_capacity(bands), weights: Vec::new() };
        for band in 0..bands {
            let (left, peak, right) = (corner(band), corner(band + 1), corner(band + 2));
            let height = if area { 2.0 / (right - left) } else { 1.0 };
            let from = bank.weights.len();
            let mut first = None;
            for bin in 0..bins {
                let hz = bin as f64 * bin_hz;
                let weight = ((hz - left) / (peak - left)).min((right - hz) / (right - peak)).max(0.0);
                if weight > 0.0 {
                    first.get_or_insert(bin);
                    bank.weights.push(weight * height);
                } else if first.is_some() {
                    break;
                }
            }
            bank.bands.push((first.unwrap_or(0), from, bank.weights.len()));
        }
        bank
    }

    /// Returns the number of bands.
    pub fn len(&self) -> usize {
        self.bands.len()
    }

    /// Returns whether there is no band.
    pub fn is_empty(&self) -> bool {
        self.bands.is_empty()
    }

    /// Applies every triangle to one frame of bins and hands (band, sum) to `each`.
    pub fn apply(&self, bins: &[f64], mut each: impl FnMut(usize, f64)) {
        for (band, &(first, from, to)) in self.bands.iter().enumerate() {
            let weights = &self.weights[from..to];
            let sum = weights.iter().zip(&bins[first..]).fold(0.0, |sum, (w, p)| sum + w * p);
            each(band, sum);
        }
    }

    /// Lists the bands between two FFT bins: they have no weight at all, so that their values never change.
    pub fn empty(&self) -> Vec<usize> {
        (0..self.len()).filter(|&band| self.bands[band].1 == self.bands[band].2).collect()
    }

    /// Returns the sum of the weights of every band.
    pub fn row_sums(&self) -> Vec<f64> {
        self.bands.iter().map(|&(_, from, to)| self.weights[from..to].iter().sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_match_their_formulas_and_invert() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} is not {b}");
        close(hz_to_mel(1000.0, FrequencyScale::Slaney), 15.0);
        close(hz_to_mel(6400.0, FrequencyScale::Slaney), 42.0);
        close(hz_to_mel(700.0, FrequencyScale::Htk), 2595.0 * 2f64.log10());
        for scale in [FrequencyScale::Slaney, FrequencyScale::Htk, FrequencyScale::Linear] {
            for hz in [0.0, 50.0, 999.0, 1001.0, 10_500.0] {
                close(mel_to_hz(hz_to_mel(hz, scale), scale), hz);
            }
        }
    }

    #[test]
    fn row_sums_are_those_of_an_independent_filter_bank() {
        // 96 Slaney triangles of peak 1, 50..10500 Hz, 2048 points at 22050 Hz, from librosa's `filters.mel(norm=None)`.
        let bank =
            FilterBank::mel(1025, 22_050.0 / 2048.0, 96, (50.0, 10_500.0), FrequencyScale::Slaney, false);
        let sums = bank.row_sums();
        let expected = [
            (0, 3.090_073_8),
            (1, 3.090_074_1),
            (2, 3.095_065_4),
            (93, 30.217_402),
            (94, 31.272_2),
            (95, 32.366_543),
        ];
        for (band, want) in expected {
            assert!((sums[band] - want).abs() < 2e-6 * want, "band {band}: {} is not {want}", sums[band]);
        }
    }

    #[test]
    fn empty_bands_are_those_of_an_independent_filter_bank() {
        // The bands without a weight in librosa's `filters.mel(sr=16000, n_mels=128)` for three lengths and both scales.
        let empty = |n_fft: usize, scale| {
            FilterBank::mel(n_fft / 2 + 1, 16_000.0 / n_fft as f64, 128, (0.0, 8000.0), scale, true).empty()
        };
        assert_eq!(empty(256, FrequencyScale::Slaney), [0, 3, 6, 11, 14, 19, 22, 27, 30, 35, 38, 43, 50]);
        assert_eq!(empty(400, FrequencyScale::Htk), [0, 3, 6, 13]);
        assert!(empty(512, FrequencyScale::Slaney).is_empty());
    }

    #[test]
    fn area_normalisation_gives_every_band_the_same_area() {
        let bin_hz = 0.5;
        let bank = FilterBank::mel(20_000, bin_hz, 40, (20.0, 9_000.0), FrequencyScale::Htk, true);
        for sum in bank.row_sums() {
            assert!((sum * bin_hz - 1.0).abs() < 1e-3, "area {}", sum * bin_hz);
        }
    }
}
