//! Register tiles of the products, for AVX-512 and AVX2.

use sndpipe_linalg::Level;

/// Most numbers of a segment, and the distance of two positions in a panel.
pub(super) const DEPTH: usize = 16;

/// Neighbouring numbers that every position sees at the same distance from its pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// Most positions of a tile at any level.
pub(super) const ROWS: usize = 14;

/// Most positions of a tile.
pub(super) fn rows(level: Level) -> usize {
    if level == Level::Avx512 { ROWS } else { 6 }
}

/// Most numbers seen of a tile of the weight's gradient.
pub(super) fn taps(level: Level) -> usize {
    if level == Level::Avx512 { 12 } else { 6 }
}

/// Some positions by one output block.
pub(super) struct ProductTile<'a> {
    /// The panel from the first position on.
    pub(super) x: &'a [f32],
    /// Numbers from a segment of the panel to the next.
    pub(super) pitch: usize,
    pub(super) segments: &'a [Segment],
    /// (number seen, output of the block).
    pub(super) weight: &'a [f32],
    /// The results from the first position's part of the block on.
    pub(super) y: &'a mut [f32],
    /// Numbers from a position's results to the next's.
    pub(super) outputs: usize,
    /// Whether the products are added to the results.
    pub(super) add: bool,
}

/// Some numbers of a segment by one output block.
pub(super) struct GradientTile<'a> {
    /// A segment of the panel, from the first number on.
    pub(super) x: &'a [f32],
    /// (position, output of the block).
    pub(super) dy: &'a [f32],
    /// (number, output of the block).
    pub(super) dw: &'a mut [f32],
    pub(super) positions: usize,
}

impl ProductTile<'_> {
    /// Computes `rows` positions by `width` outputs.
    pub(super) fn compute(self, rows: usize, width: usize, level: Level) {
        match level {
            Level::Avx512 => avx512::product(self, rows, width),
            _ => avx2::product(self, rows, width),
        }
    }
}

impl GradientTile<'_> {
    /// Adds `taps` numbers by `width` outputs.
    pub(super) fn compute(self, taps: usize, width: usize, level: Level) {
        match level {
            Level::Avx512 => avx512::gradient(self, taps, width),
            _ => avx2::gradient(self, taps, width),
        }
    }
}

/// Both kernels for one instruction set, with `$n` rows of registers.
macro_rules! kernels {
    ($level:ident, $features:literal, $lanes:literal, [$($n:literal)*],
        $load:ident $store:ident $broadcast:ident $zero:ident $fmadd:ident) => {
        mod $level {
            use std::arch::x86_64::{$broadcast, $fmadd, $load, $store, $zero};

            use super::{DEPTH, GradientTile, ProductTile};

            const LANES: usize = $lanes;

            pub(super) fn product(tile: ProductTile<'_>, rows: usize, width: usize) {
                match (rows, width / LANES) {
                    // SAFETY: callers have seen that this machine has the features.
                    $(($n, 2) => unsafe { product_of::<$n, 2>(tile) },)*
                    // SAFETY: as above.
                    $(($n, _) => unsafe { product_of::<$n, 1>(tile) },)*
                    _ => {}
                }
            }

            pub(super) fn gradient(tile: GradientTile<'_>, taps: usize, width: usize) {
                match (taps, width / LANES) {
                    // SAFETY: callers have seen that this machine has the features.
                    $(($n, 2) => unsafe { gradient_of::<$n, 2>(tile) },)*
                    // SAFETY: as above.
                    $(($n, _) => unsafe { gradient_of::<$n, 1>(tile) },)*
                    _ => {}
                }
            }

            #[target_feature(enable = $features)]
            fn product_of<const N: usize, const V: usize>(tile: ProductTile<'_>) {
                let ProductTile { x, pitch, segments, weight, y, outputs, add } = tile;
                assert!((segments.len() - 1) * pitch + N * DEPTH <= x.len());
                assert!(segments.iter().map(|s| s.length).sum::<usize>() * V * LANES <= weight.len());
                assert!((N - 1) * outputs + V * LANES <= y.len());
                let y = y.as_mut_ptr();
                let mut sums = [[$zero(); V]; N];
                if add {
                    for (n, sums) in sums.iter_mut().enumerate() {
                        for (v, sum) in sums.iter_mut().enumerate() {
                            // SAFETY: within `y`, checked above.
                            *sum = unsafe { $load(y.add(n * outputs + v * LANES)) };
                        }
                    }
                }
                let (mut x, mut weight) = (x.as_ptr(), weight.as_ptr());
                for segment in segments {
                    for c in 0..segment.length {
                        let mut w = [$zero(); V];
                        for (v, w) in w.iter_mut().enumerate() {
                            // SAFETY: the loops read as many weights as were checked above.
                            *w = unsafe { $load(weight.add(v * LANES)) };
                        }
                        weight = weight.wrapping_add(V * LANES);
                        for (n, sums) in sums.iter_mut().enumerate() {
                            // SAFETY: of a position within the segment, checked above; a segment has at most DEPTH numbers.
                            let x = $broadcast(unsafe { *x.add(n * DEPTH + c) });
                            for (sum, &w) in sums.iter_mut().zip(&w) {
                                *sum = $fmadd(x, w, *sum);
                            }
                        }
                    }
                    x = x.wrapping_add(pitch);
                }
                for (n, sums) in sums.iter().enumerate() {
                    for (v, &sum) in sums.iter().enumerate() {
                        // SAFETY: within `y`, checked above.
                        unsafe { $store(y.add(n * outputs + v * LANES), sum) };
                    }
                }
            }

            #[target_feature(enable = $features)]
            fn gradient_of<const N: usize, const V: usize>(tile: GradientTile<'_>) {
                let GradientTile { x, dy, dw, positions } = tile;
                assert!((positions - 1) * DEPTH + N <= x.len());
                assert!(positions * V * LANES <= dy.len());
                assert!(N * V * LANES <= dw.len());
                let dw = dw.as_mut_ptr();
                let mut sums = [[$zero(); V]; N];
                for (n, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: within `dw`, checked above.
                        *sum = unsafe { $load(dw.add((n * V + v) * LANES)) };
                    }
                }
                let (mut x, mut dy) = (x.as_ptr(), dy.as_ptr());
                for _ in 0..positions {
                    let mut d = [$zero(); V];
                    for (v, d) in d.iter_mut().enumerate() {
                        // SAFETY: within `dy`, checked above.
                        *d = unsafe { $load(dy.add(v * LANES)) };
                    }
                    for (n, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: within `x`, checked above.
                        let x = $broadcast(unsafe { *x.add(n) });
                        for (sum, &d) in sums.iter_mut().zip(&d) {
                            *sum = $fmadd(x, d, *sum);
                        }
                    }
                    dy = dy.wrapping_add(V * LANES);
                    x = x.wrapping_add(DEPTH);
                }
                for (n, sums) in sums.iter().enumerate() {
                    for (v, &sum) in sums.iter().enumerate() {
                        // SAFETY: within `dw`, checked above.
                        unsafe { $store(dw.add((n * V + v) * LANES), sum) };
                    }
                }
            }
        }
    };
}

kernels!(avx512, "avx512f", 16, [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps _mm512_setzero_ps _mm512_fmadd_ps);
kernels!(avx2, "avx2,fma", 8, [1 2 3 4 5 6],
    _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps _mm256_setzero_ps _mm256_fmadd_ps);
