//! Depth-wise convolution: every channel by its own kernel, vectorised over the channels.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::{Geometry, sum_of_shares};
use crate::cpu::zeros::zeros;
use crate::window::Slide;
use sndpipe_linalg::multiversion;

/// Channels whose sums are kept in registers.
const BLOCK: usize = 64;
/// The same, for what is left of the channels.
const SMALL: usize = 16;

/// Whether this file can compute the convolution.
pub(super) fn fits(g: &Geometry) -> bool {
    g.groups == g.inputs && g.outputs == g.inputs
}

/// For each position of a result along one axis, the taps that it sums over and the positions these look at.
struct Taps {
    /// Where the pairs of each position end.
    ends: Vec<usize>,
    /// (tap, position).
    pairs: Vec<(usize, usize)>,
}

impl Taps {
    /// What an output position sees of the input.
    fn forward(slide: &Slide) -> Taps {
        let (mut ends, mut pairs) = (Vec::new(), Vec::new());
        for output in 0..slide.output() {
            pairs.extend(slide.taps(output).map(|tap| (tap, slide.source(output, tap))));
            ends.push(pairs.len());
        }
        Taps { ends, pairs }
    }

    /// Which output positions have seen an input position.
    fn backward(slide: &Slide) -> Taps {
        let mut lists = vec![Vec::new(); slide.length];
        for tap in 0..slide.kernel {
            for output in slide.outputs(tap) {
                lists[slide.source(output, tap)].push((tap, output));
            }
        }
        let (mut ends, mut pairs) = (Vec::new(), Vec::new());
        for list in lists {
            pairs.extend(list);
            ends.push(pairs.len());
        }
        Taps { ends, pairs }
    }

    fn of(&self, position: usize) -> &[(usize, usize)] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.pairs[start..self.ends[position]]
    }
}

/// (channel, tap) to (tap, channel).
fn transpose(weight: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; weight.len()];
    for r in 0..rows {
        for c in 0..cols {
            out[c * rows + r] = weight[r * cols + c];
        }
    }
    out
}

/// What a row of the result is summed from.
struct Row<'a> {
    /// One sample of the source.
    x: &'a [f32],
    /// Columns of the source.
    width: usize,
    channels: usize,
    /// (tap, channel).
    weight: &'a [f32],
    /// Columns of the kernel.
    kernel: usize,
    rows: &'a [(usize, usize)],
    cols: &'a Taps,
}

impl Row<'_> {
    /// Sums of `B` channels from `channel` on.
    #[inline(always)]
    fn block<const B: usize>(&self, cols: &[(usize, usize)], channel: usize, y: &mut [f32]) {
        let mut sums = [0f32; B];
        for &(kr, r) in self.rows {
            for &(kc, c) in cols {
                let x = &self.x[(r * self.width + c) * self.channels + channel..][..B];
                let w = &self.weight[(kr * self.kernel + kc) * self.channels + channel..][..B];
                for k in 0..B {
                    sums[k] += x[k] * w[k];
                }
            }
        }
        y[channel..channel + B].copy_from_slice(&sums);
    }
}

multiversion! {
    fn gather_row(row: &Row<'_>, y: &mut [f32]) {
        let channels = row.channels;
        for (col, y) in y.chunks_exact_mut(channels).enumerate() {
            let cols = row.cols.of(col);
            let mut channel = 0;
            while channel + BLOCK <= channels {
                row.block::<BLOCK>(cols, channel, y);
                channel += BLOCK;
            }
            while channel + SMALL <= channels {
                row.block::<SMALL>(cols, channel, y);
                channel += SMALL;
            }
            while channel < channels {
                row.block::<1>(cols, channel, y);
                channel += 1;
            }
        }
    }
}

/// Sums over taps along both axes, for every sample.
fn gather(
    x: &[f32],
    weight: &[f32],
    g: &Geometry,
    rows: &Taps,
    cols: &Taps,
    source: (usize, usize),
) -> Vec<f32> {
    let channels = g.inputs;
    let weight = transpose(weight, channels, g.kernel.0 * g.kernel.1);
    let (height, width) = (rows.ends.len(), cols.ends.len());
    let mut y = zeros(g.samples * height * width * channels);
    y.par_chunks_mut(width * channels).enumerate().for_each(|(i, y)| {
        let (sample, r) = (i / height, i % height);
        let length = source.0 * source.1 * channels;
        let row = Row {
            x: &x[sample * length..(sample + 1) * length],
            width: source.1,
            channels,
            weight: &weight,
            kernel: g.kernel.1,
            rows: rows.of(r),
            cols,
        };
        gather_row(&row, y);
    });
    y
}

pub(super) fn forward(x: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    let (rows, cols) = (Taps::forward(&g.rows()), Taps::forward(&g.cols()));
    gather(x, weight, g, &rows, &cols, (g.height, g.width))
}

pub(super) fn input_gradient(dy: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    let (rows, cols) = (Taps::backward(&g.rows()), Taps::backward(&g.cols()));
    gather(dy, weight, g, &rows, &cols, g.output())
}

/// One row of the output's gradient and the row of the input that one kernel row saw.
struct Pair<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    cols: Slide,
    channels: usize,
}

impl Pair<'_> {
    /// Adds the products over some output columns to `B` channels of one tap.
    #[inline(always)]
    fn block<const B: usize>(&self, tap: usize, outputs: &Range<usize>, channel: usize, dw: &mut [f32]) {
        let mut sums = [0f32; B];
        for output in outputs.clone() {
            let dy = &self.dy[output * self.channels + channel..][..B];
            let x = &self.x[self.cols.source(output, tap) * self.channels + channel..][..B];
            for k in 0..B {
                sums[k] += x[k] * dy[k];
            }
        }
        for (dw, sum) in dw[channel..channel + B].iter_mut().zip(sums) {
            *dw += sum;
        }
    }
}

multiversion! {
    /// Adds what a pair of rows gives to one kernel row of the weight's gradient, (tap, channel).
    fn correlate_row(pair: &Pair<'_>, dw: &mut [f32]) {
        let channels = pair.channels;
        for (tap, dw) in dw.chunks_exact_mut(channels).enumerate() {
            let outputs = pair.cols.outputs(tap);
            let mut channel = 0;
            while channel + BLOCK <= channels {
                pair.block::<BLOCK>(tap, &outputs, channel, dw);
                channel += BLOCK;
            }
            while channel + SMALL <= channels {
                pair.block::<SMALL>(tap, &outputs, channel, dw);
                channel += SMALL;
            }
            while channel < channels {
                pair.block::<1>(tap, &outputs, channel, dw);
                channel += 1;
            }
        }
    }
}

pub(super) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    let (channels, rows, cols) = (g.inputs, g.rows(), g.cols());
    let sum = sum_of_shares(x, dy, g, |dw, x, dy| {
        for (x, dy) in x.chunks_exact(g.input_len()).zip(dy.chunks_exact(g.output_len())) {
            let x: Vec<&[f32]> = x.chunks_exact(g.width * channels).collect();
            for (output, dy) in dy.chunks_exact(cols.output() * channels).enumerate() {
                for tap in rows.taps(output) {
                    let pair = Pair { x: x[rows.source(output, tap)], dy, cols, channels };
                    let length = g.kernel.1 * channels;
                    correlate_row(&pair, &mut dw[tap * length..(tap + 1) * length]);
                }
            }
        }
    });
    transpose(&sum, g.kernel.0 * g.kernel.1, channels)
}
