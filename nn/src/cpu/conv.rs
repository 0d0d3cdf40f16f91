//! Two-dimensional convolution over NHWC images with PyTorch's weight order (output, input, row, column).
//!
//! Any size goes through im2col tiles and the `gemm` crate; on AVX-512, 3x3 with stride 1 takes `winograd` and others with
//! stride 1 take `direct`.

#[cfg(target_arch = "x86_64")]
mod direct;
mod im2col;
#[cfg(target_arch = "x86_64")]
mod winograd;

#[cfg(target_arch = "x86_64")]
use super::simd::{Level, level};

/// Sizes of a convolution; all of them at least 1, the padded image at least as large as the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) samples: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: (usize, usize),
    pub(crate) stride: (usize, usize),
    pub(crate) padding: (usize, usize),
}

impl Geometry {
    /// Rows and columns of the output.
    pub(crate) fn output(&self) -> (usize, usize) {
        (
            (self.height + 2 * self.padding.0 - self.kernel.0) / self.stride.0 + 1,
            (self.width + 2 * self.padding.1 - self.kernel.1) / self.stride.1 + 1,
        )
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
        self.outputs * self.inputs * self.kernel.0 * self.kernel.1
    }

    /// Samples whose weight gradients one thread adds up; a function of the batch alone.
    fn group(&self) -> usize {
        self.samples.div_ceil(8).max(1)
    }

    #[cfg(target_arch = "x86_64")]
    /// The convolution that gives the gradient of the input from that of the output, where the stride is 1.
    fn transposed(&self) -> Option<Geometry> {
        let padding = (
            (self.kernel.0 - 1).checked_sub(self.padding.0)?,
            (self.kernel.1 - 1).checked_sub(self.padding.1)?,
        );
        let (height, width) = self.output();
        (self.stride == (1, 1)).then_some(Geometry {
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
/// Whether the direct kernels may be used: they exist for AVX-512 only.
fn direct_allowed() -> bool {
    level() == Level::Avx512
}

#[cfg(target_arch = "x86_64")]
/// Cuts `0..length` into pieces of nearly equal size, at most `most` each.
fn pieces(length: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = length.div_ceil(most);
    (0..count).map(move |i| i * length / count..(i + 1) * length / count)
}

/// `y = x * w`.
pub(crate) fn forward(x: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if direct_allowed() {
        if winograd::fits(g) {
            return winograd::forward(x, weight, g, false);
        }
        if direct::fits(g) {
            return direct::forward(x, weight, g, false);
        }
    }
    im2col::forward(x, weight, g)
}

/// The gradient of the input.
pub(crate) fn input_gradient(dy: &[f32], weight: &[f32], g: &Geometry) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if let Some(t) = g.transposed()
        && direct_allowed()
    {
        if winograd::fits(&t) {
            return winograd::forward(dy, weight, &t, true);
        }
        if direct::fits(&t) {
            return direct::forward(dy, weight, &t, true);
        }
    }
    im2col::input_gradient(dy, weight, g)
}

/// The gradient of the weight.
pub(crate) fn weight_gradient(x: &[f32], dy: &[f32], g: &Geometry) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if direct_allowed() {
        if winograd::fits(g) {
            return winograd::weight_gradient(x, dy, g);
        }
        if direct::fits(g) {
            return direct::weight_gradient(x, dy, g);
        }
    }
    im2col::weight_gradient(x, dy, g)
}

#[cfg(test)]
mod tests;
