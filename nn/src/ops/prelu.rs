//! Parametric ReLU.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor},
};

use super::grad::{GradKernel, pass_grad};
use super::shape::last_axis;
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor1, set_grad, take_grad},
};

/// Kernels of [`try_prelu`]; shapes are checked before they are called.
pub trait PreluKernel: GradKernel {
    /// The output.
    fn prelu_forward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
    ) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// Turns the gradient of the output into that of the input; returns that of the weight.
    fn prelu_backward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// `y = x` where `x > 0`, else `weight x`.
///
/// `weight` has one number, or one for each channel; channels are the last axis of `x`. Fails where it has another number.
/// Source: He, Zhang, Ren and Sun 2015, with the convention of `torch.nn.PReLU` at 0 (the slope is `weight`).
pub fn try_prelu<S: Shape, D: PreluKernel, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
    weight: &Tensor1<D>,
    input_grad: InputGrad,
) -> Result<Tensor<S, f32, D, T>, NnError> {
    let (channels, slopes) = (last_axis(x.shape()), weight.shape().0);
    if channels == 0 || (slopes != 1 && slopes != channels) {
        return Err(NnError::shape("weight of prelu (or one number)", &[channels], &[slopes]));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.prelu_forward(&x, weight).map_err(NnError::kernel("prelu"))?;
    if T::OWNS_TAPE {
        let (y, weight) = (y.clone(), weight.clone());
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            let dw = device.prelu_backward(&x, &weight, &mut gradient)?;
            set_grad(grads, &weight, dw)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl PreluKernel for Cpu {
    fn prelu_forward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let y = cpu::activation::prelu(&cpu::data(x), &cpu::data(weight), last_axis(x.shape()));
        cpu::tensor(self, y, *x.shape())
    }

    fn prelu_backward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let (values, channels) = (cpu::data(x), last_axis(x.shape()));
        let dw = cpu::activation::prelu_backward(&values, &cpu::data(weight), channels, gradient);
        cpu::buffer(self, dw)
    }
}
