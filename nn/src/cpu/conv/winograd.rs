//! 3x3 convolution with stride 1 by Winograd's F(4x4, 3x3) on AVX-512: a quarter of the multiplications.
//!
//! The output is cut into tiles of 4 by 4 pixels. Each tile sees 6 by 6 pixels of the input; both, and the weight, are
//! transformed to 36 numbers a channel, and for each of the 36 the convolution is a product of matrices, (tiles, inputs) by
//! (inputs, outputs). Tiles go in blocks of [`TILES`] through all three steps, so that they stay in the L2 cache; a
//! transformed block is stored as (channels / 16, tile, point, 16), so that a tile is written to one place and its neighbours
//! are a constant distance apart. The
//! gradient of the weight is the transposed computation: the product is (inputs, tiles) by (tiles, outputs). The gradient of
//! the input is a convolution of the same kind with the kernel flipped. Which sums are formed in which order depends on the
//! shapes alone.
//!
//! Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, with its points 0, 1, -1, 2, -2.

use std::{
    arch::x86_64::{
        __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_mul_ps,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps, _mm512_sub_ps,
    },
    cell::RefCell,
};

use rayon::prelude::*;

use super::geometry::{Geometry, pieces};
use crate::cpu::zeros::{filled, zeros};
use sndpipe_linalg::Level;

/// Numbers of a vector.
const LANES: usize = 16;
/// Rows and columns of an output tile.
const OUT: usize = 4;
/// Rows and columns of an input tile, and of a transformed one.
const IN: usize = 6;
/// Numbers of a transformed tile.
const POINTS: usize = IN * IN;
/// Numbers from a tile to the next in a block: an odd number of cache lines, so that a point's tiles fall into all sets.
const PITCH: usize = (POINTS + 1) * LANES;
/// Tiles of a block.
const TILES: usize = 56;
/// Most tiles of a register tile.
const ROWS: usize = 14;
/// Inputs of a register tile of the weight's gradient.
const TAPS: usize = 8;
/// Numbers of the transformed blocks that the gradient of the weight keeps at a time: 4 MiB.
const KEPT: usize = 1 << 20;

thread_local! {
    /// Scratch space of a thread: the transformed input and output of a block, and a tile at the edge.
    static SCRATCH: RefCell<[Vec<f32>; 3]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

/// Whether this file can compute the convolution, and should: with few channels the transforms cost more than they save, and
/// tiles of a map that is hardly larger than one are mostly beyond it.
pub(super) fn fits(g: &Geometry, level: Level) -> bool {
    let (rows, cols) = g.output();
    let tiles = rows.div_ceil(OUT) * cols.div_ceil(OUT);
    level == Level::Avx512
        && g.kernel == (3, 3)
        && g.stride == (1, 1)
        && g.dilation == (1, 1)
        && g.groups == 1
        && g.inputs.is_multiple_of(LANES)
        && g.outputs.is_multiple_of(LANES)
        && g.inputs.min(g.outputs) >= 2 * LANES
        && 3 * POINTS * tiles < 9 * rows * cols
}

/// An image (rows, columns, channels), read in tiles that may reach beyond it: there it is zero.
#[derive(Clone, Copy)]
struct Image<'a> {
    data: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
}

