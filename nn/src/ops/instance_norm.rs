//! Instance normalisation.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use super::shape::check_affine;
use crate::{
    NnError,
    cpu::{self, norm::Normaliser},
    tensor::{Buffer, InputGrad, Tensor1, Tensor4, set_grad, take_grad},
};

/// Kernels of [`try_instance_norm`]; shapes are checked before they are called.
pub trait InstanceNormKernel: GradKernel {
    /// Statistics of each sample, for the backward pass.
    type Statistics: 'static;

    /// The output and its statistics.
    fn instance_norm_forward(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
        epsilon: f64,
    ) -> Result<(Tensor4<Self>, Self::Statistics), Self::Err>;

    /// Turns the gradient of the output into that of the input; returns those of weight and bias.
    fn instance_norm_backward(
        &self,
        x: &Tensor4<Self>,
        statistics: &Self::Statistics,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err>;
}

/// `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` for each channel of each sample.
///
/// `x` is (n, rows, columns, channels); mean and biased variance are those over rows and columns of one sample, in training
/// and evaluation alike. `weight` and `bias` have one number for each channel; the default `epsilon` of PyTorch is 1e-5.
/// Fails where lengths differ, a sample has fewer than two positions, or `epsilon` is not positive.
/// Source: Ulyanov, Vedaldi and Lempitsky 2016, with the conventions of `torch.nn.InstanceNorm2d`.
pub fn try_instance_norm<D: InstanceNormKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    weight: &Tensor1<D>,
    bias: &Tensor1<D>,
    epsilon: f64,
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let (n, height, width, channels) = *x.shape();
    check_affine("instance norm", weight, bias, channels, epsilon)?;
    if n == 0 || height * width < 2 {
        return Err(NnError::shape(
            "input of instance norm (at least two positions)",
            &[n.max(1), height.max(1), width.max(2), channels],
            &[n, height, width, channels],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let (y, statistics) =
        device.instance_norm_forward(&x, weight, bias, epsilon).map_err(NnError::kernel("instance norm"))?;
    if T::OWNS_TAPE {
        let (y, weight, bias) = (y.clone(), weight.clone(), bias.clone());
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            drop(y);
            let (dw, db) = device.instance_norm_backward(&x, &statistics, &mut gradient)?;
            set_grad(grads, &weight, dw)?;
            set_grad(grads, &bias, db)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// Statistics of the CPU kernel.
#[derive(Debug, Clone)]
pub struct CpuStatistics(Vec<Normaliser>);

impl InstanceNormKernel for Cpu {
    type Statistics = CpuStatistics;

    fn instance_norm_forward(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
        epsilon: f64,
    ) -> Result<(Tensor4<Self>, Self::Statistics), Self::Err> {
        let shape = *x.shape();
        let (weight, bias) = (cpu::data(weight), cpu::data(bias));
        let (y, normalisers) = cpu::norm::instance(&cpu::data(x), &weight, &bias, shape.1 * shape.2, epsilon);
        Ok((cpu::tensor(self, y, shape)?, CpuStatistics(normalisers)))
    }

    fn instance_norm_backward(
        &self,
        x: &Tensor4<Self>,
        statistics: &Self::Statistics,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let positions = x.shape().1 * x.shape().2;
        let (dw, db) = cpu::norm::instance_backward(&cpu::data(x), &statistics.0, positions, gradient);
        Ok((cpu::buffer(self, dw)?, cpu::buffer(self, db)?))
    }
}
