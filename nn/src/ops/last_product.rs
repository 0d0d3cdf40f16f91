//! How a bidirectional recurrent layer becomes one vector.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor2, Tensor3, take_grad},
};

/// Kernels of [`try_last_product`]; shapes are checked before they are called.
pub trait LastProductKernel: GradKernel {
    /// The output.
    fn last_product_forward(&self, x: &Tensor3<Self>) -> Result<Tensor2<Self>, Self::Err>;

    /// Gradient of the input from that of the output.
    fn last_product_backward(&self, x: &Tensor3<Self>, dy: &Buffer<Self>) -> Result<Buffer<Self>, Self::Err>;
}

/// `y[n, k] = x[n, last, k] x[n, last, h + k]`: (n, steps, 2 h) to (n, h), the product of both directions' outputs at the last
/// step.
///
/// Fails where there is no step or the features are no even number. Source: E. Fonseca et al., "FSD50K", 2022 (the CRNN).
pub fn try_last_product<D: LastProductKernel, T: Tape<f32, D>>(
    x: Tensor3<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let (n, steps, features) = *x.shape();
    if n == 0 || steps == 0 || features == 0 || !features.is_multiple_of(2) {
        let least = [n.max(1), steps.max(1), features.next_multiple_of(2).max(2)];
        return Err(NnError::shape("input of the last product", &least, &[n, steps, features]));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.last_product_forward(&x).map_err(NnError::kernel("last product"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            let dx = device.last_product_backward(&x, &dy)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl LastProductKernel for Cpu {
    fn last_product_forward(&self, x: &Tensor3<Self>) -> Result<Tensor2<Self>, Self::Err> {
        let (n, steps, features) = *x.shape();
        let values = cpu::data(x);
        let mut y = Vec::with_capacity(n * features / 2);
        for sample in values.chunks_exact(steps * features) {
            let (forward, back) = sample[(steps - 1) * features..].split_at(features / 2);
            y.extend(forward.iter().zip(back).map(|(a, b)| a * b));
        }
        cpu::tensor(self, y, (n, features / 2))
    }

    fn last_product_backward(&self, x: &Tensor3<Self>, dy: &Buffer<Self>) -> Result<Buffer<Self>, Self::Err> {
        let (_, steps, features) = *x.shape();
        let values = cpu::data(x);
        let mut dx = vec![0.0; values.len()];
        let samples = values.chunks_exact(steps * features).zip(dx.chunks_exact_mut(steps * features));
        for ((x, dx), dy) in samples.zip(dy.chunks_exact(features / 2)) {
            let (forward, back) = x[(steps - 1) * features..].split_at(features / 2);
            let (to_forward, to_back) = dx[(steps - 1) * features..].split_at_mut(features / 2);
            for (k, &d) in dy.iter().enumerate() {
                to_forward[k] = d * back[k];
                to_back[k] = d * forward[k];
            }
        }
        cpu::buffer(self, dx)
    }
}