impl Image<'_> {
    /// Transforms the tile of `N` by `N` pixels at (`row`, `col`) to place `at` of a block. `edge` is scratch space.
    fn transform<P: ToPoints<N>, const N: usize>(
        &self,
        (row, col): (isize, isize),
        at: usize,
        block: &mut [f32],
        edge: &mut Vec<f32>,
    ) {
        let channels = self.channels;
        let inside = |from: isize, size: usize| from >= 0 && from as usize + N <= size;
        if inside(row, self.height) && inside(col, self.width) {
            let pixels = &self.data[(row as usize * self.width + col as usize) * channels..];
            // SAFETY: callers have seen that this machine has AVX-512.
            return unsafe { transform::<P, N>(pixels, self.width * channels, at, channels, block) };
        }
        edge.clear();
        edge.resize(N * N * channels, 0.0);
        let cut = |from: isize, size: usize| {
            let first = from.clamp(0, size as isize);
            (
                first as usize,
                (first - from) as usize,
                (from + N as isize).clamp(first, size as isize) as usize,
            )
        };
        let ((top, skipped, bottom), (left, offset, right)) = (cut(row, self.height), cut(col, self.width));
        for (r, row) in (top..bottom).enumerate() {
            let line =
                &self.data[(row * self.width + left) * channels..(row * self.width + right) * channels];
            let to = ((skipped + r) * N + offset) * channels;
            edge[to..to + line.len()].copy_from_slice(line);
        }
        // SAFETY: as above.
        unsafe { transform::<P, N>(edge, N * channels, at, channels, block) };
    }
}

/// Where a tile of the output lies.
#[derive(Clone, Copy)]
struct Tile {
    sample: usize,
    row: usize,
    col: usize,
}

/// The tiles of a batch.
#[derive(Debug, Clone, Copy)]
struct Grid {
    g: Geometry,
    /// Tiles of a row of tiles.
    across: usize,
    /// Tiles of a sample.
    each: usize,
    /// Vectors of an output block: 2, or 1 where the outputs are an odd number of vectors.
    vectors: usize,
}

impl Grid {
    fn new(g: &Geometry) -> Grid {
        let (rows, cols) = g.output();
        let across = cols.div_ceil(OUT);
        let vectors = if g.outputs.is_multiple_of(2 * LANES) { 2 } else { 1 };
        Grid { g: *g, across, each: across * rows.div_ceil(OUT), vectors }
    }

    /// Tiles of the batch.
    fn tiles(&self) -> usize {
        self.each * self.g.samples
    }

    fn tile(&self, index: usize) -> Tile {
        let (sample, tile) = (index / self.each, index % self.each);
        Tile { sample, row: tile / self.across * OUT, col: tile % self.across * OUT }
    }

    /// Channels of an output block.
    fn width(&self) -> usize {
        self.vectors * LANES
    }

    /// What the tiles from `first` on see of the batch `x`, transformed. Returns how many tiles.
    fn transform_inputs(&self, x: &[f32], first: usize, block: &mut [f32], edge: &mut Vec<f32>) -> usize {
        let g = &self.g;
        let count = TILES.min(self.tiles() - first);
        for at in 0..count {
            let tile = self.tile(first + at);
            let data = &x[tile.sample * g.input_len()..(tile.sample + 1) * g.input_len()];
            let image = Image { data, height: g.height, width: g.width, channels: g.inputs };
            let corner = |at: usize, padding: usize| at as isize - padding as isize;
            let from = (corner(tile.row, g.padding.top), corner(tile.col, g.padding.left));
            image.transform::<Input, IN>(from, at, block, edge);
        }
        count
    }

    /// The gradient of the output at the tiles from `first` on, transformed.
    fn transform_gradients(&self, dy: &[f32], first: usize, block: &mut [f32], edge: &mut Vec<f32>) {
        let g = &self.g;
        let (height, width) = g.output();
        for at in 0..TILES.min(self.tiles() - first) {
            let tile = self.tile(first + at);
            let data = &dy[tile.sample * g.output_len()..(tile.sample + 1) * g.output_len()];
            let image = Image { data, height, width, channels: g.outputs };
            image.transform::<Gradient, OUT>((tile.row as isize, tile.col as isize), at, block, edge);
        }
    }

