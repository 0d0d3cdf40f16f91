//! Fully connected layers: `y = x W^T + b` with `W` as (outputs, inputs).

use rayon::prelude::*;

use super::zeros::zeros;
use sndpipe_linalg::{Layout, matmul};

/// Outputs (or inputs, backwards) that a thread computes at a time.
const COLUMNS: usize = 128;

/// A matrix product whose columns are computed in fixed pieces: `c[n, cols] = a[n, inner] b[inner, cols]`.
fn by_columns(a: (&[f32], Layout), b: (&[f32], Layout), rows: usize, cols: usize) -> Vec<f32> {
    let pieces: Vec<Vec<f32>> = (0..cols.div_ceil(COLUMNS))
        .into_par_iter()
        .map(|piece| {
            let start = piece * COLUMNS;
            let width = COLUMNS.min(cols - start);
            let mut out = vec![0.0; rows * width];
            let part = Layout { cols: width, ..b.1 };
            matmul(
                a,
                (&b.0[start * b.1.col_stride..], part),
                (&mut out, Layout::row_major(rows, width)),
                false,
            );
            out
        })
        .collect();
    let mut c = zeros(rows * cols);
    for (piece, out) in pieces.iter().enumerate() {
        let start = piece * COLUMNS;
        let width = COLUMNS.min(cols - start);
        for (row, out) in c.chunks_exact_mut(cols).zip(out.chunks_exact(width)) {
            row[start..start + width].copy_from_slice(out);
        }
    }
    c
}

/// `y[n, outputs]` from `x[n, inputs]`.
pub(crate) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    outputs: usize,
) -> Vec<f32> {
    let n = x.len() / inputs;
    let w = Layout::row_major(outputs, inputs);
    let mut y = by_columns((x, Layout::row_major(n, inputs)), (weight, w.t()), n, outputs);
    if let Some(bias) = bias {
        for row in y.chunks_exact_mut(outputs) {
            super::elementwise::add_assign(row, bias);
        }
    }
    y
}

/// `dx[n, inputs]`.
pub(crate) fn input_gradient(g: &[f32], weight: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let n = g.len() / outputs;
    by_columns((g, Layout::row_major(n, outputs)), (weight, Layout::row_major(outputs, inputs)), n, inputs)
}

/// `dW[outputs, inputs]`, in fixed pieces of rows.
pub(crate) fn weight_gradient(g: &[f32], x: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let n = x.len() / inputs;
    const ROWS: usize = 32;
    let mut dw = zeros(outputs * inputs);
    dw.par_chunks_mut(ROWS * inputs).enumerate().for_each(|(piece, dw)| {
        let rows = dw.len() / inputs;
        let g_part = Layout { rows, cols: n, row_stride: 1, col_stride: outputs };
        matmul(
            (&g[piece * ROWS..], g_part),
            (x, Layout::row_major(n, inputs)),
            (dw, Layout::row_major(rows, inputs)),
            false,
        );
    });
    dw
}

/// `db[outputs]`: the column sums of `g`.
pub(crate) fn bias_gradient(g: &[f32], outputs: usize) -> Vec<f32> {
    let mut sum = vec![0.0; outputs];
    for row in g.chunks_exact(outputs) {
        super::elementwise::add_assign(&mut sum, row);
    }
    sum
}
