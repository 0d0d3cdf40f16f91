//! The classes and how each sounds.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_random::Rng;

/// A class of synthetic events. Neighbours are pairs: one is the other reversed, or they share their average spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SynthClass {
    /// Tonal: a sine that rises by 1.5 octaves.
    ChirpUp,
    /// Tonal: a sine that falls by 1.5 octaves.
    ChirpDown,
    /// Noisy: a band of noise that rises by two octaves.
    NoiseRise,
    /// Noisy: a band of noise that falls by two octaves.
    NoiseFall,
    /// Noisy: a steady band of noise that swells by 40 dB and stops.
    Swell,
    /// Noisy: a steady band of noise that starts loud and dies away by 40 dB.
    Decay,
    /// Modulated: a harmonic tone, its level beating 3 to 5 times a second.
    AmSlow,
    /// Modulated: the same tone, beating 9 to 14 times a second.
    AmFast,
    /// Impulsive: clicks at equal distances.
    ClicksRegular,
    /// Impulsive: as many clicks at random distances.
    ClicksIrregular,
    /// Modulated: two tones, one after the other, 5 to 9 times a second.
    Trill,
    /// Tonal: the same two tones together.
    Dyad,
}

impl SynthClass {
    /// All classes, pairs beside each other.
    pub const ALL: [Self; 12] = [
        Self::ChirpUp,
        Self::ChirpDown,
        Self::NoiseRise,
        Self::NoiseFall,
        Self::Swell,
        Self::Decay,
        Self::AmSlow,
        Self::AmFast,
        Self::ClicksRegular,
        Self::ClicksIrregular,
        Self::Trill,
        Self::Dyad,
    ];

    /// Returns the name, as in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChirpUp => "chirp_up",
            Self::ChirpDown => "chirp_down",
            Self::NoiseRise => "noise_rise",
            Self::NoiseFall => "noise_fall",
            Self::Swell => "swell",
            Self::Decay => "decay",
            Self::AmSlow => "am_slow",
            Self::AmFast => "am_fast",
            Self::ClicksRegular => "clicks_regular",
            Self::ClicksIrregular => "clicks_irregular",
            Self::Trill => "trill",
            Self::Dyad => "dyad",
        }
    }

    /// Synthesises `n` samples of an event with a root mean square of 1, faded over 10 ms at both ends.
    ///
    /// The centre frequency is between 600 Hz and 2.4 kHz, uniform in octaves.
    pub(super) fn event(self, n: usize, sample_rate: u32, rng: &mut Rng) -> Vec<f64> {
        let rate = f64::from(sample_rate);
        let centre = 600.0 * rng.range(0.0, 2.0).exp2();
        let mut samples = match self {
            Self::ChirpUp | Self::ChirpDown => sweep(n, rate, centre, 1.5, self == Self::ChirpUp, rng),
            Self::NoiseRise | Self::NoiseFall => {
                let rises = self == Self::NoiseRise;
                noise_band(n, rate, rng, |u| centre * (if rises { u - 0.5 } else { 0.5 - u } * 2.0).exp2())
            }
            Self::Swell | Self::Decay => {
                let mut noise = noise_band(n, rate, rng, |_| centre);
                let grows = self == Self::Swell;
                for (i, x) in noise.iter_mut().enumerate() {
                    let u = i as f64 / n as f64;
                    *x *= 10f64.powf(-2.0 * if grows { 1.0 - u } else { u });
                }
                noise
            }
            Self::AmSlow | Self::AmFast => {
                let (low, high) = if self == Self::AmSlow { (3.0, 5.0) } else { (9.0, 14.0) };
                let (beat, start) = (TAU * rng.range(low, high) / rate, rng.range(0.0, TAU));
                let phases = [0.0; 4].map(|_: f64| rng.range(0.0, TAU));
                let step = TAU * centre / 2.0 / rate;
                (0..n)
                    .map(|i| {
                        let i = i as f64;
                        let tone: f64 = (1..)
                            .zip(phases)
                            .map(|(k, p)| (step * f64::from(k) * i + p).sin() / f64::from(k))
                            .sum();
                        tone * (1.0 - 0.95 * (0.5 + 0.5 * (beat * i + start).cos()))
                    })
                    .collect()
            }
            Self::ClicksRegular | Self::ClicksIrregular => {
                let count = (n as f64 / rate * rng.range(7.0, 11.0)).round().max(3.0) as usize;
                clicks(n, rate, centre, &self.click_times(count, rng))
            }
            Self::Trill | Self::Dyad => {
                let upper = centre * rng.range(0.25, 0.6).exp2();
                let turn = rng.range(5.0, 9.0);
                let phases = [rng.range(0.0, TAU), rng.range(0.0, TAU)];
                (0..n)
                    .map(|i| {
                        let t = i as f64 / rate;
                        let tone = |hz: f64, phase: f64| (TAU * hz * t + phase).sin();
                        let (low, high) = (tone(centre, phases[0]), tone(upper, phases[1]));
                        // The turn from one tone to the other takes a tenth of its stay.
                        let place = (10.0 * (TAU * turn * t / 2.0).sin()).clamp(-1.0, 1.0);
                        let share = 0.5 + 0.5 * place;
                        if self == Self::Trill {
                            share * low + (1.0 - share) * high
                        } else {
                            (low + high) / 2.0
                        }
                    })
                    .collect()
            }
        };
        fade(&mut samples, (rate * 0.01) as usize);
        let power = samples.iter().map(|x| x * x).sum::<f64>() / n.max(1) as f64;
        if power > 0.0 {
            let factor = 1.0 / power.sqrt();
            samples.iter_mut().for_each(|x| *x *= factor);
        }
        samples
    }

    /// Places of `count` clicks in an event, from 0 to 1.
    fn click_times(self, count: usize, rng: &mut Rng) -> Vec<f64> {
        let slot = 1.0 / count as f64;
        if self == Self::ClicksRegular {
            return (0..count).map(|i| (i as f64 + 0.25) * slot).collect();
        }
        let mut times: Vec<f64> = (0..count).map(|_| rng.range(0.0, 0.98)).collect();
        times.sort_by(f64::total_cmp);
        times
    }
}