    /// The weight, transformed: (output block, point, input, output in the block); with `flip` that of the convolution
    /// whose transpose `g` is.
    fn transform_weight(&self, weight: &[f32], flip: bool) -> Vec<f32> {
        let (inputs, outputs, width) = (self.g.inputs, self.g.outputs, self.width());
        filled(POINTS * inputs * outputs, POINTS * inputs * width, |o, block| {
            for i in 0..inputs {
                for k in (0..width).step_by(LANES) {
                    let taps: [[f32; LANES]; 9] = std::array::from_fn(|tap| {
                        std::array::from_fn(|lane| {
                            let output = o * width + k + lane;
                            if flip {
                                weight[(i * outputs + output) * 9 + 8 - tap]
                            } else {
                                weight[(output * inputs + i) * 9 + tap]
                            }
                        })
                    });
                    // SAFETY: callers have seen that this machine has AVX-512.
                    let points = unsafe { weight_points(&taps) };
                    for (point, values) in points.iter().enumerate() {
                        let to = (point * inputs + i) * width + k;
                        block[to..to + LANES].copy_from_slice(values);
                    }
                }
            }
        })
    }
}

/// `G w G'` for 16 outputs.
#[target_feature(enable = "avx512f")]
fn weight_points(taps: &[[f32; LANES]; 9]) -> [[f32; LANES]; POINTS] {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn points(w: [__m512; 3]) -> [__m512; IN] {
        let [quarter, sixth, twelfth] = [0.25, 1.0 / 6.0, 1.0 / 12.0].map(|factor| _mm512_set1_ps(factor));
        let (even, half) = (_mm512_mul_ps(sixth, _mm512_add_ps(w[0], w[2])), _mm512_mul_ps(sixth, w[1]));
        let far = _mm512_fmadd_ps(_mm512_mul_ps(quarter, sixth), w[0], _mm512_mul_ps(sixth, w[2]));
        let near = _mm512_mul_ps(twelfth, w[1]);
        let zero = _mm512_setzero_ps();
        [
            _mm512_mul_ps(quarter, w[0]),
            _mm512_sub_ps(zero, _mm512_add_ps(even, half)),
            _mm512_sub_ps(half, even),
            _mm512_add_ps(far, near),
            _mm512_sub_ps(far, near),
            w[2],
        ]
    }
    let rows: [[__m512; IN]; 3] =
        std::array::from_fn(|r| points(std::array::from_fn(|c| load(&taps[3 * r + c]))));
    let mut out = [[0.0; LANES]; POINTS];
    for c in 0..IN {
        for (r, value) in points([rows[0][c], rows[1][c], rows[2][c]]).into_iter().enumerate() {
            store(&mut out[r * IN + c], value);
        }
    }
    out
}

/// `G' u G` for 16 outputs: the transpose of [`weight_points`].
#[target_feature(enable = "avx512f")]
fn weight_taps(points: &[[f32; LANES]; POINTS]) -> [[f32; LANES]; 9] {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn taps(u: [__m512; IN]) -> [__m512; 3] {
        let [quarter, sixth, twelfth] = [0.25, 1.0 / 6.0, 1.0 / 12.0].map(|factor| _mm512_set1_ps(factor));
        let even = _mm512_mul_ps(sixth, _mm512_add_ps(u[1], u[2]));
        let odd = _mm512_mul_ps(sixth, _mm512_sub_ps(u[2], u[1]));
        let far = _mm512_mul_ps(sixth, _mm512_add_ps(u[3], u[4]));
        let near = _mm512_mul_ps(twelfth, _mm512_sub_ps(u[3], u[4]));
        [
            _mm512_sub_ps(_mm512_fmadd_ps(quarter, u[0], _mm512_mul_ps(quarter, far)), even),
            _mm512_add_ps(odd, near),
            _mm512_add_ps(_mm512_sub_ps(far, even), u[5]),
        ]
    }
    let rows: [[__m512; 3]; IN] =
        std::array::from_fn(|r| taps(std::array::from_fn(|c| load(&points[r * IN + c]))));
    let mut out = [[0.0; LANES]; 9];
    for c in 0..3 {
        for (r, value) in taps(std::array::from_fn(|r| rows[r][c])).into_iter().enumerate() {
            store(&mut out[3 * r + c], value);
        }
    }
    out
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; LANES]) -> __m512 {
    // SAFETY: the array is as long as a vector.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: &mut [f32; LANES], value: __m512) {
    // SAFETY: the array is as long as a vector.
    unsafe { _mm512_storeu_ps(values.as_mut_ptr(), value) }
}

