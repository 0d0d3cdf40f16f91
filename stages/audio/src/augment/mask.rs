//! Stretches of bands and frames that are hidden.

use sndpipe_artefacts::PatchShape;
use sndpipe_random::Rng;

use super::shift::smallest;

/// Hides `masks.0` stretches of fewer than `widths.0` bands, then `masks.1` of fewer than `widths.1` frames, behind the smallest
/// value of the patch.
pub(super) fn hide(
    patch: &mut [f32],
    input: PatchShape,
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
    use sndpipe_random::Rng;

    use super::*;

    proptest! {
        /// What is hidden is whole bands and frames, no more of them than can be, and all channels hide the same.
        #[test]
        fn whole_stretches_are_hidden(
            frames in 1usize..30, bands in 1usize..30, widths in (1usize..40, 1usize..40), masks in (0usize..3, 0usize..3), seed in any::<u64>(),
        ) {
            let (input, plane) = (PatchShape { channels: 2, frames, bands }, frames * bands);
            let mut patch: Vec<f32> = (0..input.len()).map(|i| 1.0 + i as f32).collect();
            // The smallest value, and the only one that is not seen.
            *patch.last_mut().unwrap() = 0.5;
            let before = patch.clone();
            hide(&mut patch, input, widths, masks, &mut Rng::new(seed, "masks"));
            let hidden: Vec<bool> = patch[..plane].iter().map(|&value| value == 0.5).collect();
            for at in 0..plane {
                prop_assert!(hidden[at] || patch[at] == before[at]);
                if at + 1 < plane {
                    prop_assert_eq!(hidden[at], patch[plane + at] == 0.5);
                }
            }
            let whole_bands: Vec<usize> =
                (0..bands).filter(|band| (0..frames).all(|frame| hidden[frame * bands + band])).collect();
            let whole_frames: Vec<usize> =
                (0..frames).filter(|frame| (0..bands).all(|band| hidden[frame * bands + band])).collect();
            for at in (0..plane).filter(|&at| hidden[at]) {
                prop_assert!(whole_bands.contains(&(at % bands)) || whole_frames.contains(&(at / bands)));
            }
            if whole_bands.len() < bands && whole_frames.len() < frames {
                prop_assert!(whole_bands.len() <= masks.0 * (widths.0 - 1));
                prop_assert!(whole_frames.len() <= masks.1 * (widths.1 - 1));
            }
        }
    }

    #[test]
    fn every_width_and_place_occurs() {
        let input = PatchShape { channels: 1, frames: 1, bands: 6 };
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
