//! A random part of a patch, stretched to its size.

use sndpipe_artefacts::PatchShape;
use sndpipe_random::Rng;

use crate::spectrogram::resize_time;

/// Tries to find a part that fits.
const TRIES: usize = 10;

/// A part of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub first_frame: usize,
    pub frames: usize,
    pub first_band: usize,
    pub bands: usize,
}

/// Draws a part with an area (as a share) and an aspect (bands over frames, evenly by its logarithm) from ranges; after ten that do
/// not fit the middle with the nearest aspect.
pub(super) fn draw(input: PatchShape, area: (f64, f64), aspect: (f64, f64), rng: &mut Rng) -> Part {
    let all = (input.frames * input.bands) as f64;
    for _ in 0..TRIES {
        let target = all * rng.range(area.0, area.1);
        let ratio = rng.range(aspect.0.ln(), aspect.1.ln()).exp();
        let bands = (target * ratio).sqrt().round() as usize;
        let frames = (target / ratio).sqrt().round() as usize;
        if (1..=input.frames).contains(&frames) && (1..=input.bands).contains(&bands) {
            let first_frame = rng.index(input.frames - frames + 1);
            let first_band = rng.index(input.bands - bands + 1);
            return Part { first_frame, frames, first_band, bands };
        }
    }
    let (mut frames, mut bands) = (input.frames, input.bands);
    let own = bands as f64 / frames as f64;
    if own < aspect.0 {
        frames = ((bands as f64 / aspect.0).round() as usize).clamp(1, frames);
    } else if own > aspect.1 {
        bands = ((frames as f64 * aspect.1).round() as usize).clamp(1, bands);
    }
    let (first_frame, first_band) = ((input.frames - frames) / 2, (input.bands - bands) / 2);
    Part { first_frame, frames, first_band, bands }
}

/// Whether some part of a patch has an area and an aspect in ranges, as [`draw`] takes them.
pub(super) fn fits(input: PatchShape, area: (f64, f64), aspect: (f64, f64)) -> bool {
    // The smallest part is the one that most aspects are possible for: from as wide as the patch to as tall.
    let own = input.bands as f64 / input.frames as f64;
    area.0 * own <= aspect.1 && own / area.0 >= aspect.0
}

/// Stretches a part over the whole patch, bilinearly.
pub(super) fn stretch(patch: &mut [f32], input: PatchShape, part: Part) {
    for plane in patch.chunks_exact_mut(input.frames * input.bands) {
        let frames = plane.chunks_exact(input.bands).skip(part.first_frame).take(part.frames);
        let cut: Vec<f32> =
            frames.flat_map(|frame| &frame[part.first_band..part.first_band + part.bands]).copied().collect();
        let tall = resize_time(&cut, part.bands, input.frames);
        let wide = resize_time(&transposed(&tall, part.bands), input.frames, input.bands);
        plane.copy_from_slice(&transposed(&wide, input.frames));
    }
}

/// Rows of `width` numbers as columns.
fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width).copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sndpipe_random::Rng;

    use super::*;

    proptest! {
        #[test]
        fn parts_lie_inside(
            frames in 1usize..120, bands in 1usize..120, least in 0.05f64..1.0, more in 0.0f64..1.0, seed in any::<u64>(),
        ) {
            let input = PatchShape { channels: 1, frames, bands };
            let area = (least, least + more * (1.0 - least));
            let part = draw(input, area, (0.75, 4.0 / 3.0), &mut Rng::new(seed, "crop"));
            prop_assert!(part.frames >= 1 && part.first_frame + part.frames <= frames);
            prop_assert!(part.bands >= 1 && part.first_band + part.bands <= bands);
        }

        #[test]
        fn a_square_patch_gives_parts_of_the_wanted_area_and_aspect(low in 0.1f64..0.4, seed in any::<u64>()) {
            // A share up to 0.5 fits with any aspect in the range.
            let input = PatchShape { channels: 1, frames: 1000, bands: 1000 };
            let part = draw(input, (low, 0.5), (1.5, 2.0), &mut Rng::new(seed, "crop"));
            let share = (part.frames * part.bands) as f64 / 1e6;
            let aspect = part.bands as f64 / part.frames as f64;
            prop_assert!(share > low - 0.002 && share < 0.502, "{share}");
            prop_assert!(aspect > 1.48 && aspect < 2.02, "{aspect}");
        }
    }

    #[test]
    fn all_of_a_patch_is_itself() {
        let input = PatchShape { channels: 2, frames: 3, bands: 4 };
        let patch: Vec<f32> = (0..24).map(|i| (i * i) as f32).collect();
        let mut same = patch.clone();
        stretch(&mut same, input, Part { first_frame: 0, frames: 3, first_band: 0, bands: 4 });
        assert_eq!(same, patch);
    }

    #[test]
    fn a_part_is_stretched_along_both_axes() {
        let input = PatchShape { channels: 1, frames: 4, bands: 4 };
        // Only the middle two by two is seen: 1 2 / 3 4. Halfway steps lie at 0, 1/4, 3/4, 1.
        let mut patch = [9.0; 16];
        (patch[5], patch[6], patch[9], patch[10]) = (1.0, 2.0, 3.0, 4.0);
        stretch(&mut patch, input, Part { first_frame: 1, frames: 2, first_band: 1, bands: 2 });
        let along = [0.0, 0.25, 0.75, 1.0];
        let expected: Vec<f32> = along.iter().flat_map(|f| along.map(|b| 1.0 + b + 2.0 * f)).collect();
        assert!(patch.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{patch:?}");
    }

    #[test]
    fn what_never_fits_is_known() {
        let fits = |frames, bands| {
            let input = PatchShape { channels: 1, frames, bands };
            let fits = fits(input, (0.8, 1.0), (0.75, 4.0 / 3.0));
            let parts =
                (0..200).map(|seed| draw(input, (0.8, 1.0), (0.75, 4.0 / 3.0), &mut Rng::new(seed, "crop")));
            let parts: std::collections::BTreeSet<_> = parts.map(|part| (part.frames, part.bands)).collect();
            assert_eq!(fits, parts.len() > 1, "{frames} x {bands}: {parts:?}");
            fits
        };
        assert_eq!(
            [(101, 96), (64, 48), (64, 32), (24, 150)].map(|(frames, bands)| fits(frames, bands)),
            [true, true, false, false]
        );
    }

    #[test]
    fn what_never_fits_is_the_middle() {
        // Bands over frames is 10 here, and at most 2 wanted, of all of the area.
        let input = PatchShape { channels: 1, frames: 4, bands: 40 };
        let part = draw(input, (1.0, 1.0), (1.0, 2.0), &mut Rng::new(1, "crop"));
        assert_eq!(part, Part { first_frame: 0, frames: 4, first_band: 16, bands: 8 });
    }
}
