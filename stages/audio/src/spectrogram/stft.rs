//! The short-time Fourier transform.

use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::params::{Padding, Spectrum};
use super::settings::Transform;

/// A planned transform. In double precision, so that quiet bands beside loud ones are right.
pub(super) struct Stft {
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    transform: Transform,
}

impl Stft {
    pub fn new(transform: &Transform) -> Self {
        let mut window = transform.window.samples(transform.window_samples);
        if transform.normalised {
            let factor = 1.0 / (transform.n_fft as f64).sqrt();
            window.iter_mut().for_each(|w| *w *= factor);
        }
        let fft = RealFftPlanner::new().plan_fft_forward(transform.n_fft);
        Self { fft, window, transform: transform.clone() }
    }

    /// Returns the number of frames of a clip of `samples` samples; at least 1.
    pub fn frames(&self, samples: usize) -> usize {
        let Transform { n_fft, hop, padding, window_samples, .. } = self.transform;
        match padding {
            Padding::Reflect | Padding::Zero => 1 + (samples + 2 * (n_fft / 2)).saturating_sub(n_fft) / hop,
            Padding::None => 1 + samples.saturating_sub(window_samples) / hop,
        }
    }

    /// Calls `each` with the bins of some frames, in order.
    pub fn process(&self, samples: &[f32], frames: Range<usize>, mut each: impl FnMut(&[f64])) {
        let Transform { n_fft, hop, padding, waveform_offset, spectrum, .. } = self.transform;
        let length = self.window.len();
        // Where the first window starts. The window's place inside the FFT only turns phases, so it starts at 0 there.
        let start = match padding {
            Padding::None => 0,
            _ => (n_fft - length) as i64 / 2 - (n_fft / 2) as i64,
        };
        let mut input = self.fft.make_input_vec();
        let mut bins = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut row = vec![0.0f64; bins.len()];
        for frame in frames {
            let from = start + (frame * hop) as i64;
            let inside = usize::try_from(from).ok().and_then(|from| samples.get(from..from + length));
            match inside {
                Some(part) => {
                    for ((x, &s), w) in input.iter_mut().zip(part).zip(&self.window) {
                        *x = (f64::from(s) + waveform_offset) * w;
                    }
                }
                None => {
                    for (i, (x, w)) in input.iter_mut().zip(&self.window).enumerate() {
                        let sample = outside(samples, from + i as i64, padding);
                        *x = sample.map_or(0.0, |s| f64::from(s) + waveform_offset) * w;
                    }
                }
            }
            input[length..].fill(0.0);
            self.fft
                .process_with_scratch(&mut input, &mut bins, &mut scratch)
                .expect("the buffers were made by this plan");
            fill(&mut row, &bins, spectrum);
            each(&row);
        }
    }
}

fn fill(row: &mut [f64], bins: &[Complex<f64>], spectrum: Spectrum) {
    match spectrum {
        Spectrum::Power => row.iter_mut().zip(bins).for_each(|(p, x)| *p = x.norm_sqr()),
        Spectrum::Magnitude => row.iter_mut().zip(bins).for_each(|(p, x)| *p = x.norm_sqr().sqrt()),
    }
}

/// Returns the sample at `at`, which may lie outside the clip; `None` is where nothing is.
fn outside(samples: &[f32], at: i64, padding: Padding) -> Option<f32> {
    let n = samples.len() as i64;
    if (0..n).contains(&at) {
        return samples.get(at as usize).copied();
    }
    if padding != Padding::Reflect || n == 0 {
        return None;
    }
    // Mirrored at both ends without repeating the end samples, again and again for very short clips.
    let period = (2 * (n - 1)).max(1);
    let folded = at.rem_euclid(period);
    samples.get(folded.min(period - folded) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_is_mirrored_without_its_ends() {
        let samples = [1.0, 2.0, 3.0];
        let got: Vec<f32> = (-5..8).filter_map(|i| outside(&samples, i, Padding::Reflect)).collect();
        assert_eq!(got, [2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(outside(&[4.0], -3, Padding::Reflect), Some(4.0));
        assert_eq!(outside(&samples, 3, Padding::Zero), None);
    }
}
