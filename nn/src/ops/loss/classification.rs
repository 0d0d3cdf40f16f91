//! Losses on logits.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::LossSpec;
use crate::ops::grad::GradKernel;
use crate::{
    NnError,
    cpu::{
        self,
        loss::{Limit, RowLoss, Rows},
    },
    tensor::{Buffer, Scalar, Tensor2, set_grad, take_grad},
};

/// Kernels of the losses; shapes are checked before they are called.
pub trait LossKernel: GradKernel {
    /// The loss and its gradient with respect to the logits.
    ///
    /// `marks` are the mask (n, classes) of [`LossSpec::Bce`]; of any other loss (n, 1), 1 for clean samples and 0 for others.
    fn loss_forward(
        &self,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        marks: Option<&Tensor2<Self>>,
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
/// Everything is computed from `ln softmax(x)` or `max(x, 0) - x t + ln(1 + exp(-|x|))` in f64, so that no logit is too
/// large. Fails where the shapes differ or a parameter of `spec` is out of range.
pub fn try_loss<D: LossKernel, T: Tape<f32, D>>(
    logits: Tensor2<D, T>,
    targets: &Tensor2<D>,
    spec: LossSpec,
) -> Result<Scalar<D, T>, NnError> {
    spec.check()?;
    same_shape("targets of the loss", &logits, targets)?;
    recorded(logits, |device, logits| device.loss_forward(logits, targets, None, spec))
}

/// Binary cross entropy whose negative terms are weighted: `-1/(n k) sum t ln p + m (1 - t) ln(1 - p)`, `p = sigmoid(x)`.
///
/// `logits`, `targets` and `mask` are (n, k); `m` is 0 where a label may be missing, else 1. The mean is over all
/// entries, masked or not. A mask of ones gives [`LossSpec::Bce`] to the bit. Source: Fonseca, Hershey, Plakal, Ellis,
/// Jansen and Moore 2020, loss masking.
pub fn try_masked_loss<D: LossKernel, T: Tape<f32, D>>(
    logits: Tensor2<D, T>,
    targets: &Tensor2<D>,
    mask: &Tensor2<D>,
) -> Result<Scalar<D, T>, NnError> {
    same_shape("targets of the loss", &logits, targets)?;
    same_shape("mask of the loss", &logits, mask)?;
    recorded(logits, |device, logits| device.loss_forward(logits, targets, Some(mask), LossSpec::Bce))
}

/// The loss `spec` of the samples whose labels may be wrong, [`LossSpec::Cce`] of those that are clean.
///
/// `clean` is (n, 1): 1 for a clean sample, else 0. A limit by which samples are left out is that of the losses of the others,
/// and only they are left out; means are as without clean samples. Fails for [`LossSpec::Bce`]. Source: Fonseca, Plakal,
/// Ellis, Font, Favory and Serra 2019, the variants for training on noisy and clean data together.
pub fn try_selective_loss<D: LossKernel, T: Tape<f32, D>>(
    logits: Tensor2<D, T>,
    targets: &Tensor2<D>,
    clean: &Tensor2<D>,
    spec: LossSpec,
) -> Result<Scalar<D, T>, NnError> {
    spec.check()?;
    if spec == LossSpec::Bce {
        return Err(NnError::range("loss", "`bce`", "one of a class a sample where some are clean"));
    }
    same_shape("targets of the loss", &logits, targets)?;
    let (expected, found) = ((logits.shape().0, 1), *clean.shape());
    if found != expected {
        return Err(NnError::shape("clean samples of the loss", &[expected.0, 1], &[found.0, found.1]));
    }
    recorded(logits, |device, logits| device.loss_forward(logits, targets, Some(clean), spec))
}

fn same_shape<D: LossKernel, T>(
    what: &str,
    logits: &Tensor2<D, T>,
    other: &Tensor2<D>,
) -> Result<(), NnError> {
    let (found, expected) = (*other.shape(), *logits.shape());
    if found != expected || expected.0 == 0 || expected.1 == 0 {
        return Err(NnError::shape(what, &[expected.0, expected.1], &[found.0, found.1]));
    }
    Ok(())
}

/// Records a loss whose forward pass already gives its gradient.
pub(super) fn recorded<D: LossKernel, T: Tape<f32, D>>(
    x: Tensor2<D, T>,
    forward: impl FnOnce(&D, &Tensor2<D>) -> Result<(Scalar<D>, Buffer<D>), D::Err>,
) -> Result<Scalar<D, T>, NnError> {
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let (loss, gradient) = forward(&device, &x).map_err(NnError::kernel("loss"))?;
    if T::OWNS_TAPE {
        let loss = loss.clone();
        tape.add_backward_op(move |grads| {
            let upstream = take_grad(grads, &loss)?;
            let gradient = device.loss_backward(gradient, &upstream)?;
            set_grad(grads, &x, gradient)
        });
    }
    Ok(loss.put_tape(tape))
}

/// Smooths targets (n, classes) in place: each label `c` gives away the share `epsilons[c]`, evenly to all classes.
///
/// `t[k] = (1 - epsilons[k]) t[k] + 1/classes sum over c of epsilons[c] t[c]`, with one `epsilon` for each class, so that
/// noisier classes can be smoothed more. A one-hot label becomes `1 - epsilon + epsilon / classes` and
/// `epsilon / classes`. Fails where `targets` is no multiple of the classes or an `epsilon` is outside [0, 1].
/// Source: Szegedy et al. 2016, section 7.
pub fn smooth_labels(targets: &mut [f32], epsilons: &[f64]) -> Result<(), NnError> {
    let classes = epsilons.len();
    if classes == 0 || !targets.len().is_multiple_of(classes) {
        return Err(NnError::shape("targets, a multiple of the classes", &[classes], &[targets.len()]));
    }
    if let Some(epsilon) = epsilons.iter().find(|e| !(0.0..=1.0).contains(*e)) {
        return Err(NnError::range("epsilon", epsilon, "in [0, 1]"));
    }
    cpu::loss::smooth(targets, epsilons);
    Ok(())
}

impl LossKernel for Cpu {
    fn loss_forward(
        &self,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        marks: Option<&Tensor2<Self>>,
        spec: LossSpec,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        use cpu::loss::{absolute_error, binary_cross_entropy, cross_entropy, generalised, soft_bootstrap};
        let (x, t, classes) = (cpu::data(logits), cpu::data(targets), logits.shape().1);
        let marks = marks.map(cpu::data);
        let clean: Vec<bool> = match spec {
            LossSpec::Bce => Vec::new(),
            _ => marks.iter().flat_map(|marks| marks.iter().map(|&mark| mark > 0.5)).collect(),
        };
        let rows = |row: &RowLoss<'_>| Rows::new(&x, &t, classes, &clean, row);
        let (loss, gradient) = match spec {
            LossSpec::Cce => rows(&cross_entropy).mean(),
            LossSpec::Bce => match marks {
                None => binary_cross_entropy(&x, &t, std::iter::repeat(1.0)),
                Some(mask) => binary_cross_entropy(&x, &t, mask.iter().map(|&m| f64::from(m))),
            },
            LossSpec::Mae => rows(&absolute_error).mean(),
            LossSpec::Lq { q } => rows(&generalised(q)).mean(),
            LossSpec::Lsoft { beta } => rows(&soft_bootstrap(beta)).mean(),
            LossSpec::CceSmooth { epsilon } => {
                let mut smooth = t.to_vec();
                cpu::loss::smooth(&mut smooth, &vec![epsilon; classes]);
                let labels = smooth.chunks_exact_mut(classes).zip(t.chunks_exact(classes));
                for ((smooth, t), _) in labels.zip(&clean).filter(|(_, clean)| **clean) {
                    smooth.copy_from_slice(t);
                }
                Rows::new(&x, &smooth, classes, &clean, &cross_entropy).mean()
            }
            LossSpec::CceMax { share } => {
                let mut rows = rows(&cross_entropy);
                rows.leave_out(Limit::ShareOfMaximum(share));
                rows.mean()
            }
            LossSpec::CceOutlier { deviations } => {
                let mut rows = rows(&cross_entropy);
                rows.leave_out(Limit::Deviations(deviations));
                rows.mean()
            }
            LossSpec::LqMax { q, share } => {
                let mut rows = rows(&generalised(q));
                let kept = rows.leave_out(Limit::ShareOfMaximum(share));
                rows.mean_over(kept)
            }
            LossSpec::LqPercentile { q, percentile } => {
                let mut rows = rows(&generalised(q));
                let kept = rows.leave_out(Limit::Percentile(percentile));
                rows.mean_over(kept)
            }
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
