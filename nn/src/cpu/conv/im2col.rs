//! Convolution of any size as products of tiles that stay in the L2 cache.

use rayon::prelude::*;

use super::Geometry;
use crate::cpu::{
    elementwise::sum_partials,
    gemm::{Layout, matmul},
};

/// Numbers of an im2col tile: 256 KiB of f32.
const TILE: usize = 1 << 16;

/// The weight as (row, column, input) x output.
fn pack(weight: &[f32], g: &Geometry) -> Vec<f32> {
    let taps = g.kernel.0 * g.kernel.1;
    let mut packed = vec![0.0; weight.len()];
    for o in 0..g.outputs {
        for i in 0..g.inputs {
            for tap in 0..taps {
                packed[(tap * g.inputs + i) * g.outputs + o] = weight[(o * g.inputs + i) * taps + tap];
            }
        }
    }
    packed
}

/// The inverse of [`pack`].
fn unpack(packed: &[f32], g: &Geometry) -> Vec<f32> {
    let taps = g.kernel.0 * g.kernel.1;
    let mut weight = vec![0.0; packed.len()];
    for o in 0..g.outputs {
        for i in 0..g.inputs {
            for tap in 0..taps {
                weight[(o * g.inputs + i) * taps + tap] = packed[(tap * g.inputs + i) * g.outputs + o];
            }
        }
    }
    weight
}

/// Output positions of a tile.
fn tile_pixels(g: &Geometry) -> usize {
    let taps = g.kernel.0 * g.kernel.1 * g.inputs;
    (TILE / taps).clamp(16, 1024)
}

/// Calls `visit(position in the tile row, offset in the sample)` for each kernel tap inside the image.
fn for_taps(g: &Geometry, pixel: usize, mut visit: impl FnMut(usize, usize)) {
    let (row, col) = (pixel / g.output().1, pixel % g.output().1);
    for kr in 0..g.kernel.0 {
        let Some(r) = (row * g.stride.0 + kr).checked_sub(g.padding.0) else {
            continue;
        };
        if r >= g.height {
            continue;
        }
        for kc in 0..g.kernel.1 {
            let Some(c) = (col * g.stride.1 + kc).checked_sub(g.padding.1) else {
                continue;
            };
            if c < g.width {
                visit((kr * g.kernel.1 + kc) * g.inputs, (r * g.width + c) * g.inputs);
            }
        }
    }
}

/// Copies what the kernel sees at output positions `pixels` of one sample, a row each.
fn gather(x: &[f32], g: &Geometry, pixels: std::ops::Range<usize>, tile: &mut [f32]) {
    let taps = g.kernel.0 * g.kernel.1 * g.inputs;
    for (pixel, row) in pixels.zip(tile.chunks_exact_mut(taps)) {
        row.fill(0.0);
        for_taps(g, pixel, |at, from| {
            row[at..at + g.inputs].copy_from_slice(&x[from..from + g.inputs]);
        });
    }
}

/// The tiles of one sample as ranges of output positions.
fn tiles(g: &Geometry) -> impl Iterator<Item = std::ops::Range<usize>> {
    let pixels = g.output().0 * g.output().1;
    let step = tile_pixels(g);
    (0..pixels).step_by(step).map(move |start| start..(start + step).min(pixels))
}

pub(super) fn forward(x: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    let taps = g.kernel.0 * g.kernel.1 * g.inputs;
    let packed = pack(weight, g);
    let mut y = vec![0.0; g.samples * g.output_len()];
    y.par_chunks_mut(g.output_len()).zip(x.par_chunks(g.input_len())).for_each(|(y, x)| {
        let mut tile = vec![0.0; tile_pixels(g) * taps];
        for pixels in tiles(g) {
            gather(x, g, pixels.clone(), &mut tile);
            let out = &mut y[pixels.start * g.outputs..pixels.end * g.outputs];
            matmul(
                (&tile, Layout::row_major(pixels.len(), taps)),
                (&packed, Layout::row_major(taps, g.outputs)),
                (out, Layout::row_major(pixels.len(), g.outputs)),
                false,
            );
        }
    });
    y
}

pub(super) fn input_gradient(dy: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    let taps = g.kernel.0 * g.kernel.1 * g.inputs;
    let packed = pack(weight, g);
    let mut dx = vec![0.0; g.samples * g.input_len()];
    dx.par_chunks_mut(g.input_len()).zip(dy.par_chunks(g.output_len())).for_each(|(dx, dy)| {
        let mut tile = vec![0.0; tile_pixels(g) * taps];
        for pixels in tiles(g) {
            matmul(
                (&dy[pixels.start * g.outputs..], Layout::row_major(pixels.len(), g.outputs)),
                (&packed, Layout::row_major(taps, g.outputs).t()),
                (&mut tile, Layout::row_major(pixels.len(), taps)),
                false,
            );
            for (pixel, row) in pixels.zip(tile.chunks_exact(taps)) {
                for_taps(g, pixel, |at, to| {
                    for (d, &t) in dx[to..to + g.inputs].iter_mut().zip(&row[at..]) {
                        *d += t;
                    }
                });
            }
        }
    });
    dx
}

pub(super) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    let taps = g.kernel.0 * g.kernel.1 * g.inputs;
    let groups = g.samples.div_ceil(g.group());
    let mut partials = vec![0.0; groups * g.weight_len()];
    partials
        .par_chunks_mut(g.weight_len())
        .zip(x.par_chunks(g.group() * g.input_len()))
        .zip(dy.par_chunks(g.group() * g.output_len()))
        .for_each(|((dw, x), dy)| {
            let mut tile = vec![0.0; tile_pixels(g) * taps];
            let samples = x.chunks_exact(g.input_len()).zip(dy.chunks_exact(g.output_len()));
            for (x, dy) in samples {
                for pixels in tiles(g) {
                    gather(x, g, pixels.clone(), &mut tile);
                    matmul(
                        (&tile, Layout::row_major(pixels.len(), taps).t()),
                        (&dy[pixels.start * g.outputs..], Layout::row_major(pixels.len(), g.outputs)),
                        (dw, Layout::row_major(taps, g.outputs)),
                        true,
                    );
                }
            }
        });
    unpack(&sum_partials(&partials, g.weight_len()), g)
}