/// Numbers of a block with so many channels.
fn block_len(channels: usize) -> usize {
    channels / LANES * TILES * PITCH
}

/// Where a tile of a block begins for the vector of channels at `channel`.
fn place(tile: usize, channel: usize) -> usize {
    (channel / LANES * TILES + tile) * PITCH
}

/// A transform to 36 numbers a tile, in one dimension.
trait ToPoints<const N: usize> {
    /// # Safety
    /// The machine has AVX-512.
    unsafe fn points(values: [__m512; N]) -> [__m512; IN];
}

/// That of the input.
struct Input;

impl ToPoints<IN> for Input {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn points(d: [__m512; IN]) -> [__m512; IN] {
        let (two, four, five) = (_mm512_set1_ps(2.0), _mm512_set1_ps(4.0), _mm512_set1_ps(5.0));
        let a = _mm512_fnmadd_ps(four, d[2], d[4]);
        let b = _mm512_fnmadd_ps(four, d[1], d[3]);
        let c = _mm512_sub_ps(d[4], d[2]);
        let e = _mm512_sub_ps(d[3], d[1]);
        [
            _mm512_fmadd_ps(four, d[0], _mm512_fnmadd_ps(five, d[2], d[4])),
            _mm512_add_ps(a, b),
            _mm512_sub_ps(a, b),
            _mm512_fmadd_ps(two, e, c),
            _mm512_fnmadd_ps(two, e, c),
            _mm512_fmadd_ps(four, d[1], _mm512_fnmadd_ps(five, d[3], d[5])),
        ]
    }
}

/// That of the gradient of the output: the transpose of [`output`].
struct Gradient;

impl ToPoints<OUT> for Gradient {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn points(y: [__m512; OUT]) -> [__m512; IN] {
        let (four, eight) = (_mm512_set1_ps(4.0), _mm512_set1_ps(8.0));
        let (even, odd) = (_mm512_add_ps(y[0], y[2]), _mm512_add_ps(y[1], y[3]));
        let far = _mm512_fmadd_ps(four, y[2], y[0]);
        let near = _mm512_fmadd_ps(eight, y[3], _mm512_add_ps(y[1], y[1]));
        [
            y[0],
            _mm512_add_ps(even, odd),
            _mm512_sub_ps(even, odd),
            _mm512_add_ps(far, near),
            _mm512_sub_ps(far, near),
            y[3],
        ]
    }
}

/// One dimension of the transform from products to pixels.
#[inline]
#[target_feature(enable = "avx512f")]
fn output(m: [__m512; IN]) -> [__m512; OUT] {
    let (two, four, eight) = (_mm512_set1_ps(2.0), _mm512_set1_ps(4.0), _mm512_set1_ps(8.0));
    let (p, q) = (_mm512_add_ps(m[1], m[2]), _mm512_sub_ps(m[1], m[2]));
    let (r, s) = (_mm512_add_ps(m[3], m[4]), _mm512_sub_ps(m[3], m[4]));
    [
        _mm512_add_ps(m[0], _mm512_add_ps(p, r)),
        _mm512_fmadd_ps(two, s, q),
        _mm512_fmadd_ps(four, r, p),
        _mm512_add_ps(_mm512_fmadd_ps(eight, s, q), m[5]),
    ]
}

