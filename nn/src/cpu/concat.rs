//! Joining channels and cutting them apart (channels innermost).

use rayon::prelude::*;

use super::zeros::zeros;

/// Pixels that a thread works on at a time.
const PIXELS: usize = 512;

/// The channels of the parts, given with their numbers of channels, behind each other; `length` numbers in all.
pub(crate) fn concat(parts: &[(&[f32], usize)], length: usize) -> Vec<f32> {
    let channels: usize = parts.iter().map(|(_, k)| k).sum();
    let mut y = zeros(length);
    y.par_chunks_mut(PIXELS * channels).enumerate().for_each(|(piece, y)| {
        let mut start = 0;
        for &(x, k) in parts.iter().filter(|(_, k)| *k > 0) {
            let pixels = x[piece * PIXELS * k..].chunks_exact(k);
            for (y, x) in y.chunks_exact_mut(channels).zip(pixels) {
                y[start..start + k].copy_from_slice(x);
            }
            start += k;
        }
    });
    y
}

/// The channels `start..start + length` of pixels with `channels`.
pub(crate) fn slice(x: &[f32], channels: usize, start: usize, length: usize) -> Vec<f32> {
    let mut y = zeros(x.len() / channels * length);
    if length == 0 {
        return y;
    }
    let pieces = y.par_chunks_mut(PIXELS * length).zip(x.par_chunks(PIXELS * channels));
    pieces.for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(length).zip(x.chunks_exact(channels)) {
            y.copy_from_slice(&x[start..start + length]);
        }
    });
    y
}
