//! Blurring with a Gaussian.

use sndpipe_artefacts::PatchShape;
use sndpipe_random::Rng;

/// An odd size of a kernel, 3 at the least, each with the same probability.
pub(super) fn draw(most: usize, rng: &mut Rng) -> usize {
    3 + 2 * rng.index((most - 1) / 2)
}

/// Blurs every channel along both axes; beyond the edge lies what is at the edge.
pub(super) fn blur(patch: &mut [f32], input: PatchShape, size: usize, sigma: f64) {
    let half = size / 2;
    let weight = |tap: usize| (-0.5 * ((tap as f64 - half as f64) / sigma).powi(2)).exp();
    let total: f64 = (0..size).map(weight).sum();
    let kernel: Vec<f64> = (0..size).map(|tap| weight(tap) / total).collect();
    for plane in patch.chunks_exact_mut(input.frames * input.bands) {
        along(plane, input.frames, input.bands, 1, &kernel);
        along(plane, input.bands, 1, input.bands, &kernel);
    }
}

/// Blurs lines of `length` numbers that are `stride` apart. `next` is the distance of neighbouring lines' beginnings.
fn along(plane: &mut [f32], length: usize, stride: usize, next: usize, kernel: &[f64]) {
    let half = kernel.len() / 2;
    let mut line = vec![0.0; length];
    for first in (0..plane.len() / length).map(|line| line * next) {
        for (i, value) in line.iter_mut().enumerate() {
            *value = plane[first + i * stride];
        }
        for i in 0..length {
            let taps = kernel.iter().enumerate();
            let sum: f64 = taps
                .map(|(tap, weight)| weight * f64::from(line[(i + tap).saturating_sub(half).min(length - 1)]))
                .sum();
            plane[first + i * stride] = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_odd_and_all_of_them_occur() {
        for (most, expected) in [(3, vec![3]), (4, vec![3]), (9, vec![3, 5, 7, 9])] {
            let sizes: std::collections::BTreeSet<usize> =
                (0..200).map(|seed| draw(most, &mut Rng::new(seed, "blur"))).collect();
            assert_eq!(sizes.into_iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_point_becomes_the_kernel_and_a_plane_stays() {
        let input = PatchShape { channels: 2, frames: 5, bands: 7 };
        let mut patch = vec![0.0; input.len()];
        patch[2 * 7 + 3] = 1.0;
        patch[35..].fill(-4.0);
        blur(&mut patch, input, 3, 0.8);
        // exp(-1 / 1.28) = 0.457833 beside 1, over 1.915667.
        let (middle, side) = (0.522_012f32, 0.238_994f32);
        for frame in 0..5usize {
            for band in 0..7usize {
                let of = |distance| match distance {
                    0 => middle,
                    1 => side,
                    _ => 0.0,
                };
                let expected = of(frame.abs_diff(2)) * of(band.abs_diff(3));
                assert!((patch[frame * 7 + band] - expected).abs() < 1e-5, "{frame}, {band}");
            }
        }
        assert!(patch[35..].iter().all(|value| (value + 4.0).abs() < 1e-6));
    }
}
