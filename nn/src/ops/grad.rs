//! How an operation hands the gradient of its input on.

use dfdx::{
    shapes::Shape,
    tensor::{Cpu, Gradients, Tensor},
};

use crate::cpu;
use crate::tensor::{Buffer, InputGrad, set_grad};

/// The kernel that every operation needs which has a gradient.
pub trait GradKernel: dfdx::tensor_ops::Device<f32> {
    /// `sum += x`, of gradients.
    fn accumulate(&self, sum: &mut Buffer<Self>, x: &Buffer<Self>) -> Result<(), Self::Err>;
}

impl GradKernel for Cpu {
    fn accumulate(&self, sum: &mut Buffer<Self>, x: &Buffer<Self>) -> Result<(), Self::Err> {
        cpu::elementwise::accumulate(sum, x);
        Ok(())
    }
}

/// Gives `gradient` to the input `t` of an operation in the way that `input_grad` says.
pub(crate) fn pass_grad<S: Shape, D: GradKernel>(
    grads: &mut Gradients<f32, D>,
    device: &D,
    t: &Tensor<S, f32, D>,
    gradient: Buffer<D>,
    input_grad: InputGrad,
) -> Result<(), D::Err> {
    match input_grad {
        InputGrad::Skip => Ok(()),
        InputGrad::Set => set_grad(grads, t, gradient),
        InputGrad::Add => device.accumulate(grads.get_or_alloc_mut(t)?, &gradient),
    }
}

/// As [`pass_grad`], where the operation needs the gradient afterwards.
pub(crate) fn copy_grad<S: Shape, D: GradKernel>(
    grads: &mut Gradients<f32, D>,
    device: &D,
    t: &Tensor<S, f32, D>,
    gradient: &Buffer<D>,
    input_grad: InputGrad,
) -> Result<(), D::Err> {
    match input_grad {
        InputGrad::Skip => Ok(()),
        InputGrad::Set => set_grad(grads, t, gradient.clone()),
        InputGrad::Add => device.accumulate(grads.get_or_alloc_mut(t)?, gradient),
    }
}
