//! Fully connected layers.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor1, Tensor2, set_grad, take_grad},
};

/// Kernels of [`try_linear`]; shapes are checked before they are called.
pub trait LinearKernel: GradKernel {
    /// The output, (n, outputs).
    fn linear_forward(
        &self,
        x: &Tensor2<Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
    ) -> Result<Tensor2<Self>, Self::Err>;

    /// Gradient of the input.
    fn linear_input_gradient(
        &self,
        x: &Tensor2<Self>,
        weight: &Tensor1<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err>;

    /// Gradients of weight and bias.
    fn linear_parameter_gradients(
        &self,
        x: &Tensor2<Self>,
        outputs: usize,
        dy: &Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err>;
}

/// `y = x W^T + b`: (n, inputs) to (n, outputs), `weight` flat as (outputs, inputs), `bias` (outputs).
pub fn try_linear<D: LinearKernel, T: Tape<f32, D>>(
    x: Tensor2<D, T>,
    weight: &Tensor1<D>,
    bias: &Tensor1<D>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let ((n, inputs), outputs) = (*x.shape(), bias.shape().0);
    if n == 0 || inputs == 0 || outputs == 0 || weight.shape().0 != inputs * outputs {
        return Err(NnError::shape(
            format!("weight of a linear layer over an input of {n} x {inputs}"),
            &[outputs, inputs],
            &[weight.shape().0],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.linear_forward(&x, weight, bias).map_err(NnError::kernel("linear"))?;
    if T::OWNS_TAPE {
        let (y, weight, bias) = (y.clone(), weight.clone(), bias.clone());
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            let (dw, db) = device.linear_parameter_gradients(&x, outputs, &dy)?;
            set_grad(grads, &weight, dw)?;
            set_grad(grads, &bias, db)?;
            if input_grad != InputGrad::Skip {
                let dx = device.linear_input_gradient(&x, &weight, &dy)?;
                pass_grad(grads, &device, &x, dx, input_grad)?;
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

impl LinearKernel for Cpu {
    fn linear_forward(
        &self,
        x: &Tensor2<Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
    ) -> Result<Tensor2<Self>, Self::Err> {
        let ((n, inputs), outputs) = (*x.shape(), bias.shape().0);
        let (x, weight, bias) = (cpu::data(x), cpu::data(weight), cpu::data(bias));
        let y = cpu::linear::forward(&x, &weight, Some(&bias), inputs, outputs);
        cpu::tensor(self, y, (n, outputs))
    }

    fn linear_input_gradient(
        &self,
        x: &Tensor2<Self>,
        weight: &Tensor1<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let inputs = x.shape().1;
        let outputs = weight.shape().0 / inputs;
        let dx = cpu::linear::input_gradient(dy, &cpu::data(weight), inputs, outputs);
        cpu::buffer(self, dx)
    }

    fn linear_parameter_gradients(
        &self,
        x: &Tensor2<Self>,
        outputs: usize,
        dy: &Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let dw = cpu::linear::weight_gradient(dy, &cpu::data(x), x.shape().1, outputs);
        let db = cpu::linear::bias_gradient(dy, outputs);
        Ok((cpu::buffer(self, dw)?, cpu::buffer(self, db)?))
    }
}
