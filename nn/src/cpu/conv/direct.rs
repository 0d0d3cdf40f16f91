//! Direct convolution with stride 1 on AVX-512.
//!
//! The padded image is copied, a band of rows at a time, into a layout of channel blocks, (row, block, column, channel
//! in the block), so that neighbouring columns are a constant distance apart. Accumulators of 12 to 14 columns by 32
//! output channels stay in registers over the whole sum. The weight gradient keeps 12 taps by 32 output channels in
//! registers over the pixels of a few rows. Which sums are formed in which order depends on the shapes alone.

use std::{
    arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps},
    cell::RefCell,
    ops::Range,
};

use rayon::prelude::*;

use super::{Geometry, pieces};
use crate::cpu::elementwise::sum_partials;

/// Numbers of a vector.
const LANES: usize = 16;
/// Most columns of a register tile.
const COLUMNS: usize = 14;
/// Most taps of a register tile of the weight gradient.
const TAPS: usize = 12;
/// Numbers of a band of the padded image: 256 KiB.
const BAND: usize = 1 << 16;
/// Pixels over which the weight gradient's registers are kept.
const PIXELS: usize = 192;

thread_local! {
    /// Scratch space of a thread: the band of the image and of the gradient.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Whether this file can compute the convolution.
pub(super) fn fits(g: &Geometry) -> bool {
    g.stride == (1, 1) && g.dilation == (1, 1) && g.groups == 1 && g.outputs.is_multiple_of(LANES)
}

/// Derived sizes.
#[derive(Debug, Clone, Copy)]
struct Plan {
    g: Geometry,
    rows: usize,
    cols: usize,
    /// Columns of the padded image.
    padded: usize,
    /// Channels of an input block.
    block: usize,
    /// Vectors of an output block: 2, or 1 where the outputs are an odd number of vectors.
    vectors: usize,
    /// Output rows of a band.
    band: usize,
}

impl Plan {
    fn new(g: &Geometry) -> Plan {
        let (rows, cols) = g.output();
        let padded = g.width + g.padding.left + g.padding.right;
        let row = padded * g.inputs;
        Plan {
            g: *g,
            rows,
            cols,
            padded,
            block: if g.inputs.is_multiple_of(LANES) { LANES } else { 1 },
            vectors: if g.outputs.is_multiple_of(2 * LANES) { 2 } else { 1 },
            band: (BAND / row).saturating_sub(g.kernel.0 - 1).clamp(1, rows),
        }
    }

    /// Channels of an output block.
    fn width(&self) -> usize {
        self.vectors * LANES
    }

    /// Numbers of a row of the padded image.
    fn row_len(&self) -> usize {
        self.padded * self.g.inputs
    }

    /// Numbers of the weight that belong to one output block.
    fn block_len(&self) -> usize {
        self.g.kernel.0 * self.g.kernel.1 * self.g.inputs * self.width()
    }

    /// The weight's index (output, input, row, column) of each number of output block `o`, in the packed order (kernel
    /// row, input block, kernel column, input in the block, output in the block).
    fn for_weights(&self, o: usize, mut visit: impl FnMut(usize, [usize; 4])) {
        let mut at = 0;
        for kr in 0..self.g.kernel.0 {
            for ib in 0..self.g.inputs / self.block {
                for kc in 0..self.g.kernel.1 {
                    for i in ib * self.block..(ib + 1) * self.block {
                        for k in o * self.width()..(o + 1) * self.width() {
                            visit(at, [k, i, kr, kc]);
                            at += 1;
                        }
                    }
                }
            }
        }
    }

    /// The weight in the packed order; with `flip` that of the transposed convolution, from the original weight.
    fn pack(&self, weight: &[f32], flip: bool) -> Vec<f32> {
        let mut packed = vec![0.0; weight.len()];
        let (rows, cols) = self.g.kernel;
        let pieces = packed.par_chunks_mut(self.block_len()).enumerate();
        pieces.for_each(|(o, packed)| {
            self.for_weights(o, |at, [k, i, r, c]| {
                let from = if flip {
                    ((i * self.g.outputs + k) * rows + rows - 1 - r) * cols + cols - 1 - c
                } else {
                    ((k * self.g.inputs + i) * rows + r) * cols + c
                };
                packed[at] = weight[from];
            });
        });
        packed
    }

    /// The inverse of [`Plan::pack`] without flip.
    fn unpack(&self, packed: &[f32]) -> Vec<f32> {
        let mut weight = vec![0.0; packed.len()];
        let (rows, cols) = self.g.kernel;
        let per_output = self.g.inputs * rows * cols;
        weight
            .par_chunks_mut(self.block_len())
            .zip(packed.par_chunks(self.block_len()))
            .enumerate()
            .for_each(|(o, (weight, packed))| {
                self.for_weights(o, |at, [k, i, r, c]| {
                    let k = k - o * self.width();
                    weight[k * per_output + (i * rows + r) * cols + c] = packed[at];
                });
            });
        weight
    }

    /// Copies what output rows `rows` of a sample see, with zeros around, into channel blocks.
    fn fill(&self, x: &[f32], rows: Range<usize>, band: &mut Vec<f32>) {
        let g = &self.g;
        let lines = rows.len() + g.kernel.0 - 1;
        band.resize(lines * self.row_len(), 0.0);
        for (line, out) in band.chunks_exact_mut(self.row_len()).enumerate() {
            let row = (rows.start + line).wrapping_sub(g.padding.top);
            if row >= g.height {
                out.fill(0.0);
                continue;
            }
            let image = &x[row * g.width * g.inputs..(row + 1) * g.width * g.inputs];
            let plane = self.padded * self.block;
            let (left, right) = (g.padding.left * self.block, plane - g.padding.right * self.block);
            for (b, out) in out.chunks_exact_mut(plane).enumerate() {
                out[..left].fill(0.0);
                out[right..].fill(0.0);
                let inner = &mut out[left..right];
                if self.block == LANES {
                    let pixels = image.chunks_exact(g.inputs);
                    for (out, pixel) in inner.chunks_exact_mut(LANES).zip(pixels) {
                        out.copy_from_slice(&pixel[b * LANES..(b + 1) * LANES]);
                    }
                } else {
                    for (out, pixel) in inner.iter_mut().zip(image.chunks_exact(g.inputs)) {
                        *out = pixel[b];
                    }
                }
            }
        }
    }
}

/// `y = x * w`; with `flip` the weight is that of the convolution whose transpose `g` is.
pub(super) fn forward(x: &[f32], weight: &[f32], g: &Geometry, flip: bool) -> Vec<f32> {
    let plan = Plan::new(g);
    let packed = plan.pack(weight, flip);
    let mut y = vec![0.0; g.samples * g.output_len()];
    let row = plan.cols * g.outputs;
    y.par_chunks_mut(g.output_len()).zip(x.par_chunks(g.input_len())).for_each(|(y, x)| {
        y.par_chunks_mut(plan.band * row).enumerate().for_each(|(i, y)| {
            let first = i * plan.band;
            SCRATCH.with_borrow_mut(|(band, _)| {
                plan.fill(x, first..first + y.len() / row, band);
                forward_band(&plan, band, &packed, y);
            });
        });
    });
    y
}

/// The output rows of a band.
fn forward_band(plan: &Plan, band: &[f32], packed: &[f32], y: &mut [f32]) {
    let row = plan.cols * plan.g.outputs;
    for (o, weight) in packed.chunks_exact(plan.block_len()).enumerate() {
        for (r, y) in y.chunks_exact_mut(row).enumerate() {
            for cols in pieces(plan.cols, COLUMNS) {
                let from = r * plan.row_len() + cols.start * plan.block;
                let tile = ForwardTile {
                    x: &band[from..],
                    weight,
                    y: &mut y[cols.start * plan.g.outputs + o * plan.width()..],
                };
                tile.compute(plan, cols.len());
            }
        }
    }
}

/// A register tile of the output: some columns of one row by one output block.
struct ForwardTile<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    y: &'a mut [f32],
}

