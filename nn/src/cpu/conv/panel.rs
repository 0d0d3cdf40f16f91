//! Dense convolution with any kernel, stride and dilation as a product of matrices whose left side is never written out.
//!
//! What some output positions see is gathered, in pieces of up to 16 neighbouring numbers, into a panel (piece, position,
//! 16) that stays in the L2 cache, and multiplied by the packed weight in register tiles of positions by output channels.
//! Positions run over the whole batch, so that small maps fill the tiles too. The gradient of the input is the same
//! computation once for each phase of the stride; that of the weight multiplies the panel's transpose by the gradient of
//! the output. Which sums are formed in which order depends on the shapes alone.

mod tile;

use std::{borrow::Cow, cell::RefCell, ops::Range};

use rayon::prelude::*;

use self::tile::{DEPTH, GradientTile, ProductTile, Segment};
use super::geometry::{Geometry, pieces};
use crate::cpu::elementwise::sum_partials;
use crate::cpu::zeros::{filled, zeros};
use sndpipe_linalg::{Level, multiversion};

/// Numbers of a panel: 256 KiB.
const PANEL: usize = 1 << 16;
/// Least positions of a panel whose depth is cut.
const POSITIONS: usize = 56;
/// Pieces of work that there should be at least.
const TASKS: usize = 16;
/// Least positions that a share of the weight's gradient should have.
const SHARE: usize = 192;
/// Most numbers seen whose weights are unpacked together: those of a block of channels by a 3x3 kernel.
const PACKED: usize = 9 * DEPTH;
/// Most segments whose weight gradients one task computes.
const SEGMENTS: usize = 32;

thread_local! {
    /// Scratch space of a thread: the panel, a block of the gradient, and where the positions' pixels are.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>, Vec<usize>)> = const { RefCell::new((Vec::new(), Vec::new(), Vec::new())) };
}

/// Whether this file can compute the convolution forward, and the gradient of its weight.
pub(super) fn fits(g: &Geometry, level: Level) -> bool {
    level != Level::Baseline && g.groups == 1 && g.outputs.is_multiple_of(DEPTH)
}

/// Whether this file can compute the gradient of the convolution's input.
pub(super) fn fits_input_gradient(g: &Geometry, level: Level) -> bool {
    level != Level::Baseline && g.groups == 1 && g.inputs.is_multiple_of(DEPTH)
}

/// A tap of the kernel: the pixel it sees, relative to the position's, and its index in the weight of a pair of channels.
#[derive(Debug, Clone, Copy)]
struct Tap {
    row: isize,
    col: isize,
    index: usize,
}

/// Images (n, height, width, channels).
#[derive(Debug, Clone, Copy)]
struct Images {
    samples: usize,
    height: usize,
    width: usize,
    channels: usize,
}

/// How neighbouring numbers of the weight lie apart.
#[derive(Debug, Clone, Copy)]
struct WeightStrides {
    /// Of a channel that is summed over.
    inner: usize,
    /// Of a channel of the result.
    outer: usize,
}

/// A grid of positions over images, and what each of them sees.
#[derive(Debug)]
struct View {
    source: Images,
    /// Rows and columns of zeros before and after the images.
    padding: (Range<usize>, Range<usize>),
    rows: usize,
    cols: usize,
    /// Pixels from a position to the next.
    step: (usize, usize),
    segments: Vec<Segment>,
    /// Where the weight of each number that a position sees is, for the first output.
    weights: Vec<usize>,
    /// Numbers seen before each segment, and at the end all of them.
    starts: Vec<usize>,
    outputs: usize,
    output_stride: usize,
    level: Level,
}

