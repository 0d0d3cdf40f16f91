//! Batch normalisation, fused with ReLU, and instance normalisation, over rows of channels (NHWC).

use rayon::prelude::*;

use super::zeros::{filled, zeros};
use sndpipe_linalg::multiversion;

/// Positions (pixels) that a thread works on at a time.
const ROWS: usize = 512;
/// Positions added in f32 before they are added in f64.
const INNER: usize = 32;

multiversion! {
    /// Per-channel sums of `x - shift` and of its square over some positions.
    fn moments_chunk(x: &[f32], shift: &[f32], sums: &mut [f64]) {
        let channels = shift.len();
        let mut part = vec![0f32; 2 * channels];
        let (sum, square) = sums.split_at_mut(channels);
        for block in x.chunks(INNER * channels) {
            part.fill(0.0);
            let (s, q) = part.split_at_mut(channels);
            for row in block.chunks_exact(channels) {
                for c in 0..channels {
                    let d = row[c] - shift[c];
                    s[c] += d;
                    q[c] += d * d;
                }
            }
            for c in 0..channels {
                sum[c] += f64::from(s[c]);
                square[c] += f64::from(q[c]);
            }
        }
    }
}

/// Adds per-chunk sums in the order of the chunks.
pub(crate) fn reduce(partials: Vec<Vec<f64>>, length: usize) -> Vec<f64> {
    let mut total = vec![0.0; length];
    for partial in partials {
        for (t, p) in total.iter_mut().zip(partial) {
            *t += p;
        }
    }
    total
}

/// Mean and biased variance of each channel; `shift` is any guess of the mean, for accuracy.
pub(crate) fn moments(x: &[f32], shift: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let channels = shift.len();
    let partials: Vec<Vec<f64>> = x
        .par_chunks(ROWS * channels)
        .map(|x| {
            let mut sums = vec![0.0; 2 * channels];
            moments_chunk(x, shift, &mut sums);
            sums
        })
        .collect();
    let total = reduce(partials, 2 * channels);
    let count = (x.len() / channels) as f64;
    (0..channels)
        .map(|c| {
            let d = total[c] / count;
            let variance = (total[channels + c] / count - d * d).max(0.0);
            (f64::from(shift[c]) + d, variance)
        })
        .unzip()
}

multiversion! {
    fn affine_chunk(x: &[f32], scale: &[f32], offset: &[f32], floor: f32, y: &mut [f32]) {
        let channels = scale.len();
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for c in 0..channels {
                let v = x[c] * scale[c] + offset[c];
                y[c] = if v < floor { floor } else { v };
            }
        }
    }
}

/// The floor that makes `affine` a ReLU, or nothing.
pub(crate) fn floor_of(relu: bool) -> f32 {
    if relu { 0.0 } else { f32::NEG_INFINITY }
}

/// `y = max(x * scale + offset, floor)` per channel.
pub(crate) fn affine(x: &[f32], scale: &[f32], offset: &[f32], relu: bool) -> Vec<f32> {
    let rows = ROWS * scale.len();
    filled(x.len(), rows, |i, y| {
        affine_chunk(&x[i * rows..][..y.len()], scale, offset, floor_of(relu), y);
    })
}

/// What the backward pass needs of the forward pass, per channel.
#[derive(Debug, Clone)]
pub(crate) struct Normaliser {
    pub(crate) mean: Vec<f32>,
    pub(crate) inverse_std: Vec<f32>,
    /// gamma / std.
    pub(crate) scale: Vec<f32>,
    /// beta - mean * scale.
    pub(crate) offset: Vec<f32>,
}

impl Normaliser {
    /// From the statistics and the trained parameters.
    pub(crate) fn new(
        mean: &[f64],
        variance: &[f64],
        gamma: &[f32],
        beta: &[f32],
        epsilon: f64,
    ) -> Normaliser {
        let inverse: Vec<f64> = variance.iter().map(|v| 1.0 / (v + epsilon).sqrt()).collect();
        let scale: Vec<f64> = inverse.iter().zip(gamma).map(|(i, &g)| i * f64::from(g)).collect();
        Normaliser {
            mean: mean.iter().map(|&m| m as f32).collect(),
            inverse_std: inverse.iter().map(|&i| i as f32).collect(),
            offset: (0..mean.len()).map(|c| (f64::from(beta[c]) - mean[c] * scale[c]) as f32).collect(),
            scale: scale.iter().map(|&s| s as f32).collect(),
        }
    }
}

