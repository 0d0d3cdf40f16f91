//! Pooling.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError,
    cpu::{self, pool::Image},
    tensor::{Buffer, InputGrad, Tensor2, Tensor4, take_grad},
};

/// Kernels of the pooling operations; shapes are checked before they are called.
pub trait PoolKernel: GradKernel {
    /// Which element won, for [`try_max_pool_2x2`].
    type MaxIndex: 'static;
    /// Which row won, for [`try_mean_max`].
    type RowIndex: 'static;

    /// Output and winners of [`try_max_pool_2x2`].
    fn max_pool_forward(&self, x: &Tensor4<Self>) -> Result<(Tensor4<Self>, Self::MaxIndex), Self::Err>;

    /// Gradient of the input, whose shape is `shape`.
    fn max_pool_backward(
        &self,
        gradient: &Buffer<Self>,
        index: &Self::MaxIndex,
        shape: (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err>;

    /// Output and winners of [`try_mean_max`].
    fn mean_max_forward(&self, x: &Tensor4<Self>) -> Result<(Tensor2<Self>, Self::RowIndex), Self::Err>;

    /// Gradient of the input, whose shape is `shape`.
    fn mean_max_backward(
        &self,
        gradient: &Buffer<Self>,
        index: &Self::RowIndex,
        shape: (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// Maxima of 2x2 windows with stride 2; an odd last row or column is dropped ("floor").
///
/// (n, rows, columns, channels) to (n, rows / 2, columns / 2, channels). The gradient goes to the first maximum.
pub fn try_max_pool_2x2<D: PoolKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let shape = *x.shape();
    if shape.0 == 0 || shape.1 < 2 || shape.2 < 2 || shape.3 == 0 {
        return Err(NnError::shape(
            "input of a 2x2 max-pooling, at least",
            &[1, 2, 2, 1],
            &[shape.0, shape.1, shape.2, shape.3],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let (y, index) = device.max_pool_forward(&x).map_err(NnError::kernel("max-pooling"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let gradient = take_grad(grads, &y)?;
            let dx = device.max_pool_backward(&gradient, &index, shape)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// Mean over columns (frequency), then maximum over rows (time): (n, rows, columns, channels) to (n, channels).
pub fn try_mean_max<D: PoolKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let shape = *x.shape();
    if shape.0 == 0 || shape.1 == 0 || shape.2 == 0 || shape.3 == 0 {
        return Err(NnError::shape(
            "input of mean-max pooling, at least",
            &[1, 1, 1, 1],
            &[shape.0, shape.1, shape.2, shape.3],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let (y, index) = device.mean_max_forward(&x).map_err(NnError::kernel("mean-max pooling"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let gradient = take_grad(grads, &y)?;
            let dx = device.mean_max_backward(&gradient, &index, shape)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

pub(super) fn image(shape: (usize, usize, usize, usize)) -> Image {
    Image { height: shape.1, width: shape.2, channels: shape.3 }
}

impl PoolKernel for Cpu {
    type MaxIndex = Vec<u8>;
    type RowIndex = Vec<u32>;

    fn max_pool_forward(&self, x: &Tensor4<Self>) -> Result<(Tensor4<Self>, Self::MaxIndex), Self::Err> {
        let shape = *x.shape();
        let (y, index) = cpu::pool::max2x2(&cpu::data(x), image(shape));
        let y = cpu::tensor(self, y, (shape.0, shape.1 / 2, shape.2 / 2, shape.3))?;
        Ok((y, index))
    }

    fn max_pool_backward(
        &self,
        gradient: &Buffer<Self>,
        index: &Self::MaxIndex,
        shape: (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, cpu::pool::max2x2_backward(gradient, index, image(shape)))
    }

    fn mean_max_forward(&self, x: &Tensor4<Self>) -> Result<(Tensor2<Self>, Self::RowIndex), Self::Err> {
        let shape = *x.shape();
        let (y, index) = cpu::pool::mean_max(&cpu::data(x), image(shape));
        Ok((cpu::tensor(self, y, (shape.0, shape.3))?, index))
    }

    fn mean_max_backward(
        &self,
        gradient: &Buffer<Self>,
        index: &Self::RowIndex,
        shape: (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, cpu::pool::mean_max_backward(gradient, index, image(shape)))
    }
}
