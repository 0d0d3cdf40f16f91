//! A list of steps, ready to be taken.

use sndpipe_artefacts::PatchShape;
use sndpipe_cache::Meta;
use sndpipe_engine::{StageError, agree, counted};
use sndpipe_random::{Rng, Stream};

use super::clips::Clips;
use super::mix::{self, Scale};
use super::params::{Edge, StepParams};
use super::{blur, crop, level, mask, shift};

/// Which patch is changed: everything that the random numbers of a step depend on beside the seed.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Epoch, from 1.
    pub epoch: u32,
    /// What the patch is a view of.
    pub item: usize,
    /// Which view: 0 or 1.
    pub view: usize,
    /// The clip that it was cut from.
    pub clip: usize,
}

/// A list of steps with where their random numbers come from.
pub struct Views<'a> {
    steps: &'a [StepParams],
    seed: u64,
    label: String,
    scale: Scale,
}

impl<'a> Views<'a> {
    /// Steps for features with some metadata; lists with other labels draw other numbers.
    pub fn new(steps: &'a [StepParams], features: &Meta, seed: u64, label: impl Into<String>) -> Self {
        Self { steps, seed, label: label.into(), scale: Scale::of(features) }
    }

    /// The steps.
    pub const fn steps(&self) -> &'a [StepParams] {
        self.steps
    }

    /// Random numbers of a step, for one view or for all views of the item.
    fn rng(&self, step: usize, at: At, view: Option<usize>) -> Rng {
        let view = view.map_or_else(|| "all views".to_owned(), |view| format!("view {view}"));
        let label = format!("{} step {step} {view}", self.label);
        Stream::new(self.seed, &label).at(at.epoch, at.item as u64)
    }

    /// A share up to `most` that all views of the item have, and where further numbers that they share come from.
    fn share(&self, step: usize, at: At, most: f64) -> (f64, Rng) {
        let mut shared = self.rng(step, at, None);
        (shared.range(0.0, most), shared)
    }

    /// Takes all steps.
    ///
    /// # Errors
    /// [`StageError`] if a background clip cannot be read.
    pub fn apply(&self, patch: &mut [f32], at: At, clips: &Clips<'_>) -> Result<(), StageError> {
        (0..self.steps.len()).try_for_each(|step| self.apply_step(step, patch, at, clips))
    }

    /// Takes one step, counted from 0.
    ///
    /// # Errors
    /// [`StageError`] if a background clip cannot be read.
    pub fn apply_step(
        &self,
        step: usize,
        patch: &mut [f32],
        at: At,
        clips: &Clips<'_>,
    ) -> Result<(), StageError> {
        let (input, scale) = (clips.input, self.scale);
        let mut rng = self.rng(step, at, Some(at.view));
        match self.steps[step] {
            StepParams::MixBack { alpha, adjust, within_clip } => {
                let (share, mut shared) = self.share(step, at, alpha);
                let from = if !within_clip {
                    Some(background_clip(clips.len(), at, &mut shared))
                } else {
                    (clips.frames(at.clip)? >= 4 * input.frames).then_some(at.clip)
                };
                match from {
                    Some(clip) => {
                        let background = mix::background(clips, clip, &mut rng)?;
                        mix::mix(patch, &background, (1.0 - share, share), adjust, scale);
                    }
                    None => mix::mix_silence(patch, 1.0 - share, scale),
                }
            }
            StepParams::Mix { share } => {
                let clip = mix::other_clip(clips.len(), &[at.clip], &mut rng);
                let other = mix::background(clips, clip, &mut rng)?;
                mix::mix(patch, &other, (1.0, share), true, scale);
            }
            StepParams::Crop { area, aspect } => {
                let part = crop::draw(input, area, aspect, &mut rng);
                crop::stretch(patch, input, part);
            }
            StepParams::TimeShift { frames } => {
                shift::time(patch, input, up_to(frames, input.frames, &mut rng));
            }
            StepParams::FrequencyShift { bands, edge: Edge::Wrap } => {
                shift::bands_round(patch, input, up_to(bands, input.bands, &mut rng));
            }
            StepParams::FrequencyShift { bands, edge: Edge::Cut } => {
                let most = bands.min(input.bands) as isize;
                shift::bands_cut(patch, input, rng.index(2 * most as usize + 1) as isize - most);
            }
            StepParams::TimeReversal { probability } => {
                if rng.chance(probability) {
                    shift::reverse(patch, input);
                }
            }
            StepParams::Compression { low } => level::compress(patch, low, &mut rng),
            StepParams::SpecAugment { bands, frames, band_masks, frame_masks } => {
                mask::hide(patch, input, (bands, frames), (band_masks, frame_masks), &mut rng);
            }
            StepParams::Noise { deviation, form } => {
                level::noise(patch, deviation, form, scale, &mut rng);
            }
            StepParams::Blur { size, sigma } => {
                blur::blur(patch, input, blur::draw(size, &mut rng), sigma);
            }
        }
        Ok(())
    }
}