impl ForwardTile<'_> {
    fn compute(self, plan: &Plan, columns: usize) {
        macro_rules! dispatch {
            ($($n:literal)*) => {
                match (columns, plan.vectors, plan.block) {
                    // SAFETY: callers have seen that this machine has AVX-512.
                    $(($n, 2, 1) => unsafe { self.run::<$n, 2, 1>(plan) },)*
                    // SAFETY: as above.
                    $(($n, 1, 1) => unsafe { self.run::<$n, 1, 1>(plan) },)*
                    // SAFETY: as above.
                    $(($n, 2, _) => unsafe { self.run::<$n, 2, LANES>(plan) },)*
                    // SAFETY: as above.
                    $(($n, _, _) => unsafe { self.run::<$n, 1, LANES>(plan) },)*
                    _ => {}
                }
            };
        }
        dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    #[target_feature(enable = "avx512f")]
    fn run<const N: usize, const V: usize, const B: usize>(self, plan: &Plan) {
        let g = &plan.g;
        let plane = plan.padded * B;
        let blocks = g.inputs / B;
        let last = (g.kernel.0 - 1) * plan.row_len() + (blocks - 1) * plane + (g.kernel.1 - 1) * B + N * B;
        assert!(last <= self.x.len());
        assert!(g.kernel.0 * blocks * g.kernel.1 * B * V * LANES <= self.weight.len());
        assert!((N - 1) * g.outputs + V * LANES <= self.y.len());
        let mut sums = [[_mm512_setzero_ps(); V]; N];
        let mut weight = self.weight.as_ptr();
        for kr in 0..g.kernel.0 {
            for b in 0..blocks {
                // SAFETY: at most `last`, checked above.
                let line = unsafe { self.x.as_ptr().add(kr * plan.row_len() + b * plane) };
                for kc in 0..g.kernel.1 {
                    // SAFETY: as above.
                    let x = unsafe { line.add(kc * B) };
                    for c in 0..B {
                        let mut w = [_mm512_setzero_ps(); V];
                        for (v, w) in w.iter_mut().enumerate() {
                            // SAFETY: the loops read as many weights as were checked above.
                            *w = unsafe { _mm512_loadu_ps(weight.add(v * LANES)) };
                        }
                        // SAFETY: at most one past the end.
                        weight = unsafe { weight.add(V * LANES) };
                        for (n, sums) in sums.iter_mut().enumerate() {
                            // SAFETY: `last` bounds it, checked above.
                            let x = _mm512_set1_ps(unsafe { *x.add(n * B + c) });
                            for (sum, &w) in sums.iter_mut().zip(&w) {
                                *sum = _mm512_fmadd_ps(x, w, *sum);
                            }
                        }
                    }
                }
            }
        }
        for (n, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let at = n * g.outputs + v * LANES;
                // SAFETY: within `y`, checked above.
                unsafe { _mm512_storeu_ps(self.y.as_mut_ptr().add(at), sum) };
            }
        }
    }
}

