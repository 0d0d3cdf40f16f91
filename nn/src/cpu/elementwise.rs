//! Element-wise passes over large buffers.

use rayon::prelude::*;

use super::simd::multiversion;

/// Numbers a thread works on at a time.
pub(crate) const CHUNK: usize = 1 << 14;

multiversion! {
    fn relu_chunk(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = if x < 0.0 { 0.0 } else { x };
        }
    }
}

multiversion! {
    fn relu_backward_chunk(y: &[f32], g: &mut [f32]) {
        for (g, &y) in g.iter_mut().zip(y) {
            *g = if y > 0.0 { *g } else { 0.0 };
        }
    }
}

/// `y = max(x, 0)`.
pub(crate) fn relu(x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| relu_chunk(x, y));
    y
}

/// Zeroes the gradient where the output was not positive.
pub(crate) fn relu_backward(y: &[f32], gradient: &mut [f32]) {
    gradient.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(g, y)| relu_backward_chunk(y, g));
}

multiversion! {
    fn add_chunk(sum: &mut [f32], x: &[f32]) {
        for (sum, &x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
}

/// `sum += x`.
pub(crate) fn add_assign(sum: &mut [f32], x: &[f32]) {
    add_chunk(sum, x);
}

/// Adds equally long partial results, the first to the last, in parallel over positions.
pub(crate) fn sum_partials(partials: &[f32], length: usize) -> Vec<f32> {
    let mut sum = vec![0.0; length];
    if length == 0 {
        return sum;
    }
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sum)| {
        let start = chunk * CHUNK;
        for partial in partials.chunks_exact(length) {
            add_chunk(sum, &partial[start..start + sum.len()]);
        }
    });
    sum
}

multiversion! {
    fn scale_chunk(x: &mut [f32], factor: f32) {
        for x in x {
            *x *= factor;
        }
    }
}

/// `x *= factor`.
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    x.par_chunks_mut(CHUNK).for_each(|x| scale_chunk(x, factor));
}

/// The sum of squares, in f64, chunk by chunk in order.
pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
    let partials: Vec<f64> =
        x.par_chunks(CHUNK).map(|x| x.iter().map(|&v| f64::from(v) * f64::from(v)).sum()).collect();
    partials.iter().sum()
}
