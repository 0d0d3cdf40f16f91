//! Levels: compression and noise.

use sndpipe_random::Rng;

use super::mix::Scale;
use super::params::NoiseForm;

/// Multiplies every value by one number between `low` and 1.
pub(super) fn compress(patch: &mut [f32], low: f64, rng: &mut Rng) {
    let factor = rng.range(low.min(1.0), low.max(1.0)) as f32;
    patch.iter_mut().for_each(|value| *value *= factor);
}

/// Adds noise, or multiplies by it what is behind the logarithms.
pub(super) fn noise(patch: &mut [f32], deviation: f64, form: NoiseForm, scale: Scale, rng: &mut Rng) {
    match form {
        NoiseForm::Additive => {
            let deviation = rng.range(0.0, deviation);
            patch.iter_mut().for_each(|value| *value += (deviation * rng.normal()) as f32);
        }
        NoiseForm::Multiplicative => scale.times(patch, || 1.0 + (deviation * rng.normal()).abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::LogForm;

    #[test]
    fn factors_fill_their_range() {
        for (low, range) in [(0.75, 0.75..1.0), (1.5, 1.0..1.5), (1.0, 1.0..1.000_001)] {
            let drawn: Vec<f32> = (0..500)
                .map(|seed| {
                    let mut patch = [1.0, -2.0];
                    compress(&mut patch, low, &mut Rng::new(seed, "compression"));
                    assert_eq!(patch[1], -2.0 * patch[0]);
                    patch[0]
                })
                .collect();
            assert!(drawn.iter().all(|factor| range.contains(factor)), "{low}");
            let (least, most) =
                (drawn.iter().fold(9f32, |a, &b| a.min(b)), drawn.iter().fold(0f32, |a, &b| a.max(b)));
            assert!(most - least >= 0.95 * (range.end - range.start) - 1e-5, "{low}: {least} to {most}");
        }
    }

    /// Standard deviations of the patches of many seeds.
    fn deviations(deviation: f64) -> Vec<f64> {
        let of = |seed: u64| {
            let mut patch = vec![5.0f32; 2000];
            let scale = Scale::new(LogForm::Log10);
            noise(&mut patch, deviation, NoiseForm::Additive, scale, &mut Rng::new(seed, "noise"));
            let squares = patch.iter().map(|&v| f64::from(v - 5.0).powi(2));
            (squares.sum::<f64>() / 2000.0).sqrt()
        };
        (0..400).map(of).collect()
    }

    #[test]
    fn deviations_of_noise_are_drawn_evenly() {
        let all = deviations(0.5);
        let mean = all.iter().sum::<f64>() / 400.0;
        // Uniform in 0..0.5: mean 0.25, whose five standard errors are 0.036.
        assert!((mean - 0.25).abs() < 0.04, "{mean}");
        assert!(
            all.iter().all(|&d| d < 0.53) && all.iter().any(|&d| d > 0.45) && all.iter().any(|&d| d < 0.05)
        );
        assert!(deviations(0.0).iter().all(|&d| d == 0.0));
    }

    #[test]
    fn multiplied_noise_raises_what_is_behind_the_logarithm() {
        for (log, base) in [(LogForm::Log10, 10f64), (LogForm::Ln, std::f64::consts::E)] {
            let mut patch = vec![-2.0f32; 20_000];
            let scale = Scale::new(log);
            noise(&mut patch, 0.5, NoiseForm::Multiplicative, scale, &mut Rng::new(1, "noise"));
            let factors: Vec<f64> = patch.iter().map(|&v| base.powf(f64::from(v) + 2.0)).collect();
            assert!(factors.iter().all(|&f| f > 0.999_999));
            // 1 + |e| has the mean 1 + 0.5 sqrt(2 / pi) = 1.39894; five standard errors are 0.011.
            let mean = factors.iter().sum::<f64>() / 20_000.0;
            assert!((mean - 1.398_94).abs() < 0.012, "{mean}");
        }
    }
}
