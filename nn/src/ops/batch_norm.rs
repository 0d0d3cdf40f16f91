//! Batch normalisation over samples, rows and columns, fused with ReLU.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape},
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError,
    cpu::{self, norm::Normaliser},
    tensor::{Buffer, InputGrad, Tensor1, Tensor4, set_grad, take_grad},
};

/// Constants of a batch normalisation; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormSpec {
    /// Added to the variance.
    pub epsilon: f64,
    /// Share of the newest batch in the running statistics.
    pub momentum: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Default for BatchNormSpec {
    fn default() -> Self {
        BatchNormSpec { epsilon: 1e-5, momentum: 0.1, relu: true }
    }
}

impl BatchNormSpec {
    /// What Keras does by default.
    pub const KERAS: BatchNormSpec = BatchNormSpec { epsilon: 1e-3, momentum: 0.01, relu: true };
    /// As Keras, with statistics that follow a thirtieth as fast.
    pub const SLOW: BatchNormSpec = BatchNormSpec { momentum: 3e-4, ..BatchNormSpec::KERAS };
}

/// Which statistics a batch normalisation uses.
#[derive(Debug)]
pub enum Normalisation {
    /// Those of the batch (training).
    Batch,
    /// The running ones (evaluation).
    Running,
}

/// Running statistics after a batch: mean and unbiased variance, moved by the momentum.
#[derive(Debug, Clone)]
pub struct BatchStatistics<D: Storage<f32>> {
    /// The new running mean.
    pub mean: Tensor1<D>,
    /// The new running variance.
    pub variance: Tensor1<D>,
}

/// Parameters of one batch normalisation, `channels` numbers each.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormParameters<'a, D: Storage<f32>> {
    /// gamma.
    pub weight: &'a Tensor1<D>,
    /// beta.
    pub bias: &'a Tensor1<D>,
    /// Mean over past batches.
    pub running_mean: &'a Tensor1<D>,
    /// Unbiased variance over past batches.
    pub running_var: &'a Tensor1<D>,
}

/// Kernels of [`try_batch_norm`]; shapes are checked before they are called.
pub trait BatchNormKernel: GradKernel {
    /// What the backward pass needs beside the input.
    type Saved: 'static;

    /// The output, what the backward pass needs, and with batch statistics the new running ones.
    #[expect(clippy::type_complexity, reason = "three results of one pass")]
    fn batch_norm_forward(
        &self,
        x: &Tensor4<Self>,
        parameters: &BatchNormParameters<'_, Self>,
        spec: &BatchNormSpec,
        statistics: &Normalisation,
    ) -> Result<(Tensor4<Self>, Self::Saved, Option<BatchStatistics<Self>>), Self::Err>;

    /// Turns the gradient of the output into that of the input; returns those of weight and bias.
    fn batch_norm_backward(
        &self,
        x: &Tensor4<Self>,
        saved: &Self::Saved,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err>;
}

/// `y = relu((x - mean) / sqrt(variance + epsilon) * gamma + beta)` for each channel of `x`.
///
/// `x` is (n, rows, columns, channels). With [`Normalisation::Batch`] mean and biased variance are those of the batch and the
/// new running statistics are returned (variance unbiased, n - 1, as PyTorch does); the caller stores them.
/// Source: Ioffe and Szegedy 2015, with the conventions of `torch.nn.BatchNorm2d`.
#[expect(clippy::type_complexity, reason = "the output and the statistics")]
pub fn try_batch_norm<D: BatchNormKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    parameters: &BatchNormParameters<'_, D>,
    spec: &BatchNormSpec,
    statistics: &Normalisation,
    input_grad: InputGrad,
) -> Result<(Tensor4<D, T>, Option<BatchStatistics<D>>), NnError> {
    let (n, height, width, channels) = *x.shape();
    let p = parameters;
    for (name, t) in [
        ("weight", p.weight),
        ("bias", p.bias),
        ("running mean", p.running_mean),
        ("running variance", p.running_var),
    ] {
        if t.shape().0 != channels {
            return Err(NnError::shape(format!("{name} of batch norm"), &[channels], &[t.shape().0]));
        }
    }
    let count = n * height * width;
    if channels == 0 || count < 1 || (count < 2 && matches!(statistics, Normalisation::Batch)) {
        return Err(NnError::shape(
            "input of batch norm (at least two values a channel in training)",
            &[n.max(2), height.max(1), width.max(1), channels.max(1)],
            &[n, height, width, channels],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let (y, saved, running) =
        device.batch_norm_forward(&x, p, spec, statistics).map_err(NnError::kernel("batch norm"))?;
    if T::OWNS_TAPE {
        let (y, weight, bias) = (y.clone(), p.weight.clone(), p.bias.clone());
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            drop(y);
            let (dw, db) = device.batch_norm_backward(&x, &saved, &mut gradient)?;
            set_grad(grads, &weight, dw)?;
            set_grad(grads, &bias, db)?;
            pass_grad(grads, &device, &x, gradient, input_grad)
        });
    }
    Ok((y.put_tape(tape), running))
}

/// Saved statistics of the CPU kernel.
#[derive(Debug, Clone)]
pub struct CpuNormaliser {
    normaliser: Normaliser,
    relu: bool,
    batch: bool,
}

impl BatchNormKernel for Cpu {
    type Saved = CpuNormaliser;

    fn batch_norm_forward(
        &self,
        x: &Tensor4<Self>,
        p: &BatchNormParameters<'_, Self>,
        spec: &BatchNormSpec,
        statistics: &Normalisation,
    ) -> Result<(Tensor4<Self>, Self::Saved, Option<BatchStatistics<Self>>), Self::Err> {
        let (values, shape) = (cpu::data(x), *x.shape());
        let (old_mean, old_var) = (cpu::data(p.running_mean), cpu::data(p.running_var));
        let (mean, variance, running, batch) = match statistics {
            Normalisation::Batch => {
                let (mean, variance) = cpu::norm::moments(&values, &old_mean);
                let count = (values.len() / shape.3) as f64;
                let blend = |old: &[f32], new: &[f64], factor: f64| {
                    let values: Vec<f32> = old
                        .iter()
                        .zip(new)
                        .map(|(&o, n)| {
                            ((1.0 - spec.momentum) * f64::from(o) + spec.momentum * factor * n) as f32
                        })
                        .collect();
                    cpu::tensor(self, values, (shape.3,))
                };
                let running = BatchStatistics {
                    mean: blend(&old_mean, &mean, 1.0)?,
                    variance: blend(&old_var, &variance, count / (count - 1.0))?,
                };
                (mean, variance, Some(running), true)
            }
            Normalisation::Running => {
                let widen = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
                (widen(&old_mean), widen(&old_var), None, false)
            }
        };
        let (gamma, beta) = (cpu::data(p.weight), cpu::data(p.bias));
        let normaliser = Normaliser::new(&mean, &variance, &gamma, &beta, spec.epsilon);
        let y = cpu::norm::affine(&values, &normaliser.scale, &normaliser.offset, spec.relu);
        let saved = CpuNormaliser { normaliser, relu: spec.relu, batch };
        Ok((cpu::tensor(self, y, shape)?, saved, running))
    }

    fn batch_norm_backward(
        &self,
        x: &Tensor4<Self>,
        saved: &Self::Saved,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let (dw, db) =
            cpu::norm::backward(&cpu::data(x), &saved.normaliser, saved.relu, saved.batch, gradient);
        Ok((cpu::buffer(self, dw)?, cpu::buffer(self, db)?))
    }
}
