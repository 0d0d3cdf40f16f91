//! Optimisers, and what decides on a step.

use std::fmt;

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::HasShape,
    tensor::{Cuda, CudaError, Storage},
};

use super::{
    context::{Context, Launch, Parameter, launch},
    fault::invalid,
    memory::{data, data_of, open, open_buffer, scratch},
    pointer::Pointer,
};
use crate::{
    optimiser::{Found, Update, UpdateKernel, VerdictKernel},
    tensor::{Buffer, Scalar, Tensor1, Tensor2},
};

/// Blocks that a sum of squares is made by.
const BLOCKS: usize = 64;
/// Numbers of a verdict, as `update.cu` describes them.
const NUMBERS: usize = 4;

/// `Update` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    rate: f32,
    decay: f32,
    shrink: f32,
    beta1: f32,
    beta2: f32,
    root: f32,
    epsilon: f32,
    trust: f32,
    first: u32,
    nesterov: u32,
    trusted: u32,
}

impl Parameter for &Update {
    type Form = Numbers;

    fn form(self) -> Numbers {
        Numbers {
            rate: self.rate,
            decay: self.decay,
            shrink: self.shrink,
            beta1: self.beta1,
            beta2: self.beta2,
            root: self.root,
            epsilon: self.epsilon,
            trust: self.trust.unwrap_or(0.0) as f32,
            first: self.first.into(),
            nesterov: self.nesterov.into(),
            trusted: self.trust.is_some().into(),
        }
    }
}

/// What decides on a step, on the GPU.
pub struct Verdict {
    numbers: CudaSlice<f64>,
    /// Sums of squares, as many for each gradient as there are blocks.
    squares: CudaSlice<f64>,
    /// Gradients that have been added, and that there is room for.
    added: usize,
    room: usize,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict").field("added", &self.added).finish_non_exhaustive()
    }
}

/// Writes the sums of squares of `n` numbers, one for each block, to `parts`.
fn squares(gpu: &Context, x: Pointer, n: usize, parts: Pointer) -> Result<(), CudaError> {
    launch!(gpu, "squares", Launch::blocks(BLOCKS), x, n, parts)
}

impl VerdictKernel for Cuda {
    type Verdict = Verdict;

    fn verdict_begin(
        &self,
        loss: &Scalar<Self>,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        gradients: usize,
    ) -> Result<Self::Verdict, Self::Err> {
        let ((gpu, from), (rows, width)) = (open(logits)?, *logits.shape());
        let numbers = scratch(&gpu, NUMBERS)?;
        let squares = scratch(&gpu, BLOCKS * gradients)?;
        let (loss, targets, at) = (data(loss)?, data(targets)?, data_of(&numbers));
        launch!(gpu, "verdict_begin", Launch::blocks(1), loss, from, targets, rows, width, at)?;
        Ok(Verdict { numbers, squares, added: 0, room: gradients })
    }

    fn verdict_add(&self, verdict: &mut Self::Verdict, gradient: &Buffer<Self>) -> Result<(), Self::Err> {
        if verdict.added == verdict.room {
            return Err(invalid());
        }
        let (gpu, from) = open_buffer(gradient)?;
        let parts = data_of(&verdict.squares).at_f64(BLOCKS * verdict.added);
        squares(&gpu, from, Storage::<f32>::len(self, gradient), parts)?;
        verdict.added += 1;
        Ok(())
    }

    fn verdict_end(&self, verdict: &mut Self::Verdict, most: Option<f64>) -> Result<(), Self::Err> {
        let gpu = Context::of(*verdict.numbers.device().cu_device())?;
        let (parts, to) = (data_of(&verdict.squares), data_of(&verdict.numbers));
        let (count, most) = (BLOCKS * verdict.added, most.unwrap_or(f64::INFINITY));
        launch!(gpu, "verdict_end", Launch::blocks(1), parts, count, most, to)
    }

    fn verdict_read(&self, verdict: &Self::Verdict) -> Result<Found, Self::Err> {
        let mut numbers = [0.0; NUMBERS];
        verdict.numbers.device().dtoh_sync_copy_into(&verdict.numbers, &mut numbers)?;
        let [loss, correct, square, _] = numbers;
        Ok(Found { loss: loss as f32, norm: square.sqrt(), correct: correct as usize })
    }
}

impl UpdateKernel for Cuda {
    fn adam_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err> {
        let [first, second] = moments else {
            return Ok(());
        };
        let ((gpu, to), n) = (open(value)?, value.shape().0);
        let (g, numbers, first, second) =
            (data_of(gradient), data_of(&verdict.numbers), data(first)?, data(second)?);
        launch!(gpu, "adam_update", Launch::each(n), g, numbers, n, update, to, first, second)
    }

    fn sgd_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err> {
        let ((gpu, to), n) = (open(value)?, value.shape().0);
        let momentum = moments.first().map_or(Ok(Pointer::NULL), data)?;
        let (g, numbers) = (data_of(gradient), data_of(&verdict.numbers));
        launch!(gpu, "sgd_update", Launch::each(n), g, numbers, n, update, to, momentum)
    }

    fn lars_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err> {
        let [momentum] = moments else {
            return Ok(());
        };
        let ((gpu, to), n) = (open(value)?, value.shape().0);
        let (g, numbers, momentum) = (data_of(gradient), data_of(&verdict.numbers), data(momentum)?);
        let (sums, rate) = (scratch::<f64>(&gpu, 2 * BLOCKS)?, scratch::<f32>(&gpu, 1)?);
        let (sizes, slopes) = (data_of(&sums), data_of(&sums).at_f64(BLOCKS));
        let rate_at = data_of(&rate);
        squares(&gpu, to, n, sizes)?;
        squares(&gpu, g, n, slopes)?;
        launch!(gpu, "lars_rate", Launch::blocks(1), sizes, slopes, BLOCKS, numbers, update, rate_at)?;
        launch!(gpu, "lars_update", Launch::each(n), g, numbers, n, update, rate_at, to, momentum)
    }

    fn average_update(
        &self,
        average: &mut Tensor1<Self>,
        value: &Tensor1<Self>,
        share: f32,
    ) -> Result<(), Self::Err> {
        let ((gpu, from), n) = (open(value)?, value.shape().0);
        launch!(gpu, "average_update", Launch::each(n), from, n, share, data(average)?)
    }
}
