//! Uploaders: each records with an own gain, noise floor and room.

use sndpipe_random::Stream;

/// What one uploader does to every sound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Uploader {
    /// Factor on everything.
    gain: f64,
    /// How much of the last noise sample stays in the next: 0 is white, towards 1 is low rumble.
    colour: f64,
    /// Where this uploader's noise floor lies in the range of ratios, 0 (noisy) to 1 (clean).
    pub cleanness: f64,
    /// Echoes: delay in seconds and feedback.
    echoes: [(f64, f64); 3],
    /// Share of the echoes in the sound.
    wet: f64,
}

impl Uploader {
    pub fn new(seed: u64, index: usize) -> Self {
        let mut rng = Stream::new(seed, "synth.uploader").at(0, index as u64);
        Self {
            gain: 10f64.powf(rng.range(-14.0, 0.0) / 20.0),
            colour: rng.range(0.0, 0.9),
            cleanness: rng.uniform(),
            echoes: [0.0; 3].map(|_: f64| (rng.range(0.013, 0.047), rng.range(0.2, 0.6))),
            wet: rng.range(0.0, 0.4),
        }
    }

    /// Adds the room to `dry`, in place: three parallel feedback combs.
    pub fn reverberate(&self, dry: &mut [f64], rate: f64) {
        let mut echo = vec![0.0; dry.len()];
        for &(delay, feedback) in &self.echoes {
            let delay = ((delay * rate) as usize).max(1);
            let mut line = vec![0.0; delay];
            for (i, (out, &x)) in echo.iter_mut().zip(dry.iter()).enumerate() {
                let cell = &mut line[i % delay];
                *out += *cell / 3.0;
                *cell = x + feedback * *cell;
            }
        }
        for (x, e) in dry.iter_mut().zip(echo) {
            *x = (1.0 - self.wet) * *x + self.wet * e;
        }
    }

    /// Adds noise with a root mean square of `level`, then applies the gain.
    pub fn record(&self, samples: &mut [f64], level: f64, rng: &mut sndpipe_random::Rng) {
        let spread = (1.0 - self.colour * self.colour).sqrt() * level;
        let mut noise = rng.normal() * level;
        for x in samples {
            *x = (*x + noise) * self.gain;
            noise = self.colour * noise + spread * rng.normal();
        }
    }
}