impl View {
    fn new(
        source: Images,
        (rows, cols): (usize, usize),
        step: (usize, usize),
        taps: &[Tap],
        (outputs, strides): (usize, WeightStrides),
        level: Level,
    ) -> View {
        let reach = |of: fn(&Tap) -> isize, last: usize, length: usize| {
            let (least, most) =
                (taps.iter().map(of).min().unwrap_or(0), taps.iter().map(of).max().unwrap_or(0));
            let after = last as isize + most + 1 - length as isize;
            (-least).max(0) as usize..after.max(0) as usize
        };
        let padding = (
            reach(|tap| tap.row, (rows - 1) * step.0, source.height),
            reach(|tap| tap.col, (cols - 1) * step.1, source.width),
        );
        let width = source.width + padding.1.start + padding.1.end;
        let seen = |tap: &Tap, channel: usize| {
            let row = (tap.row + padding.0.start as isize) as usize;
            let col = (tap.col + padding.1.start as isize) as usize;
            ((row * width + col) * source.channels + channel, tap.index + channel * strides.inner)
        };
        // Whole blocks of channels are read tap by tap, so that a block is in the cache for all taps.
        let block = if source.channels.is_multiple_of(DEPTH) { DEPTH } else { source.channels };
        let (mut segments, mut weights, mut starts) = (Vec::<Segment>::new(), Vec::new(), Vec::new());
        for first in (0..source.channels).step_by(block) {
            for tap in taps {
                for channel in first..first + block {
                    let (offset, weight) = seen(tap, channel);
                    match segments.last_mut() {
                        Some(s) if s.length < DEPTH && s.offset + s.length == offset => s.length += 1,
                        _ => {
                            segments.push(Segment { offset, length: 1 });
                            starts.push(weights.len());
                        }
                    }
                    weights.push(weight);
                }
            }
        }
        starts.push(weights.len());
        View {
            source,
            padding,
            rows,
            cols,
            step,
            segments,
            weights,
            starts,
            outputs,
            output_stride: strides.outer,
            level,
        }
    }

    /// The positions of the output over the input.
    fn forward(g: &Geometry, level: Level) -> View {
        let taps: Vec<Tap> = (0..g.kernel.0 * g.kernel.1)
            .map(|index| {
                let (row, col) = (index / g.kernel.1 * g.dilation.0, index % g.kernel.1 * g.dilation.1);
                let (top, left) = (g.padding.top as isize, g.padding.left as isize);
                Tap { row: row as isize - top, col: col as isize - left, index }
            })
            .collect();
        let source = Images { samples: g.samples, height: g.height, width: g.width, channels: g.inputs };
        let strides = WeightStrides { inner: taps.len(), outer: g.inputs * taps.len() };
        View::new(source, g.output(), g.stride, &taps, (g.outputs, strides), level)
    }

    /// Those positions of the input that are `phase` after a multiple of the stride, over the gradient of the output; none
    /// where they are in no kernel's reach.
    fn backward(g: &Geometry, phase: (usize, usize), level: Level) -> Option<View> {
        // The output position that sees input position `phase` through a tap, if there is one.
        let along = |phase: usize, before: usize, tap: usize, dilation: usize, stride: usize| {
            let distance = (phase + before) as isize - (tap * dilation) as isize;
            let stride = stride as isize;
            (distance.rem_euclid(stride) == 0).then_some(distance.div_euclid(stride))
        };
        let taps: Vec<Tap> = (0..g.kernel.0 * g.kernel.1)
            .filter_map(|index| {
                let (row, col) = (index / g.kernel.1, index % g.kernel.1);
                Some(Tap {
                    row: along(phase.0, g.padding.top, row, g.dilation.0, g.stride.0)?,
                    col: along(phase.1, g.padding.left, col, g.dilation.1, g.stride.1)?,
                    index,
                })
            })
            .collect();
        let (height, width) = g.output();
        let source = Images { samples: g.samples, height, width, channels: g.outputs };
        let grid = (of_phase(g.height, phase.0, g.stride.0), of_phase(g.width, phase.1, g.stride.1));
        let kernel = g.kernel.0 * g.kernel.1;
        let strides = WeightStrides { inner: g.inputs * kernel, outer: kernel };
        let seen = !taps.is_empty() && grid.0 > 0 && grid.1 > 0;
        seen.then(|| View::new(source, grid, (1, 1), &taps, (g.inputs, strides), level))
    }

