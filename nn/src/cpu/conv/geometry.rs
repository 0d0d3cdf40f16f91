//! The sizes of a convolution, and how its work is shared out.

use rayon::prelude::*;

use crate::cpu::{elementwise::sum_partials, zeros::zeros};
use crate::window::{Padding, Slide};

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
    pub(super) fn rows(&self) -> Slide {
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
    pub(super) fn cols(&self) -> Slide {
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
    pub(super) fn share(&self) -> usize {
        self.samples.div_ceil(8).max(1)
    }

    #[cfg(target_arch = "x86_64")]
    /// The convolution that gives the gradient of the input from that of the output, where the kernel is dense and the
    /// stride is 1.
    pub(super) fn transposed(&self) -> Option<Geometry> {
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
pub(super) fn pieces(length: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = length.div_ceil(most);
    (0..count).map(move |i| i * length / count..(i + 1) * length / count)
}

/// The sum over the batch of what `add` gives for some samples: it gets their part of the sum, their images and gradients.
pub(super) fn sum_of_shares(
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
