//! Convolution by a 1x1 kernel with stride 1: products of the image's pixels with the weight, without copies.

use rayon::prelude::*;

use super::geometry::{Geometry, sum_of_shares};
use crate::cpu::zeros::zeros;
use crate::window::Padding;
use sndpipe_linalg::{Layout, matmul};

/// Pixels that a thread computes at a time.
const PIXELS: usize = 512;

/// Whether this file can compute the convolution.
pub(super) fn fits(g: &Geometry) -> bool {
    g.kernel == (1, 1) && g.stride == (1, 1) && g.groups == 1 && g.padding == Padding::NONE
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
    let mut c = zeros(length);
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
