//! Adaptive polyphase sampling: halving an image on the grid with the most energy.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use super::pool::image;
use crate::polyphase_norm::PolyphaseNorm;
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor4, take_grad},
};

/// Kernels of [`try_polyphase`]; shapes are checked before they are called.
pub trait PolyphaseKernel: GradKernel {
    /// The grid chosen for each sample.
    type Grids: 'static;

    /// Output and grids.
    fn polyphase_forward(
        &self,
        x: &Tensor4<Self>,
        norm: PolyphaseNorm,
    ) -> Result<(Tensor4<Self>, Self::Grids), Self::Err>;

    /// Gradient of the input, whose shape is `shape`.
    fn polyphase_backward(
        &self,
        dy: &Buffer<Self>,
        grids: &Self::Grids,
        shape: (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// Keeps every second row and column, those of the grid with the largest norm in each sample.
///
/// (n, rows, columns, channels), at least two rows and columns, to (n, ceil(rows / 2), ceil(columns / 2), channels).
/// An odd axis is first padded at its end by reflection (position `n` repeats `n - 2`). The grids are (even rows, even
/// columns), (odd, even), (even, odd), (odd, odd); the first of the largest is chosen, for all channels together. The
/// gradient goes to the numbers that were kept; the choice is a constant to it.
/// Source: Chaman and Dokmanic 2021, "Truly shift-invariant convolutional neural networks"; norms and order of the grids
/// as in Fonseca et al. 2021, "Improving Sound Event Classification by Increasing Shift Invariance in Convolutional
/// Neural Networks".
pub fn try_polyphase<D: PolyphaseKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    norm: PolyphaseNorm,
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let shape = *x.shape();
    if shape.0 == 0 || shape.1 < 2 || shape.2 < 2 || shape.3 == 0 {
        return Err(NnError::shape(
            "input of polyphase sampling, at least",
            &[1, 2, 2, 1],
            &[shape.0, shape.1, shape.2, shape.3],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let (y, grids) = device.polyphase_forward(&x, norm).map_err(NnError::kernel("polyphase sampling"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            let dx = device.polyphase_backward(&dy, &grids, shape)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl PolyphaseKernel for Cpu {
    type Grids = Vec<usize>;

    fn polyphase_forward(
        &self,
        x: &Tensor4<Self>,
        norm: PolyphaseNorm,
    ) -> Result<(Tensor4<Self>, Self::Grids), Self::Err> {
        let shape = *x.shape();
        let (y, grids) = cpu::polyphase::forward(&cpu::data(x), image(shape), norm);
        Ok((cpu::tensor(self, y, (shape.0, shape.1.div_ceil(2), shape.2.div_ceil(2), shape.3))?, grids))
    }

    fn polyphase_backward(
        &self,
        dy: &Buffer<Self>,
        grids: &Self::Grids,
        shape: (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, cpu::polyphase::backward(dy, grids, image(shape)))
    }
}
