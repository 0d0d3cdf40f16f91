//! What decides on a step, and what is reported of it.

use std::fmt::Debug;

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, Storage},
};

use crate::{
    cpu,
    tensor::{Buffer, Scalar, Tensor2},
};

/// What a step has found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The loss of the batch.
    pub loss: f32,
    /// The global norm of the gradients, before clipping.
    pub norm: f64,
    /// Samples whose largest logit is where their largest target is; of equals the first counts.
    pub correct: usize,
}

impl Found {
    /// Whether loss and norm are finite, so that the step counts.
    pub fn is_sound(&self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }
}

/// How a device finds out whether a step counts and how far gradients are clipped, so that nobody has to wait for it before
/// the optimiser has begun.
pub trait VerdictKernel: Storage<f32> {
    /// What is found, where the device keeps it.
    type Verdict: 'static + Debug;

    /// From the loss, its logits and targets; `gradients` will be added.
    fn verdict_begin(
        &self,
        loss: &Scalar<Self>,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        gradients: usize,
    ) -> Result<Self::Verdict, Self::Err>;

    /// Adds the sum of squares of a gradient, in an order that does not depend on threads.
    fn verdict_add(&self, verdict: &mut Self::Verdict, gradient: &Buffer<Self>) -> Result<(), Self::Err>;

    /// Decides: gradients with a global norm above `most` are scaled down to it; where loss or norm are not finite,
    /// [`UpdateKernel`](super::UpdateKernel) changes nothing.
    fn verdict_end(&self, verdict: &mut Self::Verdict, most: Option<f64>) -> Result<(), Self::Err>;

    /// Waits for the device and tells what was found.
    fn verdict_read(&self, verdict: &Self::Verdict) -> Result<Found, Self::Err>;
}

/// A verdict of the CPU.
#[derive(Debug, Clone)]
pub struct CpuVerdict {
    loss: f32,
    correct: usize,
    squares: f64,
    /// What gradients are multiplied by; none where nothing is to change.
    pub(super) clip: Option<f32>,
}

/// How many rows of (n, outputs) have their largest logit where their largest target is.
fn count_correct(logits: &[f32], targets: &[f32], outputs: usize) -> usize {
    let largest = |row: &[f32]| {
        let best = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
        (1..row.len()).fold(0, best)
    };
    let rows = logits.chunks_exact(outputs).zip(targets.chunks_exact(outputs));
    rows.filter(|(logits, targets)| largest(logits) == largest(targets)).count()
}

impl VerdictKernel for Cpu {
    type Verdict = CpuVerdict;

    fn verdict_begin(
        &self,
        loss: &Scalar<Self>,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        _: usize,
    ) -> Result<Self::Verdict, Self::Err> {
        let correct = count_correct(&cpu::data(logits), &cpu::data(targets), logits.shape().1);
        Ok(CpuVerdict { loss: cpu::data(loss)[0], correct, squares: 0.0, clip: None })
    }

    fn verdict_add(&self, verdict: &mut Self::Verdict, gradient: &Buffer<Self>) -> Result<(), Self::Err> {
        verdict.squares += cpu::elementwise::sum_of_squares(gradient);
        Ok(())
    }

    fn verdict_end(&self, verdict: &mut Self::Verdict, most: Option<f64>) -> Result<(), Self::Err> {
        let found = self.verdict_read(verdict)?;
        let clip = most.map_or(1.0, |most| (most / (found.norm + 1e-6)).min(1.0));
        verdict.clip = found.is_sound().then_some(clip as f32);
        Ok(())
    }

    fn verdict_read(&self, verdict: &Self::Verdict) -> Result<Found, Self::Err> {
        Ok(Found { loss: verdict.loss, norm: verdict.squares.sqrt(), correct: verdict.correct })
    }
}
