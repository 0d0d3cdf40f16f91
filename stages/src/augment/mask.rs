//! Stretches of bands and frames that are hidden.

use sndpipe_nn::{InputShape, Rng};

use super::shift::smallest;

/// Hides `masks.0` stretches of fewer than `widths.0` bands, then `masks.1` of fewer than `widths.1` frames, behind the smallest
/// value of the patch.
pub(super) fn hide(
    patch: &mut [f32],
    input: InputShape,
    widths: (usize, usize),
    masks: (usize, usize),
    rng: &mut Rng,
) {
    let least = smallest(patch);
    let mut stretch = |most: usize, length: usize| {
        let width = rng.index(most).min(length);
        let first = rng.index(length - width + 1);
        first..first + width
    };
    for _ in 0..masks.0 {
        let bands = stretch(widths.0, input.bands);
        patch.chunks_exact_mut(input.bands).for_each(|frame| frame[bands.clone()].fill(least));
    }
    for _ in 0..masks.1 {
        let frames = stretch(widths.1, input.frames);
        for plane in patch.chunks_exact_mut(input.frames * input.bands) {
            plane[frames.start * input.bands..frames.end * input.bands].fill(least);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sndpipe_nn::Rng;

    use super::*;

    proptest! {
        /// What is hidden is whole bands and frames, no more of them than can be, and all channels hide the same.
        #[test]
        fn whole_stretches_are_hidden(
            frames in 1usize..30, bands in 1usize..30, widths in (1usize..40, 1usize..40), masks in (0usize..3, 0usize..3), seed in any::<u64>(),
        ) {
            let input = InputShape { channels: 2, frames, bands };
            let mut patch: Vec<f32> = (0..input.len()).map(|i| 1.0 + i as f32).collect();
            let before = patch.clone();
            hide(&mut patch, input, widths, masks, &mut Rng::new(seed, "masks"));
            let (first, second) = patch.split_at(frames * bands);
            let hidden = |plane: &[f32], at: usize, old: f32| at > 0 && plane[at] == 1.0 && old != 1.0;
            for at in 0..frames * bands {
                let shown = patch[at] == before[at];
                prop_assert!(shown || patch[at] == 1.0);
                prop_assert_eq!(hidden(first, at, before[at]), at > 0 && hidden(second, at, before[frames * bands + at]));
            }
            let band = |band: usize| (0..frames).all(|frame| first[frame * bands + band] == 1.0);
            let frame = |frame: usize| (0..bands).all(|band| first[frame * bands + band] == 1.0);
            let (whole_bands, whole_frames) = ((0..bands).filter(|&b| band(b)).count(), (0..frames).filter(|&f| frame(f)).count());
            for at in 1..frames * bands {
                prop_assert!(first[at] != 1.0 || band(at % bands) || frame(at / bands));
            }
            if whole_bands < bands && whole_frames < frames {
                prop_assert!(whole_bands <= masks.0 * (widths.0 - 1) && whole_frames <= masks.1 * (widths.1 - 1));
            }
        }
    }

    #[test]
    fn every_width_and_place_occurs() {
        let input = InputShape { channels: 1, frames: 1, bands: 6 };
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let mut patch = [9.0, 9.0, 9.0, 9.0, 9.0, 1.0];
            patch[5] = 8.0;
            patch[0] = 0.0;
            hide(&mut patch, input, (3, 1), (1, 0), &mut Rng::new(seed, "masks"));
            seen.insert((1..6).filter(|&band| patch[band] == 0.0).collect::<Vec<_>>());
        }
        // Widths 0, 1 and 2; the first band is hidden already.
        let expected: std::collections::BTreeSet<Vec<usize>> = [
            vec![],
            vec![1],
            vec![2],
            vec![3],
            vec![4],
            vec![5],
            vec![1, 2],
            vec![2, 3],
            vec![3, 4],
            vec![4, 5],
        ]
        .into();
        assert_eq!(seen, expected);
    }
}
