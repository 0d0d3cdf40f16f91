//! Element-wise passes over large buffers.

use rayon::prelude::*;

use super::zeros::filled;
use sndpipe_linalg::multiversion;

/// Numbers a thread works on at a time.
pub(crate) const CHUNK: usize = 1 << 14;
/// Rows (pixels) a thread works on at a time.
const ROWS: usize = 512;

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
    filled(x.len(), CHUNK, |i, y| relu_chunk(&x[i * CHUNK..][..y.len()], y))
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

/// `sum += x`, on the calling thread.
pub(crate) fn add_assign(sum: &mut [f32], x: &[f32]) {
    add_chunk(sum, x);
}

/// `sum += x`.
pub(crate) fn accumulate(sum: &mut [f32], x: &[f32]) {
    sum.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(sum, x)| add_chunk(sum, x));
}

multiversion! {
    fn sum_chunk(a: &[f32], b: &[f32], floor: f32, y: &mut [f32]) {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            let sum = a + b;
            *y = if sum < floor { floor } else { sum };
        }
    }
}

/// `y = max(a + b, floor)`; NaN stays NaN.
pub(crate) fn add(a: &[f32], b: &[f32], floor: f32) -> Vec<f32> {
    filled(a.len(), CHUNK, |i, y| {
        let part = i * CHUNK..i * CHUNK + y.len();
        sum_chunk(&a[part.clone()], &b[part], floor, y);
    })
}

multiversion! {
    fn add_row_chunk(x: &[f32], row: &[f32], y: &mut [f32]) {
        for (y, x) in y.chunks_exact_mut(row.len()).zip(x.chunks_exact(row.len())) {
            for ((y, &x), &row) in y.iter_mut().zip(x).zip(row) {
                *y = x + row;
            }
        }
    }
}

/// Adds `row` to each row of `x`.
pub(crate) fn add_rows(x: &[f32], row: &[f32]) -> Vec<f32> {
    let length = ROWS * row.len();
    filled(x.len(), length, |i, y| add_row_chunk(&x[i * length..][..y.len()], row, y))
}

multiversion! {
    fn sum_rows_chunk(x: &[f32], sum: &mut [f32]) {
        for row in x.chunks_exact(sum.len()) {
            for (sum, &x) in sum.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}

/// The sum of the rows of `length` numbers.
pub(crate) fn sum_rows(x: &[f32], length: usize) -> Vec<f32> {
    let partials: Vec<Vec<f32>> = x
        .par_chunks(ROWS * length)
        .map(|x| {
            let mut sum = vec![0.0; length];
            sum_rows_chunk(x, &mut sum);
            sum
        })
        .collect();
    let mut total = vec![0f64; length];
    for partial in partials {
        for (total, part) in total.iter_mut().zip(partial) {
            *total += f64::from(part);
        }
    }
    total.into_iter().map(|v| v as f32).collect()
}

/// Adds equally long partial results, the first to the last, in parallel over positions.
pub(crate) fn sum_partials(partials: Vec<f32>, length: usize) -> Vec<f32> {
    if partials.len() == length {
        return partials;
    }
    filled(length, CHUNK, |chunk, sum| {
        let start = chunk * CHUNK;
        for partial in partials.chunks_exact(length) {
            add_chunk(sum, &partial[start..start + sum.len()]);
        }
    })
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