/// Transforms a tile in both dimensions and puts it at place `at` of a block. Rows of `pixels` are `row` apart.
#[target_feature(enable = "avx512f")]
fn transform<P: ToPoints<N>, const N: usize>(
    pixels: &[f32],
    row: usize,
    at: usize,
    channels: usize,
    block: &mut [f32],
) {
    assert!(at < TILES && block.len() >= block_len(channels));
    assert!(channels.is_multiple_of(LANES) && (N - 1) * row + N * channels <= pixels.len());
    for channel in (0..channels).step_by(LANES) {
        let columns: [[__m512; IN]; N] = std::array::from_fn(|c| {
            // SAFETY: within `pixels`, checked above.
            let load = |r| unsafe { _mm512_loadu_ps(pixels.as_ptr().add(r * row + c * channels + channel)) };
            // SAFETY: this function runs on AVX-512 only.
            unsafe { P::points(std::array::from_fn(load)) }
        });
        for r in 0..IN {
            // SAFETY: as above.
            let row = unsafe { P::points(columns.map(|column| column[r])) };
            for (c, value) in row.into_iter().enumerate() {
                let to = place(at, channel) + (r * IN + c) * LANES;
                // SAFETY: within `block`, checked above.
                unsafe { _mm512_storeu_ps(block.as_mut_ptr().add(to), value) };
            }
        }
    }
}

/// The pixels of the tile at place `at` of a block of products, for one vector of outputs from `channel` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn pixels(block: &[f32], at: usize, channel: usize) -> [[__m512; OUT]; OUT] {
    assert!(at < TILES && block.len() >= block_len(channel + LANES));
    let columns: [[__m512; OUT]; IN] = std::array::from_fn(|c| {
        output(std::array::from_fn(|r| {
            let from = place(at, channel) + (r * IN + c) * LANES;
            // SAFETY: within `block`, checked above.
            unsafe { _mm512_loadu_ps(block.as_ptr().add(from)) }
        }))
    });
    std::array::from_fn(|r| output(columns.map(|column| column[r])))
}

/// `y = x * w`; with `flip` the weight is that of the convolution whose transpose `g` is.
pub(super) fn forward(x: &[f32], weight: &[f32], g: &Geometry, flip: bool) -> Vec<f32> {
    let grid = Grid::new(g);
    let packed = grid.transform_weight(weight, flip);
    let mut y = zeros(g.samples * g.output_len());
    let out = Out(y.as_mut_ptr());
    (0..grid.tiles().div_ceil(TILES)).into_par_iter().for_each(|block| {
        let first = block * TILES;
        SCRATCH.with_borrow_mut(|[seen, products, edge]| {
            seen.resize(block_len(g.inputs), 0.0);
            products.resize(block_len(g.outputs), 0.0);
            let count = grid.transform_inputs(x, first, seen, edge);
            multiply(&grid, seen, &packed, count, products);
            for at in 0..count {
                // SAFETY: callers have seen that this machine has AVX-512; no two tiles share a pixel.
                unsafe { out.store(&grid, grid.tile(first + at), at, products) };
            }
        });
    });
    y
}

/// The output, to which several threads write, each its own tiles.
#[derive(Clone, Copy)]
struct Out(*mut f32);

// SAFETY: it is a pointer into a buffer that outlives the threads; who writes where is up to the callers of `store`.
unsafe impl Sync for Out {}

impl Out {
    /// Writes a tile: what is at place `at` of a block of products.
    ///
    /// # Safety
    /// The buffer holds the whole output, and nobody else reads or writes this tile meanwhile.
    #[target_feature(enable = "avx512f")]
    unsafe fn store(&self, grid: &Grid, tile: Tile, at: usize, products: &[f32]) {
        let outputs = grid.g.outputs;
        let (rows, cols) = grid.g.output();
        assert!(tile.sample < grid.g.samples && tile.row < rows && tile.col < cols);
        for channel in (0..outputs).step_by(LANES) {
            let values = pixels(products, at, channel);
            for (r, row) in values.iter().enumerate().take(rows - tile.row) {
                for (c, &value) in row.iter().enumerate().take(cols - tile.col) {
                    let pixel = (tile.sample * rows + tile.row + r) * cols + tile.col + c;
                    // SAFETY: the pixel lies in the image, and `channel` is followed by a whole vector.
                    unsafe { _mm512_storeu_ps(self.0.add(pixel * outputs + channel), value) };
                }
            }
        }
    }
}