fn sweep(n: usize, rate: f64, centre: f64, octaves: f64, rises: bool, rng: &mut Rng) -> Vec<f64> {
    let mut phase = rng.range(0.0, TAU);
    (0..n)
        .map(|i| {
            let u = i as f64 / n as f64 - 0.5;
            phase += TAU * centre * (octaves * if rises { u } else { -u }).exp2() / rate;
            phase.sin()
        })
        .collect()
}

/// White noise through a resonator whose frequency is `hz(u)` at the share `u` of the event; quality factor 5.
fn noise_band(n: usize, rate: f64, rng: &mut Rng, hz: impl Fn(f64) -> f64) -> Vec<f64> {
    // A state-variable filter in the trapezoidal form, which stays stable while its frequency moves.
    let damping = 1.0 / 5.0;
    let (mut low, mut band) = (0.0f64, 0.0f64);
    (0..n)
        .map(|i| {
            let frequency = hz(i as f64 / n as f64).min(0.45 * rate);
            let g = (TAU / 2.0 * frequency / rate).tan();
            let high = (rng.normal() - low - (damping + g) * band) / (1.0 + g * (g + damping));
            let out = band + g * high;
            low += 2.0 * g * out;
            band += 2.0 * g * high;
            // The bandwidth grows with the frequency; dividing by its root keeps the level.
            out / g.sqrt()
        })
        .collect()
}

/// Damped sines of 3 ms at the given places.
fn clicks(n: usize, rate: f64, centre: f64, times: &[f64]) -> Vec<f64> {
    let mut samples = vec![0.0; n];
    let length = (rate * 0.03) as usize;
    for &time in times {
        let start = (time * n as f64) as usize;
        for (i, x) in samples.iter_mut().skip(start).take(length).enumerate() {
            let t = i as f64 / rate;
            *x += (-t / 0.003).exp() * (TAU * centre * t).sin();
        }
    }
    samples
}

fn fade(samples: &mut [f64], length: usize) {
    let n = samples.len();
    let length = length.min(n / 2);
    for i in 0..length {
        let weight = i as f64 / length as f64;
        samples[i] *= weight;
        samples[n - 1 - i] *= weight;
    }
}
