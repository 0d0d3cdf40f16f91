//! Losses on logits.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape},
};
use serde::{Deserialize, Serialize};

use crate::{
    Device, NnError, cpu,
    tensor::{Buffer, Scalar, Tensor2, set_grad, take_grad},
};

/// A loss, as named in a pipeline file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossSpec {
    /// Categorical cross entropy of softmax(logits): the mean over samples; targets are distributions over classes.
    Cce,
    /// Binary cross entropy of sigmoid(logits): the mean over samples and classes; targets in [0, 1].
    Bce,
}

/// Kernels of [`try_loss`].
pub trait LossKernel: Storage<f32> {
    /// The loss and its gradient with respect to the logits.
    fn loss_forward(
        &self,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        spec: LossSpec,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err>;

    /// `gradient * upstream`, where `upstream` is one number.
    fn loss_backward(
        &self,
        gradient: Buffer<Self>,
        upstream: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// The loss `spec` of `logits` and `targets`, both (n, classes).
///
/// Cross entropy: `-1/n sum t ln softmax(x)`. Binary: `1/(n k) sum max(x, 0) - x t + ln(1 + exp(-|x|))`.
pub fn try_loss<D: Device, T: Tape<f32, D>>(
    logits: Tensor2<D, T>,
    targets: &Tensor2<D>,
    spec: LossSpec,
) -> Result<Scalar<D, T>, NnError> {
    let (found, expected) = (*targets.shape(), *logits.shape());
    if found != expected || expected.0 == 0 || expected.1 == 0 {
        return Err(NnError::shape("targets of the loss", &[expected.0, expected.1], &[found.0, found.1]));
    }
    let (logits, mut tape) = logits.split_tape();
    let device = logits.device().clone();
    let (loss, gradient) = device.loss_forward(&logits, targets, spec).map_err(NnError::kernel("loss"))?;
    if T::OWNS_TAPE {
        let loss = loss.clone();
        tape.add_backward_op(move |grads| {
            let upstream = take_grad(grads, &loss)?;
            let gradient = device.loss_backward(gradient, &upstream)?;
            set_grad(grads, &logits, gradient)
        });
    }
    Ok(loss.put_tape(tape))
}

impl LossKernel for Cpu {
    fn loss_forward(
        &self,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        spec: LossSpec,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let (x, t) = (cpu::data(logits), cpu::data(targets));
        let (loss, gradient) = match spec {
            LossSpec::Cce => cpu::loss::cross_entropy(&x, &t, logits.shape().1),
            LossSpec::Bce => cpu::loss::binary_cross_entropy(&x, &t),
        };
        Ok((cpu::tensor(self, vec![loss as f32], ())?, cpu::buffer(self, gradient)?))
    }

    fn loss_backward(
        &self,
        mut gradient: Buffer<Self>,
        upstream: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::elementwise::scale(&mut gradient, upstream[0]);
        Ok(gradient)
    }
}
