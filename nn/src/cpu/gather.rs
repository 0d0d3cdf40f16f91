//! Rows chosen by number, and their gradients put back.

use rayon::prelude::*;

use super::{elementwise::add_assign, zeros::zeros};

/// Rows that a thread copies at a time.
const ROWS: usize = 64;

/// The rows `indices` of rows of `width` numbers.
pub(crate) fn rows(x: &[f32], width: usize, indices: &[usize]) -> Vec<f32> {
    let mut y = zeros(indices.len() * width);
    y.par_chunks_mut(ROWS * width).zip(indices.par_chunks(ROWS)).for_each(|(y, indices)| {
        for (y, &row) in y.chunks_exact_mut(width).zip(indices) {
            y.copy_from_slice(&x[row * width..(row + 1) * width]);
        }
    });
    y
}

/// For each row `r` the sum of the rows `places[starts[r]..starts[r + 1]]` of `y`, in their order.
pub(crate) fn sums(y: &[f32], width: usize, starts: &[usize], places: &[usize]) -> Vec<f32> {
    let mut x = zeros((starts.len() - 1) * width);
    x.par_chunks_mut(width).zip(starts.par_windows(2)).for_each(|(x, ends)| {
        for &place in &places[ends[0]..ends[1]] {
            add_assign(x, &y[place * width..(place + 1) * width]);
        }
    });
    x
}
