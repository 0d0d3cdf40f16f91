//! Decoded audio to the samples that a pipeline works on.

use sndpipe_artefacts::audio::{Channels, DecodeParams, Normalise};

use super::decode::Pcm;
use super::length::fit;
use super::resample::resample;

/// A clip as the pipeline sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Samples per second and channel, Hz.
    pub sample_rate: u32,
    /// `[channels][samples]`, all of one length.
    pub channels: Vec<Vec<f32>>,
}

impl Prepared {
    /// Returns one vector, channel after channel: `[channels, samples]`.
    pub fn into_planar(self) -> Vec<f32> {
        let mut channels = self.channels.into_iter();
        let mut all = channels.next().unwrap_or_default();
        for channel in channels {
            all.extend_from_slice(&channel);
        }
        all
    }
}

/// Selects channels, converts the sample rate, removes the mean, normalises, scales and fits the length, in this order.
///
/// Channels are mixed before the conversion: that is the same sound for half the work.
pub fn prepare(pcm: Pcm, params: &DecodeParams) -> Prepared {
    let rate = pcm.sample_rate;
    let mut channels: Vec<Vec<f32>> = select(pcm.channels, params.channels)
        .into_iter()
        .map(|c| if rate == params.sample_rate { c } else { resample(&c, rate, params.sample_rate) })
        .collect();
    if params.remove_mean {
        channels.iter_mut().for_each(|c| remove_mean(c));
    }
    normalise(&mut channels, params.normalise);
    if params.scale != 1.0 {
        let factor = params.scale as f32;
        channels.iter_mut().flatten().for_each(|x| *x *= factor);
    }
    if let Some(length) = params.length {
        let wanted = length.samples(params.sample_rate);
        channels.iter_mut().for_each(|c| fit(c, wanted, length.mode));
    }
    Prepared { sample_rate: params.sample_rate, channels }
}

fn select(mut channels: Vec<Vec<f32>>, which: Channels) -> Vec<Vec<f32>> {
    match which {
        Channels::First => channels.truncate(1),
        Channels::Stereo => {
            channels.truncate(2);
            if channels.len() == 1 {
                channels.push(channels[0].clone());
            }
        }
        Channels::Mono if channels.len() > 1 => {
            let count = channels.len() as f32;
            let (first, others) = channels.split_at_mut(1);
            for (i, x) in first[0].iter_mut().enumerate() {
                *x = others.iter().fold(*x, |sum, c| sum + c[i]) / count;
            }
            channels.truncate(1);
        }
        Channels::Mono => {}
    }
    channels
}

fn remove_mean(samples: &mut [f32]) {
    if samples.is_empty() {
        return;
    }
    let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / samples.len() as f64;
    let mean = mean as f32;
    samples.iter_mut().for_each(|x| *x -= mean);
}

/// Makes the level of a clip comparable; the channels share one factor, so that their balance stays.
///
/// # Source
/// `peak`: `x / (max |x| + 0.005)`. `minmax`: `2 (x - min) / (max - min) - 1`. Both are the preparations of published systems.
pub fn normalise(channels: &mut [Vec<f32>], how: Normalise) {
    let all = || channels.iter().flatten().copied();
    let (low, high) = all().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    if low > high {
        return;
    }
    let stretch = match how {
        Normalise::None => return,
        Normalise::Peak => {
            let divisor = low.abs().max(high.abs()) + 0.005;
            channels.iter_mut().flatten().for_each(|x| *x /= divisor);
            return;
        }
        Normalise::Minmax => true,
        Normalise::MinmaxIfClipped => high > 1.0,
    };
    if !stretch {
        return;
    }
    let (low, range) = (f64::from(low), f64::from(high) - f64::from(low));
    for x in channels.iter_mut().flatten() {
        *x = if range > 0.0 { (2.0 * (f64::from(*x) - low) / range - 1.0) as f32 } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(channels: &[&[f32]]) -> Pcm {
        Pcm {
            sample_rate: 22_050,
            channels: channels.iter().map(|c| c.to_vec()).collect(),
            damage: Vec::new(),
        }
    }

    fn plain() -> DecodeParams {
        DecodeParams { remove_mean: false, normalise: Normalise::None, ..DecodeParams::default() }
    }

    #[test]
    fn channels_are_mixed_taken_or_doubled() {
        let two = pcm(&[&[1.0, 0.0], &[0.0, 0.5]]);
        assert_eq!(prepare(two.clone(), &plain()).channels, [[0.5, 0.25]]);
        let first = DecodeParams { channels: Channels::First, ..plain() };
        assert_eq!(prepare(two.clone(), &first).channels, [[1.0, 0.0]]);
        let stereo = DecodeParams { channels: Channels::Stereo, ..plain() };
        assert_eq!(prepare(two, &stereo).into_planar(), [1.0, 0.0, 0.0, 0.5]);
        assert_eq!(prepare(pcm(&[&[1.0, 2.0]]), &stereo).into_planar(), [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn level_follows_the_formulas() {
        let peak = DecodeParams { remove_mean: true, ..DecodeParams::default() };
        let got = prepare(pcm(&[&[0.1, 0.3, 0.2]]), &peak).into_planar();
        // Mean 0.2; the largest is then 0.1: 0.1 / 0.105.
        for (x, want) in got.iter().zip([-0.952_381, 0.952_381, 0.0]) {
            assert!((x - want).abs() < 1e-6, "{x} is not {want}");
        }
        let minmax = DecodeParams { normalise: Normalise::Minmax, scale: 32_768.0, ..plain() };
        assert_eq!(prepare(pcm(&[&[0.0, 3.0, 1.5]]), &minmax).into_planar(), [-32_768.0, 32_768.0, 0.0]);
        let only_clipped = DecodeParams { normalise: Normalise::MinmaxIfClipped, ..plain() };
        assert_eq!(prepare(pcm(&[&[0.0, 0.5]]), &only_clipped).into_planar(), [0.0, 0.5]);
        assert_eq!(prepare(pcm(&[&[0.0, 2.0]]), &only_clipped).into_planar(), [-1.0, 1.0]);
    }

    #[test]
    fn silence_stays_silent() {
        assert_eq!(prepare(pcm(&[&[0.5; 4]]), &DecodeParams::default()).into_planar(), [0.0; 4]);
    }
}
