//! Two-dimensional convolution over NHWC images with PyTorch's weight order (output, input, row, column).
//!
//! On AVX-512, dense 3x3 convolutions with stride 1 and enough channels take `winograd`; on AVX2 and AVX-512 others whose
//! channels are multiples of 16 take `panel`. Depth-wise ones and what is left of the 1x1 kernels have their own paths; what
//! remains goes through im2col tiles and the `gemm` crate.

mod depthwise;
mod im2col;
#[cfg(target_arch = "x86_64")]
mod panel;
mod pointwise;
#[cfg(target_arch = "x86_64")]
mod winograd;

use rayon::prelude::*;

use super::{elementwise::sum_partials, zeros::zeros};
use crate::window::{Padding, Slide};
#[cfg(target_arch = "x86_64")]
use sndpipe_linalg::level;

/// Sizes of a convolution; all of them at least 1, the padded image at least as large as the kernel, inputs and outputs
/// multiples of the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) samples: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: (usize, usize),
    pub(crate) stride: (usize, usize),
    pub(crate) dilation: (usize, usize),
    pub(crate) padding: Padding,
    pub(crate) groups: usize,
}

impl Geometry {
    /// The kernel along the rows.
    fn rows(&self) -> Slide {
        Slide {
            length: self.height,
            kernel: self.kernel.0,
            stride: self.stride.0,
            dilation: self.dilation.0,
            before: self.padding.top,
            after: self.padding.bottom,
        }
    }

    /// The kernel along the columns.
    fn cols(&self) -> Slide {
        Slide {
            length: self.width,
            kernel: self.kernel.1,
            stride: self.stride.1,
            dilation: self.dilation.1,
            before: self.padding.left,
            after: self.padding.right,
        }
    }

    /// Rows and columns of the output.
    pub(crate) fn output(&self) -> (usize, usize) {
        (self.rows().output(), self.cols().output())
    }

    /// Numbers of one input sample.
    pub(crate) fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Numbers of one output sample.
    pub(crate) fn output_len(&self) -> usize {
        let (rows, cols) = self.output();
        rows * cols * self.outputs
    }

    /// Numbers of the weight.
    pub(crate) fn weight_len(&self) -> usize {
        self.outputs * (self.inputs / self.groups) * self.kernel.0 * self.kernel.1
    }

    /// Samples whose weight gradients one thread adds up; a function of the batch alone.
    fn share(&self) -> usize {
        self.samples.div_ceil(8).max(1)
    }

    #[cfg(target_arch = "x86_64")]
    /// The convolution that gives the gradient of the input from that of the output, where the kernel is dense and the
    /// stride is 1.
    fn transposed(&self) -> Option<Geometry> {
        let (rows, cols) = (self.kernel.0 - 1, self.kernel.1 - 1);
        let padding = Padding {
            top: rows.checked_sub(self.padding.top)?,
            bottom: rows.checked_sub(self.padding.bottom)?,
            left: cols.checked_sub(self.padding.left)?,
            right: cols.checked_sub(self.padding.right)?,
        };
        let (height, width) = self.output();
        let dense = self.stride == (1, 1) && self.dilation == (1, 1) && self.groups == 1;
        dense.then_some(Geometry {
            height,
            width,
            inputs: self.outputs,
            outputs: self.inputs,
            padding,
            ..*self
        })
    }
}

#[cfg(target_arch = "x86_64")]
/// Cuts `0..length` into pieces of nearly equal size, at most `most` each.
fn pieces(length: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = length.div_ceil(most);
    (0..count).map(move |i| i * length / count..(i + 1) * length / count)
}

/// `y = x * w`.
pub(crate) fn forward(x: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    if depthwise::fits(g) {
        return depthwise::forward(x, weight, g);
    }
    #[cfg(target_arch = "x86_64")]
    {
        let level = level();
        if winograd::fits(g, level) {
            return winograd::forward(x, weight, g, false);
        }
        if panel::fits(g, level) {
            return panel::forward(x, weight, g, level);
        }
    }
    if pointwise::fits(g) {
        return pointwise::forward(x, weight, g);
    }
    im2col::forward(x, weight, g)
}

/// The gradient of the input.
pub(crate) fn input_gradient(dy: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    if depthwise::fits(g) {
        return depthwise::input_gradient(dy, weight, g);
    }
    #[cfg(target_arch = "x86_64")]
    {
        let level = level();
        if let Some(t) = g.transposed()
            && winograd::fits(&t, level)
        {
            return winograd::forward(dy, weight, &t, true);
        }
        if panel::fits_input_gradient(g, level) {
            return panel::input_gradient(dy, weight, g, level);
        }
    }
    if pointwise::fits(g) {
        return pointwise::input_gradient(dy, weight, g);
    }
    im2col::input_gradient(dy, weight, g)
}

/// The sum over the batch of what `add` gives for some samples: it gets their part of the sum, their images and gradients.
fn sum_of_shares(
    x: &[f32],
    dy: &[f32],
    g: &Geometry,
    add: impl Fn(&mut [f32], &[f32], &[f32]) + Sync,
) -> Vec<f32> {
    let mut partials = zeros(g.samples.div_ceil(g.share()) * g.weight_len());
    partials
        .par_chunks_mut(g.weight_len())
        .zip(x.par_chunks(g.share() * g.input_len()))
        .zip(dy.par_chunks(g.share() * g.output_len()))
        .for_each(|((dw, x), dy)| add(dw, x, dy));
    sum_partials(partials, g.weight_len())
}

/// The gradient of the weight.
pub(crate) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    if depthwise::fits(g) {
        return depthwise::weight_gradient(x, dy, g);
    }
    #[cfg(target_arch = "x86_64")]
    {
        let level = level();
        if winograd::fits(g, level) {
            return winograd::weight_gradient(x, dy, g);
        }
        if panel::fits(g, level) {
            return panel::weight_gradient(x, dy, g, level);
        }
    }
    if pointwise::fits(g) {
        return pointwise::weight_gradient(x, dy, g);
    }
    im2col::weight_gradient(x, dy, g)
}

#[cfg(test)]
mod tests;