    /// Positions of the batch.
    fn positions(&self) -> usize {
        self.source.samples * self.rows * self.cols
    }

    /// Numbers that a position sees.
    fn depth(&self) -> usize {
        self.weights.len()
    }

    /// Channels of an output block.
    fn width(&self) -> usize {
        if self.level == Level::Avx512 && self.outputs.is_multiple_of(2 * DEPTH) { 2 * DEPTH } else { DEPTH }
    }

    /// Rows and columns of the padded images.
    fn padded(&self) -> (usize, usize) {
        let (rows, cols) = &self.padding;
        (self.source.height + rows.start + rows.end, self.source.width + cols.start + cols.end)
    }

    /// The images with the zeros around them that positions see. A segment's 16 numbers may be read at every position.
    fn pad<'a>(&self, x: &'a [f32]) -> Cow<'a, [f32]> {
        let (rows, cols) = &self.padding;
        let none = 0..0;
        if *rows == none && *cols == none && self.source.channels.is_multiple_of(DEPTH) {
            return Cow::Borrowed(x);
        }
        let s = &self.source;
        let (line, (height, width)) = (s.width * s.channels, self.padded());
        let image = height * width * s.channels;
        let mut padded = zeros(s.samples * image + DEPTH);
        let images = padded.par_chunks_exact_mut(image).zip(x.par_chunks_exact(s.height * line));
        images.for_each(|(padded, x)| {
            let inner = padded.chunks_exact_mut(width * s.channels).skip(rows.start);
            for (padded, x) in inner.zip(x.chunks_exact(line)) {
                padded[cols.start * s.channels..][..line].copy_from_slice(x);
            }
        });
        Cow::Owned(padded)
    }

    /// Where the pixels of some positions are in the padded images.
    fn pixels(&self, positions: Range<usize>, pixels: &mut Vec<usize>) {
        let (height, width) = self.padded();
        let (row_step, col_step) = (self.step.0 * width, self.step.1);
        pixels.clear();
        pixels.extend(positions.map(|position| {
            let (sample, rest) = (position / (self.rows * self.cols), position % (self.rows * self.cols));
            let (row, col) = (rest / self.cols, rest % self.cols);
            (sample * height * width + row * row_step + col * col_step) * self.source.channels
        }));
    }

    /// Numbers of the packed weight of one output block.
    fn block_len(&self) -> usize {
        self.depth() * self.width()
    }

    /// The weight as (output block, number seen, output of the block).
    fn pack(&self, weight: &[f32]) -> Vec<f32> {
        let (width, stride) = (self.width(), self.output_stride);
        let lanes: Vec<usize> = (0..width).map(|lane| lane * stride).collect();
        filled(self.depth() * self.outputs, self.block_len(), |block, packed| {
            pick(&weight[block * width * stride..], &self.weights, &lanes, packed);
        })
    }

    /// The inverse of [`View::pack`], where every number of the weight is seen.
    fn unpack(&self, packed: &[f32]) -> Vec<f32> {
        let width = self.width();
        let mut seen = vec![0; self.depth()];
        for (at, &weight) in self.weights.iter().enumerate() {
            seen[weight] = at * width;
        }
        filled(packed.len(), self.block_len(), |block, dw| {
            let packed = &packed[block * self.block_len()..][..self.block_len()];
            // Piece by piece, so that what a piece reads stays in the cache for all outputs.
            for range in pieces(seen.len(), PACKED) {
                for (lane, dw) in dw.chunks_exact_mut(self.output_stride).enumerate() {
                    pick(packed, &[lane], &seen[range.clone()], &mut dw[range.clone()]);
                }
            }
        })
    }

    /// What every position sees, times the weight: (positions, outputs).
    fn product(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let (x, packed) = (self.pad(x), self.pack(weight));
        let fitting = (PANEL / (self.segments.len() * DEPTH)).clamp(POSITIONS, 16 * POSITIONS);
        let count = fitting.min(self.positions().div_ceil(TASKS).max(POSITIONS)).next_multiple_of(tile::ROWS);
        filled(self.positions() * self.outputs, count * self.outputs, |i, y| {
            SCRATCH.with_borrow_mut(|(panel, _, pixels)| {
                self.pixels(i * count..i * count + y.len() / self.outputs, pixels);
                let most = PANEL / (pixels.len() * DEPTH);
                for segments in pieces(self.segments.len(), most.max(1)) {
                    gather(&x, pixels, &self.segments[segments.clone()], panel);
                    self.add_products(segments, panel, pixels.len(), &packed, y);
                }
            });
        })
    }

    /// Adds the products of a panel with the weights of its segments to the results of its positions.
    fn add_products(
        &self,
        segments: Range<usize>,
        panel: &[f32],
        positions: usize,
        packed: &[f32],
        y: &mut [f32],
    ) {
        let width = self.width();
        let depths = self.starts[segments.start] * width..self.starts[segments.end] * width;
        for (block, packed) in packed.chunks_exact(self.block_len()).enumerate() {
            for rows in pieces(positions, tile::rows(self.level)) {
                let tile = ProductTile {
                    x: &panel[rows.start * DEPTH..],
                    pitch: positions * DEPTH,
                    segments: &self.segments[segments.clone()],
                    weight: &packed[depths.clone()],
                    y: &mut y[rows.start * self.outputs + block * width..],
                    outputs: self.outputs,
                    add: segments.start > 0,
                };
                tile.compute(rows.len(), width, self.level);
            }
        }
    }

    /// The transpose of what every position sees, times `dy`, in the weight's order.
    ///
    /// Tasks are pairs of a share of the positions and a range of the segments.
    fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let x = self.pad(x);
        let ranges: Vec<Range<usize>> = pieces(self.segments.len(), SEGMENTS).collect();
        let shares = TASKS.div_ceil(ranges.len()).min(self.positions().div_ceil(SHARE));
        let shares: Vec<Range<usize>> = pieces(self.positions(), self.positions().div_ceil(shares)).collect();
        let mut partials = zeros(shares.len() * self.depth() * self.outputs);
        let mut tasks = Vec::with_capacity(shares.len() * ranges.len());
        for (share, partial) in shares.iter().zip(partials.chunks_exact_mut(self.depth() * self.outputs)) {
            let first = tasks.len();
            tasks.extend(ranges.iter().map(|range| (share.clone(), range.clone(), Vec::new())));
            for mut block in partial.chunks_exact_mut(self.block_len()) {
                for (_, range, parts) in &mut tasks[first..] {
                    let depth = self.starts[range.end] - self.starts[range.start];
                    let (part, rest) = block.split_at_mut(depth * self.width());
                    parts.push(part);
                    block = rest;
                }
            }
        }
        tasks.into_par_iter().for_each(|(share, range, dw)| self.add_gradient(&x, dy, share, range, dw));
        self.unpack(&sum_partials(partials, self.depth() * self.outputs))
    }

    /// Adds to `dw`, for each output block (number seen, output of the block), what some positions give to the weights of
    /// some segments.
    fn add_gradient(
        &self,
        x: &[f32],
        dy: &[f32],
        positions: Range<usize>,
        segments: Range<usize>,
        mut dw: Vec<&mut [f32]>,
    ) {
        let (width, starts) = (self.width(), &self.starts[segments.clone()]);
        let segments = &self.segments[segments];
        SCRATCH.with_borrow_mut(|(panel, gradient, pixels)| {
            for part in pieces(positions.len(), PANEL / (segments.len() * DEPTH)) {
                let part = positions.start + part.start..positions.start + part.end;
                self.pixels(part.clone(), pixels);
                gather(x, pixels, segments, panel);
                let dy = &dy[part.start * self.outputs..part.end * self.outputs];
                for (block, dw) in dw.iter_mut().enumerate() {
                    gradient.clear();
                    for dy in dy.chunks_exact(self.outputs) {
                        gradient.extend_from_slice(&dy[block * width..(block + 1) * width]);
                    }
                    for (s, segment) in segments.iter().enumerate() {
                        for taps in pieces(segment.length, tile::taps(self.level)) {
                            let tile = GradientTile {
                                x: &panel[s * pixels.len() * DEPTH + taps.start..],
                                dy: gradient,
                                dw: &mut dw[(starts[s] - starts[0] + taps.start) * width..],
                                positions: pixels.len(),
                            };
                            tile.compute(taps.len(), width, self.level);
                        }
                    }
                }
            }
        });
    }
}