multiversion! {
    /// Per-channel sums of the gradient behind the ReLU and of its product with the normalised input.
    fn gradient_sums_chunk(x: &[f32], g: &[f32], n: &Normaliser, floor: f32, sums: &mut [f64]) {
        let channels = n.mean.len();
        let (mean, inverse) = (&n.mean[..channels], &n.inverse_std[..channels]);
        let (scale, offset) = (&n.scale[..channels], &n.offset[..channels]);
        let mut part = vec![0f32; 2 * channels];
        let (sum, product) = sums.split_at_mut(channels);
        for (x, g) in x.chunks(INNER * channels).zip(g.chunks(INNER * channels)) {
            part.fill(0.0);
            let (s, p) = part.split_at_mut(channels);
            for (x, g) in x.chunks_exact(channels).zip(g.chunks_exact(channels)) {
                for c in 0..channels {
                    let open = x[c] * scale[c] + offset[c] > floor;
                    let g = if open { g[c] } else { 0.0 };
                    s[c] += g;
                    p[c] += g * ((x[c] - mean[c]) * inverse[c]);
                }
            }
            for c in 0..channels {
                sum[c] += f64::from(s[c]);
                product[c] += f64::from(p[c]);
            }
        }
    }
}

multiversion! {
    fn gradient_chunk(x: &[f32], n: &Normaliser, floor: f32, flat: &[f32], slope: &[f32], g: &mut [f32]) {
        let channels = n.mean.len();
        let (scale, offset) = (&n.scale[..channels], &n.offset[..channels]);
        let (mean, flat, slope) = (&n.mean[..channels], &flat[..channels], &slope[..channels]);
        for (x, g) in x.chunks_exact(channels).zip(g.chunks_exact_mut(channels)) {
            for c in 0..channels {
                let open = x[c] * scale[c] + offset[c] > floor;
                let passed = if open { g[c] } else { 0.0 };
                g[c] = passed * scale[c] - flat[c] - (x[c] - mean[c]) * slope[c];
            }
        }
    }
}

/// Turns the gradient of the output into that of the input, in place; returns those of gamma and beta.
///
/// With `batch` the statistics came from `x` itself (training), otherwise they were constants.
pub(crate) fn backward(
    x: &[f32],
    n: &Normaliser,
    relu: bool,
    batch: bool,
    gradient: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let channels = n.mean.len();
    let (rows, floor) = (ROWS * channels, floor_of(relu));
    let partials: Vec<Vec<f64>> = x
        .par_chunks(rows)
        .zip(gradient.par_chunks(rows))
        .map(|(x, g)| {
            let mut sums = vec![0.0; 2 * channels];
            gradient_sums_chunk(x, g, n, floor, &mut sums);
            sums
        })
        .collect();
    let total = reduce(partials, 2 * channels);
    let (beta, gamma) = total.split_at(channels);
    let count = (x.len() / channels) as f64;
    let (mut flat, mut slope) = (vec![0.0; channels], vec![0.0; channels]);
    if batch {
        for c in 0..channels {
            let scale = f64::from(n.scale[c]);
            flat[c] = (scale * beta[c] / count) as f32;
            slope[c] = (scale * gamma[c] / count * f64::from(n.inverse_std[c])) as f32;
        }
    }
    gradient
        .par_chunks_mut(rows)
        .zip(x.par_chunks(rows))
        .for_each(|(g, x)| gradient_chunk(x, n, floor, &flat, &slope, g));
    (gamma.iter().map(|&v| v as f32).collect(), beta.iter().map(|&v| v as f32).collect())
}

/// Normalises each sample of `positions` positions by its own statistics.
pub(crate) fn instance(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    positions: usize,
    epsilon: f64,
) -> (Vec<f32>, Vec<Normaliser>) {
    let channels = gamma.len();
    let mut y = zeros(x.len());
    let size = positions * channels;
    let normalisers = y
        .par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .map(|(y, x)| {
            let (mean, variance) = moments(x, &x[..channels]);
            let n = Normaliser::new(&mean, &variance, gamma, beta, epsilon);
            affine_chunk(x, &n.scale, &n.offset, floor_of(false), y);
            n
        })
        .collect();
    (y, normalisers)
}

/// Turns the gradient of the output of [`instance`] into that of the input, in place; returns those of gamma and beta.
pub(crate) fn instance_backward(
    x: &[f32],
    normalisers: &[Normaliser],
    positions: usize,
    gradient: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let size = x.len() / normalisers.len();
    let channels = size / positions;
    let partials: Vec<Vec<f64>> = gradient
        .par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .zip(normalisers)
        .map(|((g, x), n)| {
            let (gamma, beta) = backward(x, n, false, true, g);
            gamma.into_iter().chain(beta).map(f64::from).collect()
        })
        .collect();
    let total = reduce(partials, 2 * channels);
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
    (narrow(&total[..channels]), narrow(&total[channels..]))
}
