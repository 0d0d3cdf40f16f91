//! Pooling over rows of channels (NHWC).

use rayon::prelude::*;

use super::zeros::zeros;
use sndpipe_linalg::multiversion;

multiversion! {
    /// Maxima of 2x2 windows of two image rows, and which of the four it was (the first one wins).
    fn max2x2_row(top: &[f32], bottom: &[f32], channels: usize, y: &mut [f32], which: &mut [u8]) {
        let windows = y.chunks_exact_mut(channels).zip(which.chunks_exact_mut(channels));
        for (i, (y, which)) in windows.enumerate() {
            let at = 2 * i * channels;
            let (a, b) = top[at..at + 2 * channels].split_at(channels);
            let (c, d) = bottom[at..at + 2 * channels].split_at(channels);
            for k in 0..channels {
                let (mut best, mut index) = (a[k], 0u8);
                if b[k] > best { best = b[k]; index = 1; }
                if c[k] > best { best = c[k]; index = 2; }
                if d[k] > best { best = d[k]; index = 3; }
                y[k] = best;
                which[k] = index;
            }
        }
    }
}

multiversion! {
    fn max2x2_backward_row(g: &[f32], which: &[u8], channels: usize, top: &mut [f32], bottom: &mut [f32]) {
        for (i, (g, which)) in g.chunks_exact(channels).zip(which.chunks_exact(channels)).enumerate() {
            let at = 2 * i * channels;
            let (a, b) = top[at..at + 2 * channels].split_at_mut(channels);
            let (c, d) = bottom[at..at + 2 * channels].split_at_mut(channels);
            for k in 0..channels {
                let (g, index) = (g[k], which[k]);
                a[k] = if index == 0 { g } else { 0.0 };
                b[k] = if index == 1 { g } else { 0.0 };
                c[k] = if index == 2 { g } else { 0.0 };
                d[k] = if index == 3 { g } else { 0.0 };
            }
        }
    }
}

/// Sizes of an image batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

/// Max-pooling with 2x2 windows and stride 2; an odd last row or column is dropped. Also which element won.
pub(crate) fn max2x2(x: &[f32], image: Image) -> (Vec<f32>, Vec<u8>) {
    let Image { height, width, channels } = image;
    let (rows, cols) = (height / 2, width / 2);
    let samples = x.len() / (height * width * channels);
    let row = cols * channels;
    let mut y = zeros(samples * rows * row);
    let mut which = vec![0u8; y.len()];
    y.par_chunks_mut(row).zip(which.par_chunks_mut(row)).enumerate().for_each(|(i, (y, which))| {
        let (sample, r) = (i / rows, i % rows);
        let start = (sample * height + 2 * r) * width * channels;
        let (top, bottom) = x[start..start + 2 * width * channels].split_at(width * channels);
        max2x2_row(top, bottom, channels, y, which);
    });
    (y, which)
}

/// The gradient of [`max2x2`]'s input.
pub(crate) fn max2x2_backward(gradient: &[f32], which: &[u8], image: Image) -> Vec<f32> {
    let Image { height, width, channels } = image;
    let (rows, cols) = (height / 2, width / 2);
    let samples = gradient.len() / (rows * cols * channels);
    let row = cols * channels;
    let mut dx = zeros(samples * height * width * channels);
    dx.par_chunks_mut(height * width * channels).enumerate().for_each(|(sample, dx)| {
        for (r, pair) in dx.chunks_exact_mut(2 * width * channels).enumerate() {
            let at = (sample * rows + r) * row;
            let (top, bottom) = pair.split_at_mut(width * channels);
            max2x2_backward_row(&gradient[at..at + row], &which[at..at + row], channels, top, bottom);
        }
    });
    dx
}

/// Mean over columns (frequency), then maximum over rows (time); also the row that won for each sample and channel.
pub(crate) fn mean_max(x: &[f32], image: Image) -> (Vec<f32>, Vec<u32>) {
    let Image { height, width, channels } = image;
    let samples = x.len() / (height * width * channels);
    let mut y = vec![f32::NEG_INFINITY; samples * channels];
    let mut which = vec![0u32; y.len()];
    y.par_chunks_mut(channels)
        .zip(which.par_chunks_mut(channels))
        .zip(x.par_chunks(height * width * channels))
        .for_each(|((y, which), x)| {
            let mut mean = vec![0.0; channels];
            for (r, row) in x.chunks_exact(width * channels).enumerate() {
                mean.fill(0.0);
                for pixel in row.chunks_exact(channels) {
                    for (m, &v) in mean.iter_mut().zip(pixel) {
                        *m += v;
                    }
                }
                for c in 0..channels {
                    let m = mean[c] / width as f32;
                    // A NaN must not be hidden by a comparison that is false.
                    if m > y[c] || m.is_nan() {
                        y[c] = m;
                        which[c] = r as u32;
                    }
                }
            }
        });
    (y, which)
}

/// The gradient of [`mean_max`]'s input.
pub(crate) fn mean_max_backward(gradient: &[f32], which: &[u32], image: Image) -> Vec<f32> {
    let Image { height, width, channels } = image;
    let samples = gradient.len() / channels;
    let mut dx = zeros(samples * height * width * channels);
    dx.par_chunks_mut(height * width * channels)
        .zip(gradient.par_chunks(channels))
        .zip(which.par_chunks(channels))
        .for_each(|((dx, g), which)| {
            for (r, row) in dx.chunks_exact_mut(width * channels).enumerate() {
                for pixel in row.chunks_exact_mut(channels) {
                    for c in 0..channels {
                        if which[c] == r as u32 {
                            pixel[c] = g[c] / width as f32;
                        }
                    }
                }
            }
        });
    dx
}
