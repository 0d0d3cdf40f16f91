//! Resizing of images.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError,
    cpu::{self, resize::Bilinear},
    tensor::{Buffer, InputGrad, Tensor4, take_grad},
};

/// Kernels of [`try_resize_bilinear`]; shapes are checked before they are called.
pub trait ResizeKernel: GradKernel {
    /// The image with `size` rows and columns.
    fn resize_forward(&self, x: &Tensor4<Self>, size: (usize, usize)) -> Result<Tensor4<Self>, Self::Err>;

    /// Gradient of the input, whose shape is `shape`.
    fn resize_backward(
        &self,
        dy: &Buffer<Self>,
        shape: (usize, usize, usize, usize),
        size: (usize, usize),
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// Bilinear resizing of (n, rows, columns, channels) to (n, `size.0`, `size.1`, channels).
///
/// Position `i` of an axis of `m` looks at `max((i + 1/2) n / m - 1/2, 0)` of the input's `n`, between two neighbours.
/// This is `torch.nn.functional.interpolate(mode="bilinear", align_corners=False, antialias=False)`.
pub fn try_resize_bilinear<D: ResizeKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    size: (usize, usize),
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let shape = *x.shape();
    if shape.0 * shape.1 * shape.2 * shape.3 == 0 || size.0 == 0 || size.1 == 0 {
        return Err(NnError::shape(
            format!("input of a resizing to {} x {}, at least", size.0.max(1), size.1.max(1)),
            &[1, 1, 1, 1],
            &[shape.0, shape.1, shape.2, shape.3],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.resize_forward(&x, size).map_err(NnError::kernel("resize"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            let dx = device.resize_backward(&dy, shape, size)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl ResizeKernel for Cpu {
    fn resize_forward(&self, x: &Tensor4<Self>, size: (usize, usize)) -> Result<Tensor4<Self>, Self::Err> {
        let (n, height, width, channels) = *x.shape();
        let y = Bilinear::new((height, width), size, channels).forward(&cpu::data(x));
        cpu::tensor(self, y, (n, size.0, size.1, channels))
    }

    fn resize_backward(
        &self,
        dy: &Buffer<Self>,
        (_, height, width, channels): (usize, usize, usize, usize),
        size: (usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, Bilinear::new((height, width), size, channels).backward(dy))
    }
}