/// The gradient of the weight: one task for each group of samples and output block.
pub(super) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    let plan = Plan::new(g);
    let groups = g.samples.div_ceil(g.share());
    let blocks = g.outputs / plan.width();
    let mut partials = vec![0.0; groups * g.weight_len()];
    partials.par_chunks_mut(plan.block_len()).enumerate().for_each(|(task, dw)| {
        let (group, o) = (task / blocks, task % blocks);
        let samples = group * g.share()..((group + 1) * g.share()).min(g.samples);
        SCRATCH.with_borrow_mut(|(band, gradient)| {
            for sample in samples {
                let x = &x[sample * g.input_len()..(sample + 1) * g.input_len()];
                let dy = &dy[sample * g.output_len()..(sample + 1) * g.output_len()];
                for first in (0..plan.rows).step_by(plan.band) {
                    let rows = first..(first + plan.band).min(plan.rows);
                    plan.fill(x, rows.clone(), band);
                    copy_block(&plan, dy, rows.clone(), o, gradient);
                    gradient_band(&plan, band, gradient, rows.len(), dw);
                }
            }
        });
    });
    plan.unpack(&sum_partials(&partials, g.weight_len()))
}

/// Copies one output block of some rows of the gradient.
fn copy_block(plan: &Plan, dy: &[f32], rows: Range<usize>, o: usize, out: &mut Vec<f32>) {
    let (outputs, width) = (plan.g.outputs, plan.width());
    out.resize(rows.len() * plan.cols * width, 0.0);
    let pixels = dy[rows.start * plan.cols * outputs..rows.end * plan.cols * outputs].chunks_exact(outputs);
    for (out, pixel) in out.chunks_exact_mut(width).zip(pixels) {
        out.copy_from_slice(&pixel[o * width..(o + 1) * width]);
    }
}