/// For each point the product (tiles, inputs) by (inputs, outputs).
fn multiply(grid: &Grid, seen: &[f32], packed: &[f32], tiles: usize, products: &mut [f32]) {
    let (inputs, width) = (grid.g.inputs, grid.width());
    for point in 0..POINTS {
        for (o, panel) in packed.chunks_exact(POINTS * inputs * width).enumerate() {
            let panel = &panel[point * inputs * width..][..inputs * width];
            for rows in pieces(tiles, ROWS) {
                let a = &seen[place(rows.start, 0) + point * LANES..];
                let c = &mut products[place(rows.start, o * width) + point * LANES..];
                macro_rules! dispatch {
                    ($($n:literal)*) => {
                        match (rows.len(), grid.vectors) {
                            // SAFETY: callers have seen that this machine has AVX-512.
                            $(($n, 2) => unsafe { product::<$n, 2>(a, panel, c) },)*
                            // SAFETY: as above.
                            $(($n, _) => unsafe { product::<$n, 1>(a, panel, c) },)*
                            _ => {}
                        }
                    };
                }
                dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
            }
        }
    }
}

/// `N` tiles of a point by `V` vectors of outputs: `a` and `c` are parts of blocks, `b` is (input, output).
#[target_feature(enable = "avx512f")]
fn product<const N: usize, const V: usize>(a: &[f32], b: &[f32], c: &mut [f32]) {
    let blocks = b.len() / (LANES * V * LANES);
    assert!(blocks > 0 && ((blocks - 1) * TILES + N - 1) * PITCH + LANES <= a.len());
    assert!(((V - 1) * TILES + N - 1) * PITCH + LANES <= c.len());
    let mut sums = [[_mm512_setzero_ps(); V]; N];
    let mut weight = b.as_ptr();
    for block in 0..blocks {
        // SAFETY: within `a`, checked above.
        let a = unsafe { a.as_ptr().add(block * TILES * PITCH) };
        for i in 0..LANES {
            let mut w = [_mm512_setzero_ps(); V];
            for (v, w) in w.iter_mut().enumerate() {
                // SAFETY: `b` holds `blocks * LANES` rows of `V` vectors.
                *w = unsafe { _mm512_loadu_ps(weight.add(v * LANES)) };
            }
            // SAFETY: at most one past the end.
            weight = unsafe { weight.add(V * LANES) };
            for (n, sums) in sums.iter_mut().enumerate() {
                // SAFETY: within `a`, checked above.
                let x = _mm512_set1_ps(unsafe { *a.add(n * PITCH + i) });
                for (sum, &w) in sums.iter_mut().zip(&w) {
                    *sum = _mm512_fmadd_ps(x, w, *sum);
                }
            }
        }
    }
    for (n, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: within `c`, checked above.
            unsafe { _mm512_storeu_ps(c.as_mut_ptr().add((v * TILES + n) * PITCH), sum) };
        }
    }
}

