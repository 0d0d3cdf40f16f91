//! Convolution of any size as products of tiles that stay in the L2 cache.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::{Geometry, sum_of_shares};
use crate::cpu::zeros::zeros;
use sndpipe_linalg::{Layout, matmul};

/// Numbers of an im2col tile: 256 KiB of f32.
const TILE: usize = 1 << 16;

/// Calls `visit(packed index, index)` for every number of the weight.
fn for_weights(g: &Geometry, mut visit: impl FnMut(usize, usize)) {
    let taps = g.kernel.0 * g.kernel.1;
    let (inputs, outputs) = per_group(g);
    for o in 0..g.outputs {
        let (group, k) = (o / outputs, o % outputs);
        for i in 0..inputs {
            for tap in 0..taps {
                visit(((group * taps + tap) * inputs + i) * outputs + k, (o * inputs + i) * taps + tap);
            }
        }
    }
}

/// The weight as (row, column, input) x output, group after group.
fn pack(weight: &[f32], g: &Geometry) -> Vec<f32> {
    let mut packed = vec![0.0; weight.len()];
    for_weights(g, |at, from| packed[at] = weight[from]);
    packed
}

/// The inverse of [`pack`].
fn unpack(packed: &[f32], g: &Geometry) -> Vec<f32> {
    let mut weight = vec![0.0; packed.len()];
    for_weights(g, |from, at| weight[at] = packed[from]);
    weight
}

/// Inputs and outputs of a group of channels.
fn per_group(g: &Geometry) -> (usize, usize) {
    (g.inputs / g.groups, g.outputs / g.groups)
}

/// Numbers of a tile row: what one output position of one group of channels sees.
fn tile_row(g: &Geometry) -> usize {
    g.kernel.0 * g.kernel.1 * per_group(g).0
}

/// Output positions of a tile.
fn tile_pixels(g: &Geometry) -> usize {
    (TILE / tile_row(g)).clamp(16, 1024)
}

/// Calls `visit(position in the tile row, offset in the sample, length)` for each run of numbers that a group of channels
/// sees inside the image.
fn for_runs(g: &Geometry, group: usize, pixel: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (rows, cols, inputs) = (g.rows(), g.cols(), per_group(g).0);
    let (row, col) = (pixel / cols.output(), pixel % cols.output());
    let taps = cols.taps(col);
    for kr in rows.taps(row) {
        let line = rows.source(row, kr) * g.width;
        let mut run = |taps: Range<usize>| {
            let from = (line + cols.source(col, taps.start)) * g.inputs + group * inputs;
            visit((kr * g.kernel.1 + taps.start) * inputs, from, taps.len() * inputs);
        };
        if taps.is_empty() {
            continue;
        }
        // Neighbouring taps see neighbouring numbers.
        if g.dilation.1 == 1 && g.groups == 1 {
            run(taps.clone());
        } else {
            taps.clone().for_each(|tap| run(tap..tap + 1));
        }
    }
}

/// Copies what the kernel sees at output positions `pixels` of one sample, a row each.
fn gather(x: &[f32], g: &Geometry, group: usize, pixels: Range<usize>, tile: &mut [f32]) {
    for (pixel, row) in pixels.zip(tile.chunks_exact_mut(tile_row(g))) {
        row.fill(0.0);
        for_runs(g, group, pixel, |at, from, length| {
            row[at..at + length].copy_from_slice(&x[from..from + length]);
        });
    }
}

/// The tiles of one sample as ranges of output positions.
fn tiles(g: &Geometry) -> impl Iterator<Item = Range<usize>> {
    let pixels = g.output().0 * g.output().1;
    let step = tile_pixels(g);
    (0..pixels).step_by(step).map(move |start| start..(start + step).min(pixels))
}

/// The pixels and groups of channels of one sample, tile by tile.
fn tiles_of_groups(g: &Geometry) -> impl Iterator<Item = (usize, Range<usize>)> {
    tiles(g).flat_map(|pixels| (0..g.groups).map(move |group| (group, pixels.clone())))
}

/// The numbers of one group from the first of some output positions on, and their layout.
fn part(g: &Geometry, group: usize, pixels: &Range<usize>) -> (usize, Layout) {
    let outputs = per_group(g).1;
    let layout = Layout { row_stride: g.outputs, ..Layout::row_major(pixels.len(), outputs) };
    (pixels.start * g.outputs + group * outputs, layout)
}

/// The packed weight of one group, and its layout.
fn group_weight(g: &Geometry, group: usize) -> (Range<usize>, Layout) {
    let layout = Layout::row_major(tile_row(g), per_group(g).1);
    let length = layout.rows * layout.cols;
    (group * length..(group + 1) * length, layout)
}

pub(super) fn forward(x: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    let packed = pack(weight, g);
    let mut y = zeros(g.samples * g.output_len());
    y.par_chunks_mut(g.output_len()).zip(x.par_chunks(g.input_len())).for_each(|(y, x)| {
        let mut tile = vec![0.0; tile_pixels(g) * tile_row(g)];
        for (group, pixels) in tiles_of_groups(g) {
            gather(x, g, group, pixels.clone(), &mut tile);
            let ((at, out), (range, layout)) = (part(g, group, &pixels), group_weight(g, group));
            matmul(
                (&tile, Layout::row_major(pixels.len(), tile_row(g))),
                (&packed[range], layout),
                (&mut y[at..], out),
                false,
            );
        }
    });
    y
}

pub(super) fn input_gradient(dy: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    let packed = pack(weight, g);
    let mut dx = zeros(g.samples * g.input_len());
    dx.par_chunks_mut(g.input_len()).zip(dy.par_chunks(g.output_len())).for_each(|(dx, dy)| {
        let mut tile = vec![0.0; tile_pixels(g) * tile_row(g)];
        for (group, pixels) in tiles_of_groups(g) {
            let ((at, out), (range, layout)) = (part(g, group, &pixels), group_weight(g, group));
            matmul(
                (&dy[at..], out),
                (&packed[range], layout.t()),
                (&mut tile, Layout::row_major(pixels.len(), tile_row(g))),
                false,
            );
            for (pixel, row) in pixels.zip(tile.chunks_exact(tile_row(g))) {
                for_runs(g, group, pixel, |at, to, length| {
                    for (d, &t) in dx[to..to + length].iter_mut().zip(&row[at..]) {
                        *d += t;
                    }
                });
            }
        }
    });
    dx
}

pub(super) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    let sum = sum_of_shares(x, dy, g, |dw, x, dy| {
        let mut tile = vec![0.0; tile_pixels(g) * tile_row(g)];
        let samples = x.chunks_exact(g.input_len()).zip(dy.chunks_exact(g.output_len()));
        for (x, dy) in samples {
            for (group, pixels) in tiles_of_groups(g) {
                gather(x, g, group, pixels.clone(), &mut tile);
                let ((at, out), (range, layout)) = (part(g, group, &pixels), group_weight(g, group));
                matmul(
                    (&tile, Layout::row_major(pixels.len(), tile_row(g)).t()),
                    (&dy[at..], out),
                    (&mut dw[range], layout),
                    true,
                );
            }
        }
    });
    unpack(&sum, g)
}
