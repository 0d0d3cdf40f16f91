//! Element-wise activations, dropout, softmax and log-softmax.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor},
};

use super::grad::{GradKernel, pass_grad};
use crate::tensor::{Buffer, InputGrad, Tensor2, take_grad};
use crate::{NnError, cpu};
use sndpipe_random::Stream;

/// Kernels of the activations.
pub trait ActivationKernel: GradKernel {
    /// `max(x, 0)`; NaN stays NaN.
    fn relu_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// Zeroes the gradient where the output `y` is not positive.
    fn relu_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err>;

    /// `1 / (1 + exp(-x))`.
    fn sigmoid_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// Multiplies the gradient by `y (1 - y)`.
    fn sigmoid_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err>;

    /// The hyperbolic tangent.
    fn tanh_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// Multiplies the gradient by `1 - y^2`.
    fn tanh_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err>;

    /// Softmax of each row.
    fn softmax_forward(&self, x: &Tensor2<Self>) -> Result<Tensor2<Self>, Self::Err>;

    /// Turns the gradient of the output `y` into that of the input.
    fn softmax_backward(&self, y: &Tensor2<Self>, gradient: &mut Buffer<Self>) -> Result<(), Self::Err>;

    /// Log-softmax of each row.
    fn log_softmax_forward(&self, x: &Tensor2<Self>) -> Result<Tensor2<Self>, Self::Err>;

    /// Turns the gradient of the output `y` into that of the input.
    fn log_softmax_backward(&self, y: &Tensor2<Self>, gradient: &mut Buffer<Self>) -> Result<(), Self::Err>;

    /// `x * mask`.
    fn mask_forward(&self, x: &Tensor2<Self>, mask: &[f32]) -> Result<Tensor2<Self>, Self::Err>;

    /// Multiplies the gradient by `mask`.
    fn mask_backward(&self, mask: &[f32], gradient: &mut Buffer<Self>) -> Result<(), Self::Err>;
}

/// `y = max(x, 0)`; its derivative at 0 is 0.
pub fn try_relu<S: Shape, D: ActivationKernel, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
    input_grad: InputGrad,
) -> Result<Tensor<S, f32, D, T>, NnError> {
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.relu_forward(&x).map_err(NnError::kernel("relu"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            device.relu_backward(&y, &mut gradient)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// `y = 1 / (1 + exp(-x))`, within 1.2e-7.
pub fn try_sigmoid<S: Shape, D: ActivationKernel, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
    input_grad: InputGrad,
) -> Result<Tensor<S, f32, D, T>, NnError> {
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.sigmoid_forward(&x).map_err(NnError::kernel("sigmoid"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            device.sigmoid_backward(&y, &mut gradient)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// `y = tanh(x)`, within 2.4e-7 of its size.
pub fn try_tanh<S: Shape, D: ActivationKernel, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
    input_grad: InputGrad,
) -> Result<Tensor<S, f32, D, T>, NnError> {
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.tanh_forward(&x).map_err(NnError::kernel("tanh"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            device.tanh_backward(&y, &mut gradient)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// `y[n, k] = exp(x[n, k]) / sum over j of exp(x[n, j])`, shifted by the row's maximum.
pub fn try_softmax<D: ActivationKernel, T: Tape<f32, D>>(
    x: Tensor2<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.softmax_forward(&x).map_err(NnError::kernel("softmax"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            device.softmax_backward(&y, &mut gradient)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// `y[n, k] = x[n, k] - ln(sum over j of exp(x[n, j]))`, shifted by the row's maximum.
pub fn try_log_softmax<D: ActivationKernel, T: Tape<f32, D>>(
    x: Tensor2<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.log_softmax_forward(&x).map_err(NnError::kernel("log-softmax"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            device.log_softmax_backward(&y, &mut gradient)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// Zeroes each number with probability `p` and divides the rest by `1 - p`.
///
/// Row `i` draws from `stream.at(0, step << 32 | i)`, so the mask depends on nothing else.
pub fn try_dropout<D: ActivationKernel, T: Tape<f32, D>>(
    x: Tensor2<D, T>,
    p: f64,
    stream: &Stream,
    step: u64,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    if !(0.0..1.0).contains(&p) {
        return Err(NnError::range("dropout", p, "in [0, 1)"));
    }
    let (rows, features) = *x.shape();
    let keep = (1.0 / (1.0 - p)) as f32;
    let mut mask = Vec::with_capacity(rows * features);
    for row in 0..rows as u64 {
        let mut rng = stream.at((step >> 32) as u32, (step << 32) | row);
        mask.extend((0..features).map(|_| if f64::from(rng.uniform_f32()) < p { 0.0 } else { keep }));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.mask_forward(&x, &mask).map_err(NnError::kernel("dropout"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            device.mask_backward(&mask, &mut gradient)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl ActivationKernel for Cpu {
    fn relu_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err> {
        cpu::tensor(self, cpu::elementwise::relu(&cpu::data(x)), *x.shape())
    }

    fn relu_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        cpu::elementwise::relu_backward(&cpu::data(y), gradient);
        Ok(())
    }

    fn sigmoid_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err> {
        cpu::tensor(self, cpu::activation::sigmoid_forward(&cpu::data(x)), *x.shape())
    }

    fn sigmoid_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        cpu::activation::sigmoid_backward(&cpu::data(y), gradient);
        Ok(())
    }

    fn tanh_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err> {
        cpu::tensor(self, cpu::activation::tanh_forward(&cpu::data(x)), *x.shape())
    }

    fn tanh_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        cpu::activation::tanh_backward(&cpu::data(y), gradient);
        Ok(())
    }

    fn softmax_forward(&self, x: &Tensor2<Self>) -> Result<Tensor2<Self>, Self::Err> {
        cpu::tensor(self, cpu::rows::softmax(&cpu::data(x), x.shape().1.max(1)), *x.shape())
    }

    fn softmax_backward(&self, y: &Tensor2<Self>, gradient: &mut Buffer<Self>) -> Result<(), Self::Err> {
        cpu::rows::softmax_backward(&cpu::data(y), gradient, y.shape().1.max(1));
        Ok(())
    }

    fn log_softmax_forward(&self, x: &Tensor2<Self>) -> Result<Tensor2<Self>, Self::Err> {
        let y = cpu::loss::log_softmax(&cpu::data(x), x.shape().1.max(1));
        cpu::tensor(self, y, *x.shape())
    }

    fn log_softmax_backward(&self, y: &Tensor2<Self>, gradient: &mut Buffer<Self>) -> Result<(), Self::Err> {
        cpu::loss::log_softmax_backward(&cpu::data(y), gradient, y.shape().1.max(1));
        Ok(())
    }

    fn mask_forward(&self, x: &Tensor2<Self>, mask: &[f32]) -> Result<Tensor2<Self>, Self::Err> {
        let y = cpu::data(x).iter().zip(mask).map(|(x, m)| x * m).collect();
        cpu::tensor(self, y, *x.shape())
    }

    fn mask_backward(&self, mask: &[f32], gradient: &mut Buffer<Self>) -> Result<(), Self::Err> {
        for (g, m) in gradient.iter_mut().zip(mask) {
            *g *= m;
        }
        Ok(())
    }
}
