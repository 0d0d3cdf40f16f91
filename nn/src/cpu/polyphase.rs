//! Adaptive polyphase sampling (NHWC).

use rayon::prelude::*;

use super::pool::Image;
use super::zeros::zeros;
use crate::polyphase_norm::PolyphaseNorm;
use sndpipe_linalg::multiversion;

/// The positions that a grid keeps of an axis: the even or the odd ones, of which the last may be a reflection.
fn positions(length: usize, odd: bool) -> Vec<usize> {
    let inside = |at: usize| if at == length { length - 2 } else { at };
    (0..length.div_ceil(2)).map(|i| inside(2 * i + usize::from(odd))).collect()
}

/// Rows and columns that grid `grid` keeps.
fn grid(image: Image, grid: usize) -> (Vec<usize>, Vec<usize>) {
    (positions(image.height, grid % 2 == 1), positions(image.width, grid / 2 == 1))
}

multiversion! {
    /// Adds what a row gives to the norm of each channel.
    fn norm_row(x: &[f32], cols: &[usize], norm: PolyphaseNorm, sums: &mut [f32]) {
        let channels = sums.len();
        let pixels = cols.iter().map(|c| &x[c * channels..(c + 1) * channels]);
        match norm {
            PolyphaseNorm::L1Induced | PolyphaseNorm::L1Flat => for x in pixels {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum += x.abs();
                }
            },
            PolyphaseNorm::L2 => for x in pixels {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum += x * x;
                }
            },
            PolyphaseNorm::LInf => for x in pixels {
                for (sum, x) in sums.iter_mut().zip(x) {
                    let x = x.abs();
                    *sum = if x > *sum || x.is_nan() { x } else { *sum };
                }
            },
        }
    }
}

/// The larger number, or NaN, which must not be hidden.
fn larger(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// The norm of the numbers of one sample on a grid, or what grows with it.
fn norm_of(x: &[f32], image: Image, (rows, cols): &(Vec<usize>, Vec<usize>), norm: PolyphaseNorm) -> f64 {
    let (line, mut part) = (image.width * image.channels, vec![0.0; image.channels]);
    let mut sums = vec![0f64; image.channels];
    for r in rows {
        part.fill(0.0);
        norm_row(&x[r * line..(r + 1) * line], cols, norm, &mut part);
        for (sum, part) in sums.iter_mut().zip(part.iter().map(|&part| f64::from(part))) {
            *sum = if norm == PolyphaseNorm::LInf { larger(*sum, part) } else { *sum + part };
        }
    }
    match norm {
        PolyphaseNorm::L1Induced | PolyphaseNorm::LInf => sums.into_iter().fold(0.0, larger),
        PolyphaseNorm::L1Flat | PolyphaseNorm::L2 => sums.into_iter().sum(),
    }
}

/// The kept numbers, and the grid of each sample.
pub(crate) fn forward(x: &[f32], image: Image, norm: PolyphaseNorm) -> (Vec<f32>, Vec<usize>) {
    let Image { height, width, channels } = image;
    let (length, line) = (height * width * channels, width * channels);
    let outputs = height.div_ceil(2) * width.div_ceil(2) * channels;
    let grids = [0, 1, 2, 3].map(|i| grid(image, i));
    let samples = x.len() / length;
    let (mut y, mut chosen) = (vec![0.0; samples * outputs], vec![0; samples]);
    y.par_chunks_mut(outputs).zip(&mut chosen).zip(x.par_chunks(length)).for_each(|((y, chosen), x)| {
        let mut most = f64::NEG_INFINITY;
        for (i, grid) in grids.iter().enumerate() {
            let norm = norm_of(x, image, grid, norm);
            if norm > most || norm.is_nan() {
                (most, *chosen) = (norm, i);
            }
        }
        let (rows, cols) = &grids[*chosen];
        for (r, y) in rows.iter().zip(y.chunks_exact_mut(cols.len() * channels)) {
            let row = &x[r * line..(r + 1) * line];
            for (c, y) in cols.iter().zip(y.chunks_exact_mut(channels)) {
                y.copy_from_slice(&row[c * channels..(c + 1) * channels]);
            }
        }
    });
    (y, chosen)
}

/// The gradient of the input of [`forward`].
pub(crate) fn backward(dy: &[f32], chosen: &[usize], image: Image) -> Vec<f32> {
    let Image { height, width, channels } = image;
    let (length, line) = (height * width * channels, width * channels);
    let outputs = height.div_ceil(2) * width.div_ceil(2) * channels;
    let mut dx = zeros(chosen.len() * length);
    dx.par_chunks_mut(length).zip(chosen).zip(dy.par_chunks(outputs)).for_each(|((dx, &chosen), dy)| {
        let (rows, cols) = grid(image, chosen);
        for (r, dy) in rows.iter().zip(dy.chunks_exact(cols.len() * channels)) {
            let row = &mut dx[r * line..(r + 1) * line];
            for (c, dy) in cols.iter().zip(dy.chunks_exact(channels)) {
                // A reflected position is kept twice.
                for (dx, &dy) in row[c * channels..(c + 1) * channels].iter_mut().zip(dy) {
                    *dx += dy;
                }
            }
        }
    });
    dx
}
