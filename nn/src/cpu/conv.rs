//! Two-dimensional convolution over NHWC images with PyTorch's weight order (output, input, row, column).
//!
//! On AVX-512, dense 3x3 convolutions with stride 1 and enough channels take `winograd`; on AVX2 and AVX-512 others whose
//! channels are multiples of 16 take `panel`. Depth-wise ones and what is left of the 1x1 kernels have their own paths; what
//! remains goes through im2col tiles and the `gemm` crate.

mod depthwise;
mod geometry;
mod im2col;
#[cfg(target_arch = "x86_64")]
mod panel;
mod pointwise;
#[cfg(target_arch = "x86_64")]
mod winograd;

pub(crate) use geometry::Geometry;
#[cfg(target_arch = "x86_64")]
use sndpipe_linalg::level;

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
