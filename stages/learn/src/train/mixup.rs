//! Mixup: samples and labels of pairs, mixed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::ParamError;
use sndpipe_random::Stream;

use super::batches::Batch;

/// Trains on mixtures `s a + (1 - s) b` of two patches and of their labels, as they are after standardisation.
///
/// The share `s` of each is drawn from the beta distribution with both shapes `alpha`. What is validated is not mixed.
///
/// # Source
/// Zhang, Cissé, Dauphin, Lopez-Paz, *mixup: Beyond Empirical Risk Minimization*, ICLR 2018.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixupParams {
    /// Both shapes of the beta distribution, above 0 and at most 100; 0.1 leaves most patches nearly as they are.
    pub alpha: f64,
    /// Where the other patch of a pair comes from.
    #[serde(default)]
    pub pairing: Pairing,
    /// Epochs without mixing at the beginning, `0..epochs`. What they reach counts neither for `select` nor for
    /// `early_stopping` nor for a plateau.
    #[serde(default)]
    pub warm_up: u32,
}

/// Where the other patch of a pair comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// From the same batch, in a random order.
    #[default]
    Intra,
    /// From the same place of the next batch; the last is paired with the first. An epoch needs two batches.
    Inter,
}

impl MixupParams {
    /// Every parameter out of its range.
    pub(super) fn mistakes(&self, epochs: u32) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if !(self.alpha > 0.0 && self.alpha <= 100.0) {
            let message = format!("{} is outside 0 (exclusive) ..=100", self.alpha);
            mistakes.push(ParamError::new("mixup.alpha", message));
        }
        if self.warm_up >= epochs {
            let message = format!("{} is outside 0..{epochs} (epochs)", self.warm_up);
            mistakes.push(ParamError::new("mixup.warm_up", message));
        }
        mistakes
    }

    /// The share of each of the given samples in its mixture: a function of the seed, the epoch and the sample alone.
    pub(super) fn shares(&self, seed: u64, epoch: u32, samples: &[usize]) -> Vec<f64> {
        let stream = Stream::new(seed, "mixup");
        samples.iter().map(|&sample| stream.at(epoch, sample as u64).beta(self.alpha, self.alpha)).collect()
    }
}

/// Which sample of its own batch each sample is mixed with.
pub(super) fn partners(seed: u64, epoch: u32, step: usize, samples: usize) -> Vec<usize> {
    Stream::new(seed, "mixup partners").at(epoch, step as u64).permutation(samples)
}

impl Batch {
    /// Mixes sample `i` with sample `partners[i]` of another batch; `shares[i]` is what is left of it.
    ///
    /// A mask is mixed so that the loss of the mixed labels is the mixture of both samples' losses. A mixture is clean if both
    /// of its samples are.
    pub(super) fn mix(&mut self, other: &Self, partners: &[usize], shares: &[f64]) {
        let (input, classes) = (self.inputs.len() / shares.len(), self.targets.len() / shares.len());
        let each = partners.iter().zip(shares).enumerate();
        for (i, (&partner, &share)) in each {
            let (own, rest) = (share as f32, (1.0 - share) as f32);
            let theirs = &other.inputs[partner * input..(partner + 1) * input];
            for (value, other) in self.inputs[i * input..(i + 1) * input].iter_mut().zip(theirs) {
                *value = own * *value + rest * other;
            }
            for class in 0..classes {
                let (at, from) = (i * classes + class, partner * classes + class);
                let (a, b) = (f64::from(self.targets[at]), f64::from(other.targets[from]));
                let target = share * a + (1.0 - share) * b;
                if let (Some(mask), Some(their)) = (self.mask.get_mut(at), other.mask.get(from)) {
                    // What is left of both negative terms, as a share of the mixed one.
                    let left =
                        share * (1.0 - a) * f64::from(*mask) + (1.0 - share) * (1.0 - b) * f64::from(*their);
                    *mask = if target < 1.0 { (left / (1.0 - target)).min(1.0) as f32 } else { 1.0 };
                }
                self.targets[at] = target as f32;
            }
            if let (Some(clean), Some(their)) = (self.clean.get_mut(i), other.clean.get(partner)) {
                *clean *= their;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(inputs: &[f32], targets: &[f32], mask: &[f32], clean: &[f32]) -> Batch {
        let [inputs, targets, mask, clean] = [inputs, targets, mask, clean].map(<[f32]>::to_vec);
        Batch { inputs, targets, mask, clean }
    }

    #[test]
    fn mixtures_have_the_values_worked_out_by_hand() {
        let mut mixed = batch(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 0.0, 1.0], &[], &[1.0, 1.0]);
        let other = batch(&[5.0, 6.0, 7.0, 8.0], &[0.0, 1.0, 0.0, 1.0], &[], &[0.0, 1.0]);
        mixed.mix(&other, &[1, 0], &[0.75, 0.5]);
        assert_eq!(mixed.inputs, [2.5, 3.5, 4.0, 5.0]);
        assert_eq!(mixed.targets, [0.75, 0.25, 0.0, 1.0]);
        // The second is a mixture with one that is not clean.
        assert_eq!(mixed.clean, [1.0, 0.0]);
        assert!(mixed.mask.is_empty());
    }

    /// `t ln p + m (1 - t) ln(1 - p)` of the mixture is the mixture of that of both samples, whatever p is.
    #[test]
    fn the_loss_of_a_masked_mixture_is_the_mixture_of_losses() {
        let (targets, masks) = ([1.0f32, 0.0, 0.0, 0.0], [1.0f32, 1.0, 0.0, 0.0]);
        let (theirs, their_masks) = ([0.0f32, 0.0, 0.0, 1.0], [0.0f32, 0.0, 1.0, 1.0]);
        let mut mixed = batch(&[0.0], &targets, &masks, &[]);
        let share = 0.3;
        mixed.mix(&batch(&[0.0], &theirs, &their_masks, &[]), &[0], &[share]);
        for p in [0.1f64, 0.6] {
            let loss = |t: f32, m: f32| {
                let (t, m) = (f64::from(t), f64::from(m));
                t * p.ln() + m * (1.0 - t) * (1.0 - p).ln()
            };
            for class in 0..4 {
                let expected = share * loss(targets[class], masks[class])
                    + (1.0 - share) * loss(theirs[class], their_masks[class]);
                let found = loss(mixed.targets[class], mixed.mask[class]);
                assert!((found - expected).abs() < 1e-6, "class {class}: {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn shares_depend_on_the_sample_and_the_epoch_alone() {
        let mixup = MixupParams { alpha: 0.4, pairing: Pairing::Intra, warm_up: 0 };
        let all = mixup.shares(1, 2, &[0, 1, 2, 3]);
        assert_eq!(mixup.shares(1, 2, &[3, 1]), [all[3], all[1]]);
        assert_ne!(mixup.shares(1, 3, &[3, 1]), [all[3], all[1]]);
        assert_ne!(mixup.shares(2, 2, &[3, 1]), [all[3], all[1]]);
    }
}
