//! Products of images with maps that are 1 along some axes.

use rayon::prelude::*;

use super::elementwise::add_assign;
use super::zeros::zeros;
use sndpipe_linalg::multiversion;

/// Numbers that are added apart from each other in a sum over channels.
const LANES: usize = 16;

/// Sizes of a sample and of its map: rows, columns, channels; the map's are the image's or 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Broadcast {
    pub(crate) image: [usize; 3],
    pub(crate) map: [usize; 3],
}

multiversion! {
    /// One row; `map` is the row of the map.
    fn multiply_row(x: &[f32], map: &[f32], sizes: &Broadcast, y: &mut [f32]) {
        let (channels, [_, columns, depth]) = (sizes.image[2], sizes.map);
        let pixels = x.chunks_exact(channels).zip(y.chunks_exact_mut(channels));
        for (c, (x, y)) in pixels.enumerate() {
            let c = if columns == 1 { 0 } else { c };
            if depth == channels {
                for ((y, &x), &m) in y.iter_mut().zip(x).zip(&map[c * depth..(c + 1) * depth]) {
                    *y = x * m;
                }
            } else {
                let m = map[c];
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = x * m;
                }
            }
        }
    }
}

multiversion! {
    /// Adds the products of one row to the row of the map's gradient.
    fn reduce_row(x: &[f32], dy: &[f32], sizes: &Broadcast, map: &mut [f32]) {
        let (channels, [_, columns, depth]) = (sizes.image[2], sizes.map);
        for (c, (x, dy)) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)).enumerate() {
            let c = if columns == 1 { 0 } else { c };
            if depth == channels {
                for ((m, &x), &dy) in map[c * depth..(c + 1) * depth].iter_mut().zip(x).zip(dy) {
                    *m += x * dy;
                }
            } else {
                let mut sums = [0f32; LANES];
                let (x_lanes, dy_lanes) = (x.chunks_exact(LANES), dy.chunks_exact(LANES));
                let rest = x_lanes.remainder().iter().zip(dy_lanes.remainder());
                for (sum, (&x, &dy)) in sums.iter_mut().zip(rest) {
                    *sum = x * dy;
                }
                for (x, dy) in x_lanes.zip(dy_lanes) {
                    for k in 0..LANES {
                        sums[k] += x[k] * dy[k];
                    }
                }
                map[c] += sums.iter().sum::<f32>();
            }
        }
    }
}

impl Broadcast {
    /// The row of the map that belongs to row `row` of the image.
    fn map_row(&self, row: usize) -> std::ops::Range<usize> {
        let length = self.map[1] * self.map[2];
        let row = if self.map[0] == 1 { 0 } else { row };
        row * length..(row + 1) * length
    }

    /// `y = x * map`.
    pub(crate) fn multiply(&self, x: &[f32], map: &[f32]) -> Vec<f32> {
        let (rows, row) = (self.image[0], self.image[1] * self.image[2]);
        let per_sample: usize = self.map.iter().product();
        let mut y = zeros(x.len());
        y.par_chunks_mut(row).zip(x.par_chunks(row)).enumerate().for_each(|(i, (y, x))| {
            let map = &map[i / rows * per_sample..(i / rows + 1) * per_sample];
            multiply_row(x, &map[self.map_row(i % rows)], self, y);
        });
        y
    }

    /// The sums of `x * dy` over the axes along which the map is 1.
    pub(crate) fn reduce(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let (length, row) = (self.image.iter().product(), self.image[1] * self.image[2]);
        let per_sample: usize = self.map.iter().product();
        let mut sums = vec![0.0; x.len() / length * per_sample];
        sums.par_chunks_mut(per_sample).zip(x.par_chunks(length)).zip(dy.par_chunks(length)).for_each(
            |((sums, x), dy)| {
                let mut part = vec![0.0; self.map[1] * self.map[2]];
                for (r, (x, dy)) in x.chunks_exact(row).zip(dy.chunks_exact(row)).enumerate() {
                    part.fill(0.0);
                    reduce_row(x, dy, self, &mut part);
                    add_assign(&mut sums[self.map_row(r)], &part);
                }
            },
        );
        sums
    }
}