multiversion! {
    /// Copies the 16 numbers that each position sees of each segment.
    fn gather(x: &[f32], pixels: &[usize], segments: &[Segment], panel: &mut Vec<f32>) {
        panel.resize(segments.len() * pixels.len() * DEPTH, 0.0);
        for (segment, panel) in segments.iter().zip(panel.chunks_exact_mut(pixels.len() * DEPTH)) {
            let x = &x[segment.offset..];
            for (&pixel, to) in pixels.iter().zip(panel.chunks_exact_mut(DEPTH)) {
                to.copy_from_slice(&x[pixel..pixel + DEPTH]);
            }
        }
    }
}

multiversion! {
    /// For each of `starts`, the numbers at `offsets` behind it.
    fn pick(x: &[f32], starts: &[usize], offsets: &[usize], out: &mut [f32]) {
        for (&start, out) in starts.iter().zip(out.chunks_exact_mut(offsets.len())) {
            let x = &x[start..];
            for (out, &offset) in out.iter_mut().zip(offsets) {
                *out = x[offset];
            }
        }
    }
}

/// Positions along an axis of `length` that are `phase` after a multiple of the stride.
fn of_phase(length: usize, phase: usize, stride: usize) -> usize {
    length.saturating_sub(phase).div_ceil(stride)
}