/// Adds what a band gives to the gradient of the weight.
fn gradient_band(plan: &Plan, band: &[f32], gradient: &[f32], rows: usize, dw: &mut [f32]) {
    let g = &plan.g;
    let (taps, blocks) = (g.kernel.1 * plan.block, g.inputs / plan.block);
    for rows in pieces(rows, (PIXELS / plan.cols).max(1)) {
        let dy = &gradient[rows.start * plan.cols * plan.width()..];
        for kr in 0..g.kernel.0 {
            for b in 0..blocks {
                for q in pieces(taps, TAPS) {
                    let from = (rows.start + kr) * plan.row_len() + b * plan.padded * plan.block;
                    let to = ((kr * blocks + b) * taps + q.start) * plan.width();
                    let tile =
                        GradientTile { x: &band[from + q.start..], dy, dw: &mut dw[to..], rows: rows.len() };
                    tile.compute(plan, q.len());
                }
            }
        }
    }
}

/// A register tile of the weight gradient: some taps of one kernel row and input block by one output block.
struct GradientTile<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
    rows: usize,
}

impl GradientTile<'_> {
    fn compute(self, plan: &Plan, taps: usize) {
        macro_rules! dispatch {
            ($($n:literal)*) => {
                match (taps, plan.vectors) {
                    // SAFETY: callers have seen that this machine has AVX-512.
                    $(($n, 2) => unsafe { self.run::<$n, 2>(plan) },)*
                    // SAFETY: as above.
                    $(($n, _) => unsafe { self.run::<$n, 1>(plan) },)*
                    _ => {}
                }
            };
        }
        dispatch!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    #[target_feature(enable = "avx512f")]
    fn run<const N: usize, const V: usize>(self, plan: &Plan) {
        let row_len = plan.row_len();
        let last = (self.rows - 1) * row_len + (plan.cols - 1) * plan.block + N;
        assert!(last <= self.x.len());
        assert!(self.rows * plan.cols * V * LANES <= self.dy.len());
        assert!(N * V * LANES <= self.dw.len());
        let dw = self.dw.as_mut_ptr();
        let mut sums = [[_mm512_setzero_ps(); V]; N];
        for (n, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: within `dw`, checked above.
                *sum = unsafe { _mm512_loadu_ps(dw.add((n * V + v) * LANES)) };
            }
        }
        let mut dy = self.dy.as_ptr();
        for row in 0..self.rows {
            // SAFETY: at most `last`, checked above.
            let mut x = unsafe { self.x.as_ptr().add(row * row_len) };
            for _ in 0..plan.cols {
                let mut d = [_mm512_setzero_ps(); V];
                for (v, d) in d.iter_mut().enumerate() {
                    // SAFETY: the loops read as many numbers of `dy` as were checked above.
                    *d = unsafe { _mm512_loadu_ps(dy.add(v * LANES)) };
                }
                for (n, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: `last` bounds it, checked above.
                    let x = _mm512_set1_ps(unsafe { *x.add(n) });
                    for (sum, &d) in sums.iter_mut().zip(&d) {
                        *sum = _mm512_fmadd_ps(x, d, *sum);
                    }
                }
                dy = dy.wrapping_add(V * LANES);
                x = x.wrapping_add(plan.block);
            }
        }
        for (n, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                // SAFETY: within `dw`, checked above.
                unsafe { _mm512_storeu_ps(dw.add((n * V + v) * LANES), sum) };
            }
        }
    }
}