/// The gradient of the weight.
pub(super) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    let grid = Grid::new(g);
    let (seen_len, wanted_len) = (block_len(g.inputs), block_len(g.outputs));
    let blocks = grid.tiles().div_ceil(TILES);
    let together = (KEPT / (seen_len + wanted_len)).clamp(1, blocks);
    let (mut seen, mut wanted) = (vec![0.0; together * seen_len], vec![0.0; together * wanted_len]);
    // (point, input, output)
    let mut sums = zeros(POINTS * g.inputs * g.outputs);
    for start in (0..blocks).step_by(together) {
        let now = together.min(blocks - start);
        let both = seen.par_chunks_mut(seen_len).zip(wanted.par_chunks_mut(wanted_len));
        both.take(now).enumerate().for_each(|(block, (seen, wanted))| {
            SCRATCH.with_borrow_mut(|[_, _, edge]| {
                grid.transform_inputs(x, (start + block) * TILES, seen, edge);
                grid.transform_gradients(dy, (start + block) * TILES, wanted, edge);
            });
        });
        sums.par_chunks_mut(g.inputs * g.outputs).enumerate().for_each(|(point, sums)| {
            let both = seen.chunks_exact(seen_len).zip(wanted.chunks_exact(wanted_len)).take(now);
            for (block, (seen, wanted)) in both.enumerate() {
                let tiles = TILES.min(grid.tiles() - (start + block) * TILES);
                add_gradients(&grid, &seen[point * LANES..], &wanted[point * LANES..], tiles, sums);
            }
        });
    }
    filled(g.weight_len(), LANES * g.inputs * 9, |o, dw| {
        for i in 0..g.inputs {
            let points = std::array::from_fn(|point| {
                let from = (point * g.inputs + i) * g.outputs + o * LANES;
                std::array::from_fn(|lane| sums[from + lane])
            });
            // SAFETY: callers have seen that this machine has AVX-512.
            let taps = unsafe { weight_taps(&points) };
            for (tap, values) in taps.iter().enumerate() {
                for (lane, &value) in values.iter().enumerate() {
                    dw[(lane * g.inputs + i) * 9 + tap] = value;
                }
            }
        }
    })
}

/// Adds the product (inputs, tiles) by (tiles, outputs) of one point to `sums` (input, output).
fn add_gradients(grid: &Grid, seen: &[f32], wanted: &[f32], tiles: usize, sums: &mut [f32]) {
    let (inputs, outputs) = (grid.g.inputs, grid.g.outputs);
    for o in (0..outputs).step_by(grid.width()) {
        let wanted = &wanted[place(0, o)..];
        for i in (0..inputs).step_by(TAPS) {
            let seen = &seen[place(0, i) + i % LANES..];
            let sums = &mut sums[i * outputs + o..];
            match grid.vectors {
                // SAFETY: callers have seen that this machine has AVX-512.
                2 => unsafe { add_product::<2>(seen, wanted, tiles, sums, outputs) },
                // SAFETY: as above.
                _ => unsafe { add_product::<1>(seen, wanted, tiles, sums, outputs) },
            }
        }
    }
}

/// [`TAPS`] inputs of a point by `V` vectors of outputs: `a` and `b` are parts of blocks, rows of `c` are `stride` apart.
#[target_feature(enable = "avx512f")]
fn add_product<const V: usize>(a: &[f32], b: &[f32], tiles: usize, c: &mut [f32], stride: usize) {
    assert!(tiles > 0 && (tiles - 1) * PITCH + TAPS <= a.len());
    assert!(((V - 1) * TILES + tiles - 1) * PITCH + LANES <= b.len());
    assert!((TAPS - 1) * stride + V * LANES <= c.len());
    let c = c.as_mut_ptr();
    let mut sums = [[_mm512_setzero_ps(); V]; TAPS];
    for (n, sums) in sums.iter_mut().enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            // SAFETY: within `c`, checked above.
            *sum = unsafe { _mm512_loadu_ps(c.add(n * stride + v * LANES)) };
        }
    }
    for tile in 0..tiles {
        let mut d = [_mm512_setzero_ps(); V];
        for (v, d) in d.iter_mut().enumerate() {
            // SAFETY: within `b`, checked above.
            *d = unsafe { _mm512_loadu_ps(b.as_ptr().add((v * TILES + tile) * PITCH)) };
        }
        for (n, sums) in sums.iter_mut().enumerate() {
            // SAFETY: within `a`, checked above.
            let x = _mm512_set1_ps(unsafe { *a.as_ptr().add(tile * PITCH + n) });
            for (sum, &d) in sums.iter_mut().zip(&d) {
                *sum = _mm512_fmadd_ps(x, d, *sum);
            }
        }
    }
    for (n, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: within `c`, checked above.
            unsafe { _mm512_storeu_ps(c.add(n * stride + v * LANES), sum) };
        }
    }
}