/// The background clip of a view: another than the clip itself, and than that of the other view.
fn background_clip(clips: usize, at: At, shared: &mut Rng) -> usize {
    let first = mix::other_clip(clips, &[at.clip], shared);
    if at.view == 0 {
        return first;
    }
    mix::other_clip(clips, &[at.clip.min(first), at.clip.max(first)], shared)
}

/// A whole number from `1..most`, or from `1..length` where that is less; 0 where there is none.
fn up_to(most: usize, length: usize, rng: &mut Rng) -> usize {
    let most = most.min(length);
    if most < 2 { 0 } else { 1 + rng.index(most - 1) }
}

/// Fails where steps need more training clips than there are, or change patches of this shape without anything random.
///
/// # Errors
/// [`StageError::Failed`] naming the step.
pub fn check_steps<'s>(
    steps: impl Iterator<Item = &'s StepParams> + Clone,
    clips: usize,
    input: PatchShape,
) -> Result<(), StageError> {
    for step in steps.clone() {
        if let StepParams::Crop { area, aspect } = *step
            && !crop::fits(input, area, aspect)
        {
            let (frames, bands) = (input.frames, input.bands);
            let message = format!(
                "`crop` finds no part with its `area` and `aspect` in {frames} frames of {bands} bands"
            );
            let own = bands as f64 / frames as f64;
            let help = format!(
                "name an `aspect` (bands over frames) about {own:.3}, such as [{:.3}, {:.3}]",
                own * 0.75,
                own / 0.75
            );
            return Err(StageError::failed(message).help(help));
        }
    }
    let mut steps = steps;
    let Some(step) = steps.find(|step| step.clips() > clips) else { return Ok(()) };
    let (needed, are) = (counted(step.clips(), "training clip"), agree(clips, "is", "are"));
    let message = format!("`{}` needs {needed}, and there {are} {clips}", step.name());
    Err(StageError::failed(message).help("leave the step out, or give more clips"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn shifts_stay_in_their_range() {
        let drawn = |most, length| -> std::collections::BTreeSet<usize> {
            (0..300).map(|seed| up_to(most, length, &mut Rng::new(seed, "shift"))).collect()
        };
        assert_eq!(drawn(5, 9), (1..5).collect());
        assert_eq!(drawn(9, 4), (1..4).collect());
        assert_eq!(drawn(9, 1), [0].into());
    }

    #[test]
    fn two_views_have_two_backgrounds() {
        let steps = [StepParams::MixBack { alpha: 0.2, adjust: true, within_clip: false }];
        let views = Views::new(&steps, &Meta::new(), 5, "both".to_owned());
        let (mut pairs, mut shares) = (BTreeSet::new(), BTreeSet::new());
        for item in 0..400 {
            let of = |view| {
                let at = At { epoch: 0, item, view, clip: 1 };
                let (share, mut shared) = views.share(0, at, 0.2);
                (share, background_clip(4, at, &mut shared))
            };
            let ((first, one), (second, other)) = (of(0), of(1));
            assert_eq!(first.to_bits(), second.to_bits(), "both views have one share");
            assert!((0.0..0.2).contains(&first), "{first}");
            shares.insert((first * 50.0) as usize);
            pairs.insert((one, other));
        }
        let expected = [(0, 2), (0, 3), (2, 0), (2, 3), (3, 0), (3, 2)];
        assert_eq!(pairs, expected.into());
        assert_eq!(shares, (0..10).collect(), "all of the range");
    }
}
