//! Mixtures with other clips.

use sndpipe_cache::Meta;
use sndpipe_engine::StageError;
use sndpipe_random::Rng;

use super::clips::Clips;
use crate::spectrogram::{self, LogForm};

/// How numbers of features become those behind their logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// A stored number is a natural logarithm over this; none where it is what it stands for.
    factor: Option<f64>,
}

impl Scale {
    pub const fn new(log: LogForm) -> Self {
        const LN_10: f64 = std::f64::consts::LN_10;
        let factor = match log {
            LogForm::Log10 => Some(LN_10),
            LogForm::Ln => Some(1.0),
            LogForm::Decibel => Some(LN_10 / 10.0),
            LogForm::None => None,
        };
        Self { factor }
    }

    /// That of features, as their recipe says; without a recipe `log10`.
    pub fn of(features: &Meta) -> Self {
        Self::new(spectrogram::params_of(features).map_or(LogForm::Log10, |params| params.log_form()))
    }

    /// What is behind the logarithms; in f64, for decibels of silence are beyond f32.
    fn linear(self, values: &[f32]) -> Vec<f64> {
        let of = |value: &f32| {
            let value = f64::from(*value);
            self.factor.map_or(value, |factor| (factor * value).exp())
        };
        values.iter().map(of).collect()
    }

    fn log(self, value: f64) -> f32 {
        self.factor.map_or(value, |factor| value.ln() / factor) as f32
    }

    /// Multiplies what is behind each number by a factor of its own.
    pub fn times(self, values: &mut [f32], mut factor_of: impl FnMut() -> f64) {
        match self.factor {
            None => values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor_of()) as f32),
            Some(factor) => values.iter_mut().for_each(|value| {
                *value = (f64::from(*value) + factor_of().ln() / factor) as f32;
            }),
        }
    }
}

/// `own x + share b`, of what is behind the logarithms; with `adjust` the background `b` gets the energy of `x` first. A
/// background without energy adds nothing.
pub(super) fn mix(x: &mut [f32], b: &[f32], (own, share): (f64, f64), adjust: bool, scale: Scale) {
    let (of_x, of_b) = (scale.linear(x), scale.linear(b));
    let energy = of_b.iter().sum::<f64>();
    let share = match adjust {
        true if energy > 0.0 => share * of_x.iter().sum::<f64>() / energy,
        true => 0.0,
        false => share,
    };
    for ((out, x), b) in x.iter_mut().zip(of_x).zip(of_b) {
        *out = scale.log(own * x + share * b);
    }
}

/// What silence does: `own x`.
pub(super) fn mix_silence(x: &mut [f32], own: f64, scale: Scale) {
    if own > 0.0 {
        scale.times(x, || own);
    }
}

/// A clip other than those in `not`, which are in order and fewer than all.
pub fn other_clip(clips: usize, not: &[usize], rng: &mut Rng) -> usize {
    let mut drawn = rng.index(clips - not.len());
    for &clip in not {
        drawn += usize::from(drawn >= clip);
    }
    drawn
}

/// A random patch of a clip.
///
/// # Errors
/// As [`Clips::frames`].
pub(super) fn background(clips: &Clips<'_>, clip: usize, rng: &mut Rng) -> Result<Vec<f32>, StageError> {
    let mut patch = vec![0.0; clips.input.len()];
    let start = clips.start(clip, rng)?;
    clips.cut(clip, start, &mut patch)?;
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use sndpipe_random::Rng;

    use super::*;

    const LOG10: Scale = Scale::new(LogForm::Log10);

    proptest! {
        /// Whatever the patches, the share and the levels.
        #[test]
        fn the_energy_of_a_mixture_is_that_of_the_patch(
            pairs in prop::collection::vec((-8.0f32..3.0, -8.0f32..3.0), 1..200), share in 0.0f64..1.0, level in -4.0f32..4.0,
        ) {
            let (mut x, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().map(|(x, b)| (x, b + level)).unzip();
            let of = |x: &[f32]| x.iter().map(|&v| 10f64.powf(f64::from(v))).sum::<f64>();
            let before = of(&x);
            mix(&mut x, &b, (1.0 - share, share), true, LOG10);
            let after = of(&x);
            prop_assert!((after / before - 1.0).abs() < 1e-5, "{before} became {after}");
        }
    }

    #[test]
    fn mixtures_have_the_values_worked_out_by_hand() {
        let log = |values: [f64; 2]| values.map(|v| v.log10() as f32).to_vec();
        let close = |found: &[f32], expected: [f64; 2]| {
            for (found, expected) in found.iter().zip(expected) {
                let found = 10f64.powf(f64::from(*found));
                assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
            }
        };
        let mixed = |shares, adjust| {
            let mut x = log([3.0, 1.0]);
            mix(&mut x, &log([0.1, 0.7]), shares, adjust, LOG10);
            x
        };
        // Adjusted by 4 / 0.8.
        close(&mixed((0.75, 0.25), true), [2.25 + 0.125, 0.75 + 0.875]);
        close(&mixed((0.75, 0.25), false), [2.25 + 0.025, 0.75 + 0.175]);
        close(&mixed((1.0, 0.25), true), [3.0 + 0.125, 1.0 + 0.875]);
        close(&mixed((1.0, 0.0), true), [3.0, 1.0]);
        let mut x = log([3.0, 1.0]);
        mix_silence(&mut x, 0.75, LOG10);
        close(&x, [2.25, 0.75]);
        // Without a logarithm, and with a background without energy.
        let mut x = [3.0f32, 1.0];
        mix(&mut x, &[0.0; 2], (0.5, 0.5), true, Scale::new(LogForm::None));
        assert_eq!(x, [1.5, 0.5]);
        // Decibels of nearly nothing stay finite.
        let mut x = [-600.0, -3.0];
        mix(&mut x, &[-500.0, -500.0], (1.0, 0.25), true, Scale::new(LogForm::Decibel));
        assert!(x.iter().all(|value| value.is_finite()), "{x:?}");
    }

    #[test]
    fn the_recipe_says_what_the_logarithm_is() {
        let of = |spectrogram: serde_json::Value| {
            Scale::of(&Meta::from([("recipe".to_owned(), json!({ "spectrogram": spectrogram }))]))
        };
        assert_eq!(of(json!({ "recipe": "f1" })), LOG10);
        assert_eq!(of(json!({ "recipe": "f4" })), Scale::new(LogForm::Ln));
        assert_eq!(of(json!({ "recipe": "f3", "log": "none" })), Scale::new(LogForm::None));
        assert_eq!(of(json!({ "kind": "three_band" })), Scale::new(LogForm::Decibel));
        assert_eq!(Scale::of(&Meta::new()), LOG10);
    }

    #[test]
    fn other_clips_are_drawn_evenly() {
        let mut rng = Rng::new(1, "others");
        let mut counts = [0; 5];
        for _ in 0..3000 {
            counts[other_clip(5, &[1, 4], &mut rng)] += 1;
        }
        // A third of 3000 each, five standard deviations being 129.
        assert!(
            counts[1] + counts[4] == 0
                && [0, 2, 3].iter().all(|&i: &usize| 129 > 1000i32.abs_diff(counts[i]))
        );
    }
}
