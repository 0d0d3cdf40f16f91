//! Softmax, lengths and layer normalisation: statistics of rows.

use rayon::prelude::*;

use super::zeros::filled;
use sndpipe_linalg::multiversion;

/// Numbers that a thread works on at a time, in whole rows.
const CHUNK: usize = 1 << 14;
/// Terms that are added side by side.
const LANES: usize = 8;

fn rows(width: usize) -> usize {
    CHUNK.div_ceil(width) * width
}

/// The sum of `term(a, b)` in f64, over lanes, so that it vectorises.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = whole_a.remainder().iter().zip(whole_b.remainder());
    let rest: f64 = rest.map(|(&a, &b)| term(f64::from(a), f64::from(b))).sum();
    for (a, b) in whole_a.zip(whole_b) {
        for lane in 0..LANES {
            lanes[lane] += term(f64::from(a[lane]), f64::from(b[lane]));
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// Softmax of each row.
pub(crate) fn softmax(x: &[f32], width: usize) -> Vec<f32> {
    let mut y = super::loss::log_softmax(x, width);
    y.par_chunks_mut(CHUNK).for_each(|y| {
        for y in y {
            *y = f64::from(*y).exp() as f32;
        }
    });
    y
}

/// The input's gradient of [`softmax`]: `y (g - sum(g y))`, in place.
pub(crate) fn softmax_backward(y: &[f32], gradient: &mut [f32], width: usize) {
    for (y, g) in y.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
        let product = sum(y, g, |y, g| y * g);
        for (g, &y) in g.iter_mut().zip(y) {
            *g = (f64::from(y) * (f64::from(*g) - product)) as f32;
        }
    }
}

multiversion! {
    fn l2_chunk(x: &[f32], width: usize, least: f64, y: &mut [f32]) {
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let factor = 1.0 / sum(x, x, |a, b| a * b).sqrt().max(least);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (f64::from(x) * factor) as f32;
            }
        }
    }
}

multiversion! {
    fn l2_backward_chunk(x: &[f32], width: usize, least: f64, g: &mut [f32]) {
        for (x, g) in x.chunks_exact(width).zip(g.chunks_exact_mut(width)) {
            let norm = sum(x, x, |a, b| a * b).sqrt();
            let factor = 1.0 / norm.max(least);
            let along = if norm < least { 0.0 } else { sum(x, g, |x, g| x * g) * factor * factor };
            for (g, &x) in g.iter_mut().zip(x) {
                *g = ((f64::from(*g) - f64::from(x) * along) * factor) as f32;
            }
        }
    }
}

/// Each row over its length, or over `least` where that is more.
pub(crate) fn l2_normalise(x: &[f32], width: usize, least: f64) -> Vec<f32> {
    let size = rows(width);
    filled(x.len(), size, |i, y| l2_chunk(&x[i * size..][..y.len()], width, least, y))
}

/// The input's gradient of [`l2_normalise`], in place.
pub(crate) fn l2_normalise_backward(x: &[f32], width: usize, least: f64, gradient: &mut [f32]) {
    let size = rows(width);
    gradient
        .par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .for_each(|(g, x)| l2_backward_chunk(x, width, least, g));
}

/// Mean and one over the standard deviation of a row.
#[inline(always)]
fn statistics(x: &[f32], epsilon: f64) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = sum(x, x, |x, _| x) / count;
    let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
    (mean as f32, (1.0 / (variance + epsilon).sqrt()) as f32)
}

multiversion! {
    fn layer_norm_chunk(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f64, y: &mut [f32]) {
        let width = weight.len();
        let bias = &bias[..width];
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let (mean, inverse) = statistics(x, epsilon);
            for c in 0..width {
                y[c] = (x[c] - mean) * inverse * weight[c] + bias[c];
            }
        }
    }
}

multiversion! {
    fn layer_norm_backward_chunk(x: &[f32], weight: &[f32], epsilon: f64, g: &mut [f32], sums: &mut [f64]) {
        let width = weight.len();
        let (dw, db) = sums.split_at_mut(width);
        let (dw, db) = (&mut dw[..width], &mut db[..width]);
        let mut normal = vec![0f32; width];
        for (x, g) in x.chunks_exact(width).zip(g.chunks_exact_mut(width)) {
            let (mean, inverse) = statistics(x, epsilon);
            for c in 0..width {
                normal[c] = (x[c] - mean) * inverse;
                dw[c] += f64::from(g[c] * normal[c]);
                db[c] += f64::from(g[c]);
                g[c] *= weight[c];
            }
            let flat = (sum(g, g, |g, _| g) / width as f64) as f32;
            let slope = (sum(g, &normal, |g, n| g * n) / width as f64) as f32;
            for c in 0..width {
                g[c] = (g[c] - flat - normal[c] * slope) * inverse;
            }
        }
    }
}

/// Each row minus its mean, over its standard deviation, times `weight` plus `bias`.
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f64) -> Vec<f32> {
    let size = rows(weight.len());
    filled(x.len(), size, |i, y| {
        layer_norm_chunk(&x[i * size..][..y.len()], weight, bias, epsilon, y);
    })
}

/// Turns the gradient of the output of [`layer_norm`] into that of the input; returns those of weight and bias.
pub(crate) fn layer_norm_backward(
    x: &[f32],
    weight: &[f32],
    epsilon: f64,
    gradient: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let (width, size) = (weight.len(), rows(weight.len()));
    let partials: Vec<Vec<f64>> = gradient
        .par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .map(|(g, x)| {
            let mut sums = vec![0.0; 2 * width];
            layer_norm_backward_chunk(x, weight, epsilon, g, &mut sums);
            sums
        })
        .collect();
    let total = super::norm::reduce(partials, 2 * width);
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
    (narrow(&total[..width]), narrow(&total[width..]))
}
