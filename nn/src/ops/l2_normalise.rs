//! Rows of length 1.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor2, take_grad},
};

/// Shorter rows are divided by this.
const LEAST: f64 = 1e-12;

/// Kernels of [`try_l2_normalise`].
pub trait L2NormaliseKernel: GradKernel {
    /// Each row over the larger of its length and `least`.
    fn l2_normalise_forward(&self, x: &Tensor2<Self>, least: f64) -> Result<Tensor2<Self>, Self::Err>;

    /// Turns the gradient of the output into that of the input.
    fn l2_normalise_backward(
        &self,
        x: &Tensor2<Self>,
        least: f64,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err>;
}

/// `y[n] = x[n] / max(|x[n]|, 1e-12)` for rows of any length: (n, features) to (n, features).
///
/// A row of zeros stays one. As `torch.nn.functional.normalize`.
pub fn try_l2_normalise<D: L2NormaliseKernel, T: Tape<f32, D>>(
    x: Tensor2<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.l2_normalise_forward(&x, LEAST).map_err(NnError::kernel("l2 normalisation"))?;
    if T::OWNS_TAPE {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            device.l2_normalise_backward(&x, LEAST, &mut gradient)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl L2NormaliseKernel for Cpu {
    fn l2_normalise_forward(&self, x: &Tensor2<Self>, least: f64) -> Result<Tensor2<Self>, Self::Err> {
        let y = cpu::rows::l2_normalise(&cpu::data(x), x.shape().1.max(1), least);
        cpu::tensor(self, y, *x.shape())
    }

    fn l2_normalise_backward(
        &self,
        x: &Tensor2<Self>,
        least: f64,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        cpu::rows::l2_normalise_backward(&cpu::data(x), x.shape().1.max(1), least, gradient);
        Ok(())
    }
}
