//! Frames and bands moved.

use sndpipe_artefacts::PatchShape;

/// Moves every frame later by a number of frames, round the end.
pub(super) fn time(patch: &mut [f32], input: PatchShape, by: usize) {
    for plane in patch.chunks_exact_mut(input.frames * input.bands) {
        plane.rotate_right(by % input.frames * input.bands);
    }
}

/// Moves every band upwards by a number of bands, round the top.
pub(super) fn bands_round(patch: &mut [f32], input: PatchShape, by: usize) {
    patch.chunks_exact_mut(input.bands).for_each(|frame| frame.rotate_right(by % input.bands));
}

/// Moves every band upwards, or downwards where `by` is negative; what is left free becomes the smallest value of the patch.
pub(super) fn bands_cut(patch: &mut [f32], input: PatchShape, by: isize) {
    let (least, distance) = (smallest(patch), by.unsigned_abs().min(input.bands));
    for frame in patch.chunks_exact_mut(input.bands) {
        if by > 0 {
            frame.copy_within(..input.bands - distance, distance);
            frame[..distance].fill(least);
        } else {
            frame.copy_within(distance.., 0);
            frame[input.bands - distance..].fill(least);
        }
    }
}

/// Turns time round.
pub(super) fn reverse(patch: &mut [f32], input: PatchShape) {
    for plane in patch.chunks_exact_mut(input.frames * input.bands) {
        // Frames come round by turning all numbers round, and each frame once more.
        plane.reverse();
        plane.chunks_exact_mut(input.bands).for_each(<[f32]>::reverse);
    }
}

/// The smallest value of a patch.
pub(super) fn smallest(patch: &[f32]) -> f32 {
    patch.iter().copied().fold(f32::INFINITY, f32::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: PatchShape = PatchShape { channels: 2, frames: 3, bands: 2 };

    /// Two channels, three frames, two bands; each number says where it is: channel, frame, band.
    fn patch() -> Vec<f32> {
        vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 100.0, 101.0, 110.0, 111.0, 120.0, 121.0]
    }

    #[track_caller]
    fn check(change: impl Fn(&mut [f32]), expected: [f32; 12]) {
        let mut patch = patch();
        change(&mut patch);
        assert_eq!(patch, expected);
    }

    #[test]
    fn what_is_moved_comes_where_it_belongs() {
        check(
            |p| time(p, INPUT, 1),
            [20.0, 21.0, 0.0, 1.0, 10.0, 11.0, 120.0, 121.0, 100.0, 101.0, 110.0, 111.0],
        );
        check(
            |p| bands_round(p, INPUT, 1),
            [1.0, 0.0, 11.0, 10.0, 21.0, 20.0, 101.0, 100.0, 111.0, 110.0, 121.0, 120.0],
        );
        check(
            |p| bands_cut(p, INPUT, 1),
            [0.0, 0.0, 0.0, 10.0, 0.0, 20.0, 0.0, 100.0, 0.0, 110.0, 0.0, 120.0],
        );
        check(
            |p| bands_cut(p, INPUT, -1),
            [1.0, 0.0, 11.0, 0.0, 21.0, 0.0, 101.0, 0.0, 111.0, 0.0, 121.0, 0.0],
        );
        check(|p| bands_cut(p, INPUT, -9), [0.0; 12]);
        check(
            |p| reverse(p, INPUT),
            [20.0, 21.0, 10.0, 11.0, 0.0, 1.0, 120.0, 121.0, 110.0, 111.0, 100.0, 101.0],
        );
    }

    #[test]
    fn nothing_moves_by_nothing_or_all_the_way_round() {
        for by in [0, 6] {
            check(|p| time(p, INPUT, by), patch().try_into().unwrap());
            check(|p| bands_round(p, INPUT, by), patch().try_into().unwrap());
        }
        check(|p| bands_cut(p, INPUT, 0), patch().try_into().unwrap());
        check(
            |p| {
                reverse(p, INPUT);
                reverse(p, INPUT);
            },
            patch().try_into().unwrap(),
        );
    }
}
