//! Layer normalisation.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor},
};

use super::grad::{GradKernel, pass_grad};
use super::shape::{check_affine, last_axis};
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor1, set_grad, take_grad},
};

/// Kernels of [`try_layer_norm`]; shapes are checked before they are called.
pub trait LayerNormKernel: GradKernel {
    /// The output.
    fn layer_norm_forward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
        epsilon: f64,
    ) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// Turns the gradient of the output into that of the input; returns those of weight and bias.
    fn layer_norm_backward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        epsilon: f64,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err>;
}

/// `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` over the last axis of `x`.
///
/// For (n, features) the statistics are those of a sample, for (n, rows, columns, channels) those of a position; the
/// variance is the biased one. `weight` and `bias` have the length of the last axis; the default `epsilon` of PyTorch is
/// 1e-5. Fails where lengths differ or `epsilon` is not positive. Source: Ba, Kiros and Hinton 2016, with the conventions of
/// `torch.nn.LayerNorm`.
pub fn try_layer_norm<S: Shape, D: LayerNormKernel, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
    weight: &Tensor1<D>,
    bias: &Tensor1<D>,
    epsilon: f64,
    input_grad: InputGrad,
) -> Result<Tensor<S, f32, D, T>, NnError> {
    let features = last_axis(x.shape());
    check_affine("layer norm", weight, bias, features, epsilon)?;
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.layer_norm_forward(&x, weight, bias, epsilon).map_err(NnError::kernel("layer norm"))?;
    if T::OWNS_TAPE {
        let (y, weight, bias) = (y.clone(), weight.clone(), bias.clone());
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            let (dw, db) = device.layer_norm_backward(&x, &weight, epsilon, &mut gradient)?;
            set_grad(grads, &weight, dw)?;
            set_grad(grads, &bias, db)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl LayerNormKernel for Cpu {
    fn layer_norm_forward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
        epsilon: f64,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let y = cpu::rows::layer_norm(&cpu::data(x), &cpu::data(weight), &cpu::data(bias), epsilon);
        cpu::tensor(self, y, *x.shape())
    }

    fn layer_norm_backward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        epsilon: f64,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let (dw, db) = cpu::rows::layer_norm_backward(&cpu::data(x), &cpu::data(weight), epsilon, gradient);
        Ok((cpu::buffer(self, dw)?, cpu::buffer(self, db)?))
    }
}
