//! Pooling over windows of any size, over rows of channels (NHWC).

use rayon::prelude::*;

use super::pool::Image;
use super::zeros::{filled, zeros};
use crate::window::{PoolWindow, PoolWindows};
use sndpipe_linalg::multiversion;

/// Some rows of one sample that one row of the output sees.
struct Lines<'a> {
    x: &'a [f32],
    rows: &'a PoolWindow,
    cols: &'a [PoolWindow],
    image: Image,
}

impl Lines<'_> {
    /// The pixels of the window of output column `col`.
    #[inline(always)]
    fn pixels(&self, col: usize) -> impl Iterator<Item = &[f32]> {
        let Image { width, channels, .. } = self.image;
        let cols = self.cols[col].inside.clone();
        self.rows.inside.clone().flat_map(move |r| {
            self.x[(r * width + cols.start) * channels..(r * width + cols.end) * channels]
                .chunks_exact(channels)
        })
    }

    /// What an average over the window of output column `col` multiplies its sum by.
    #[inline(always)]
    fn share(&self, col: usize) -> f32 {
        1.0 / (self.rows.count * self.cols[col].count) as f32
    }
}

multiversion! {
    fn max_row(lines: &Lines<'_>, y: &mut [f32]) {
        for (col, y) in y.chunks_exact_mut(lines.image.channels).enumerate() {
            y.fill(f32::NEG_INFINITY);
            for x in lines.pixels(col) {
                for (y, &x) in y.iter_mut().zip(x) {
                    // A NaN must not be hidden by a comparison that is false.
                    *y = if x > *y || x.is_nan() { x } else { *y };
                }
            }
        }
    }
}

multiversion! {
    fn average_row(lines: &Lines<'_>, y: &mut [f32]) {
        for (col, y) in y.chunks_exact_mut(lines.image.channels).enumerate() {
            for x in lines.pixels(col) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y += x;
                }
            }
            let share = lines.share(col);
            for y in y {
                *y *= share;
            }
        }
    }
}

multiversion! {
    /// Gives the gradient of each maximum to the first number that equals it.
    fn max_backward_row(lines: &Lines<'_>, y: &[f32], dy: &[f32], left: &mut [f32], dx: &mut [f32]) {
        let Image { width, channels, .. } = lines.image;
        let outputs = y.chunks_exact(channels).zip(dy.chunks_exact(channels));
        for (col, (y, dy)) in outputs.enumerate() {
            left.copy_from_slice(dy);
            for r in lines.rows.inside.clone() {
                for c in lines.cols[col].inside.clone() {
                    let pixel = (r * width + c) * channels..(r * width + c + 1) * channels;
                    let (x, dx) = (&lines.x[pixel.clone()], &mut dx[pixel]);
                    for k in 0..channels {
                        let found = x[k] == y[k];
                        dx[k] += if found { left[k] } else { 0.0 };
                        left[k] = if found { 0.0 } else { left[k] };
                    }
                }
            }
        }
    }
}

multiversion! {
    fn average_backward_row(lines: &Lines<'_>, dy: &[f32], dx: &mut [f32]) {
        let Image { width, channels, .. } = lines.image;
        for (col, dy) in dy.chunks_exact(channels).enumerate() {
            let share = lines.share(col);
            for r in lines.rows.inside.clone() {
                for c in lines.cols[col].inside.clone() {
                    let pixel = (r * width + c) * channels..(r * width + c + 1) * channels;
                    for (dx, &dy) in dx[pixel].iter_mut().zip(dy) {
                        *dx += dy * share;
                    }
                }
            }
        }
    }
}

impl PoolWindows {
    /// The output, row by row.
    fn forward(&self, x: &[f32], image: Image, row: impl Fn(&Lines<'_>, &mut [f32]) + Sync) -> Vec<f32> {
        let length = image.height * image.width * image.channels;
        let (rows, line) = (self.rows.len(), self.columns.len() * image.channels);
        filled(x.len() / length * rows * line, line, |i, y| {
            let x = &x[i / rows * length..(i / rows + 1) * length];
            row(&Lines { x, rows: &self.rows[i % rows], cols: &self.columns, image }, y);
        })
    }

    /// Maxima; padding counts as nothing.
    pub(crate) fn max(&self, x: &[f32], image: Image) -> Vec<f32> {
        self.forward(x, image, max_row)
    }

    /// Averages; padding counts as zeros.
    pub(crate) fn average(&self, x: &[f32], image: Image) -> Vec<f32> {
        self.forward(x, image, average_row)
    }

    /// The gradient of the input of [`PoolWindows::max`], whose output was `y`.
    pub(crate) fn max_backward(&self, x: &[f32], y: &[f32], dy: &[f32], image: Image) -> Vec<f32> {
        let length = image.height * image.width * image.channels;
        let line = self.columns.len() * image.channels;
        let outputs = self.rows.len() * line;
        let mut dx = zeros(x.len());
        dx.par_chunks_mut(length)
            .zip(x.par_chunks(length))
            .zip(y.par_chunks(outputs).zip(dy.par_chunks(outputs)))
            .for_each(|((dx, x), (y, dy))| {
                let mut left = vec![0.0; image.channels];
                let lines = y.chunks_exact(line).zip(dy.chunks_exact(line));
                for (rows, (y, dy)) in self.rows.iter().zip(lines) {
                    max_backward_row(&Lines { x, rows, cols: &self.columns, image }, y, dy, &mut left, dx);
                }
            });
        dx
    }

    /// The gradient of the input of [`PoolWindows::average`].
    pub(crate) fn average_backward(&self, dy: &[f32], image: Image) -> Vec<f32> {
        let length = image.height * image.width * image.channels;
        let line = self.columns.len() * image.channels;
        let outputs = self.rows.len() * line;
        let mut dx = zeros(dy.len() / outputs * length);
        dx.par_chunks_mut(length).zip(dy.par_chunks(outputs)).for_each(|(dx, dy)| {
            for (rows, dy) in self.rows.iter().zip(dy.chunks_exact(line)) {
                average_backward_row(&Lines { x: &[], rows, cols: &self.columns, image }, dy, dx);
            }
        });
        dx
    }
}
