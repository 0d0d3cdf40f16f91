//! Bilinear resizing (NHWC).

use rayon::prelude::*;

use super::zeros::zeros;
use sndpipe_linalg::multiversion;

/// Between which two positions one position of the result lies, and the shares of both.
#[derive(Debug, Clone, Copy)]
struct Between {
    low: usize,
    high: usize,
    shares: [f32; 2],
}

/// The positions of an axis of `length` that `size` positions look at.
fn axis(length: usize, size: usize) -> Vec<Between> {
    (0..size)
        .map(|i| {
            let at = ((i as f64 + 0.5) * length as f64 / size as f64 - 0.5).max(0.0);
            let low = (at as usize).min(length - 1);
            let share = at - low as f64;
            Between { low, high: (low + 1).min(length - 1), shares: [(1.0 - share) as f32, share as f32] }
        })
        .collect()
}

/// A resizing of images with `channels`.
#[derive(Debug)]
pub(crate) struct Bilinear {
    image: (usize, usize),
    channels: usize,
    rows: Vec<Between>,
    cols: Vec<Between>,
}

multiversion! {
    fn forward_row(top: &[f32], bottom: &[f32], row: &[f32; 2], cols: &[Between], channels: usize, y: &mut [f32]) {
        for (col, y) in cols.iter().zip(y.chunks_exact_mut(channels)) {
            let (low, high) = (col.low * channels, col.high * channels);
            let (a, b) = (&top[low..low + channels], &top[high..high + channels]);
            let (c, d) = (&bottom[low..low + channels], &bottom[high..high + channels]);
            let [left, right] = col.shares;
            for k in 0..channels {
                y[k] = row[0] * (left * a[k] + right * b[k]) + row[1] * (left * c[k] + right * d[k]);
            }
        }
    }
}

multiversion! {
    /// Adds `share` of a row of the gradient to a row of the input's.
    fn backward_row(dy: &[f32], share: f32, cols: &[Between], channels: usize, dx: &mut [f32]) {
        for (col, dy) in cols.iter().zip(dy.chunks_exact(channels)) {
            for (c, part) in [(col.low, col.shares[0]), (col.high, col.shares[1])] {
                let factor = share * part;
                for (dx, &dy) in dx[c * channels..(c + 1) * channels].iter_mut().zip(dy) {
                    *dx += factor * dy;
                }
            }
        }
    }
}

impl Bilinear {
    /// From an image of `image` rows and columns to one of `size`.
    pub(crate) fn new(image: (usize, usize), size: (usize, usize), channels: usize) -> Bilinear {
        Bilinear { image, channels, rows: axis(image.0, size.0), cols: axis(image.1, size.1) }
    }

    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let line = self.image.1 * self.channels;
        let out = self.cols.len() * self.channels;
        let samples = x.len() / (self.image.0 * line);
        let mut y = zeros(samples * self.rows.len() * out);
        y.par_chunks_mut(out).enumerate().for_each(|(i, y)| {
            let x = &x[i / self.rows.len() * self.image.0 * line..];
            let row = &self.rows[i % self.rows.len()];
            let (top, bottom) = (&x[row.low * line..][..line], &x[row.high * line..][..line]);
            forward_row(top, bottom, &row.shares, &self.cols, self.channels, y);
        });
        y
    }

    /// The gradient of the input.
    pub(crate) fn backward(&self, dy: &[f32]) -> Vec<f32> {
        let line = self.image.1 * self.channels;
        let out = self.cols.len() * self.channels;
        let samples = dy.len() / (self.rows.len() * out);
        let mut dx = zeros(samples * self.image.0 * line);
        let pieces = dx.par_chunks_mut(self.image.0 * line).zip(dy.par_chunks(self.rows.len() * out));
        pieces.for_each(|(dx, dy)| {
            for (row, dy) in self.rows.iter().zip(dy.chunks_exact(out)) {
                for (r, share) in [(row.low, row.shares[0]), (row.high, row.shares[1])] {
                    backward_row(dy, share, &self.cols, self.channels, &mut dx[r * line..][..line]);
                }
            }
        });
        dx
    }
}