/// `y = x * w`.
pub(super) fn forward(x: &[f32], weight: &[f32], g: &Geometry, level: Level) -> Vec<f32> {
    View::forward(g, level).product(x, weight)
}

/// The gradient of the input.
pub(super) fn input_gradient(dy: &[f32], weight: &[f32], g: &Geometry, level: Level) -> Vec<f32> {
    let phases: Vec<(usize, usize)> =
        (0..g.stride.0).flat_map(|row| (0..g.stride.1).map(move |col| (row, col))).collect();
    if let [phase] = phases[..]
        && let Some(view) = View::backward(g, phase, level)
    {
        return view.product(dy, weight);
    }
    let mut dx = zeros(g.samples * g.input_len());
    for phase in phases {
        let Some(view) = View::backward(g, phase, level) else { continue };
        let part = view.product(dy, weight);
        dx.par_chunks_exact_mut(g.input_len())
            .zip(part.par_chunks_exact(view.rows * view.cols * g.inputs))
            .for_each(|(dx, part)| {
                let lines = dx.chunks_exact_mut(g.width * g.inputs).skip(phase.0).step_by(g.stride.0);
                for (line, part) in lines.zip(part.chunks_exact(view.cols * g.inputs)) {
                    let pixels = line.chunks_exact_mut(g.inputs).skip(phase.1).step_by(g.stride.1);
                    for (pixel, part) in pixels.zip(part.chunks_exact(g.inputs)) {
                        pixel.copy_from_slice(part);
                    }
                }
            });
    }
    dx
}

/// The gradient of the weight.
pub(super) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry, level: Level) -> Vec<f32> {
    View::forward(g, level).weight_gradient(x, dy)
}
