//! Convolution by a 1x1 kernel: products of the image's pixels with the weight, without copies.
//!
//! With a larger stride the pixels that are seen are picked out first, and the rest is a convolution with stride 1.

use rayon::prelude::*;

use super::{Geometry, sum_of_shares};
use crate::{
    cpu::gemm::{Layout, matmul},
    window::Padding,
};

/// Pixels that a thread computes at a time.
const PIXELS: usize = 512;

/// Whether this file can compute the convolution.
pub(super) fn fits(g: &Geometry) -> bool {
    g.kernel == (1, 1) && g.stride == (1, 1) && g.groups == 1 && g.padding == Padding::NONE
}

/// The convolution with stride 1 over the pixels that `g`, a 1x1 kernel with a larger stride, sees.
pub(super) fn thinned(g: &Geometry) -> Option<Geometry> {
    let (height, width) = g.output();
    let pointwise = Geometry { height, width, stride: (1, 1), dilation: (1, 1), ..*g };
    (g.stride != (1, 1) && fits(&pointwise)).then_some(pointwise)
}

/// The pixels that a 1x1 kernel with the strides of `g` sees.
pub(super) fn pick(x: &[f32], g: &Geometry) -> Vec<f32> {
    let (rows, cols) = g.output();
    let (line, picked) = (g.width * g.inputs, cols * g.inputs);
    let mut y = vec![0.0; g.samples * rows * picked];
    y.par_chunks_mut(picked).enumerate().for_each(|(i, y)| {
        let row = i / rows * g.height + i % rows * g.stride.0;
        let pixels = x[row * line..(row + 1) * line].chunks(g.stride.1 * g.inputs);
        for (y, x) in y.chunks_exact_mut(g.inputs).zip(pixels) {
            y.copy_from_slice(&x[..g.inputs]);
        }
    });
    y
}

/// The inverse of [`pick`], with zeros where nothing was picked.
pub(super) fn put_back(picked: &[f32], g: &Geometry) -> Vec<f32> {
    let (rows, cols) = g.output();
    let (line, length) = (g.width * g.inputs, cols * g.inputs);
    let mut x = vec![0.0; g.samples * g.input_len()];
    x.par_chunks_mut(g.input_len()).zip(picked.par_chunks(rows * length)).for_each(|(x, picked)| {
        for (r, picked) in picked.chunks_exact(length).enumerate() {
            let pixels = x[r * g.stride.0 * line..][..line].chunks_mut(g.stride.1 * g.inputs);
            for (x, picked) in pixels.zip(picked.chunks_exact(g.inputs)) {
                x[..g.inputs].copy_from_slice(picked);
            }
        }
    });
    x
}

pub(super) fn forward(x: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    products(x, (weight, Layout::row_major(g.outputs, g.inputs).t()), g.samples * g.output_len())
}

pub(super) fn input_gradient(dy: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    products(dy, (weight, Layout::row_major(g.outputs, g.inputs)), g.samples * g.input_len())
}

/// Each row of `a` times the matrix `b`, `length` numbers in all.
fn products(a: &[f32], b: (&[f32], Layout), length: usize) -> Vec<f32> {
    let (from, to) = (b.1.rows, b.1.cols);
    let mut c = vec![0.0; length];
    c.par_chunks_mut(PIXELS * to).zip(a.par_chunks(PIXELS * from)).for_each(|(c, a)| {
        let pixels = c.len() / to;
        matmul((a, Layout::row_major(pixels, from)), b, (c, Layout::row_major(pixels, to)), false);
    });
    c
}

pub(super) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    sum_of_shares(x, dy, g, |dw, x, dy| {
        let pixels = x.len() / g.inputs;
        matmul(
            (dy, Layout::row_major(pixels, g.outputs).t()),
            (x, Layout::row_major(pixels, g.inputs)),
            (dw, Layout::row_major(g.outputs, g.inputs)),
            false,
        );
    })
}
