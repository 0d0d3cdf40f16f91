//! Losses on logits.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError, Storage},
};

use super::{
    context::{Context, Launch, launch},
    memory::{buffer, data, data_of, open, open_buffer, scratch, tensor},
    pointer::Pointer,
};
use crate::{
    ops::{LossKernel, LossSpec},
    tensor::{Buffer, Scalar, Tensor2},
};

/// Most blocks that give partial sums of a loss.
const BLOCKS: usize = 64;

/// A loss of rows, by the numbers that `loss.cu` has for them.
#[derive(Debug, Clone, Copy)]
struct Rows {
    kind: u32,
    number: f64,
    smoothing: f64,
    limit: u32,
    limit_number: f64,
    /// Whether the mean is that of the rows that are kept.
    kept: bool,
}

impl Rows {
    /// None for the loss that has no rows.
    fn of(spec: LossSpec) -> Option<Rows> {
        let plain = Rows { kind: 0, number: 0.0, smoothing: 0.0, limit: 0, limit_number: 0.0, kept: false };
        let generalised = |q| Rows { kind: 2, number: q, ..plain };
        Some(match spec {
            LossSpec::Bce => return None,
            LossSpec::Cce => plain,
            LossSpec::Mae => Rows { kind: 1, ..plain },
            LossSpec::Lq { q } => generalised(q),
            LossSpec::Lsoft { beta } => Rows { kind: 3, number: beta, ..plain },
            LossSpec::CceSmooth { epsilon } => Rows { smoothing: epsilon, ..plain },
            LossSpec::CceMax { share } => Rows { limit: 1, limit_number: share, ..plain },
            LossSpec::CceOutlier { deviations } => Rows { limit: 2, limit_number: deviations, ..plain },
            LossSpec::LqMax { q, share } => {
                Rows { limit: 1, limit_number: share, kept: true, ..generalised(q) }
            }
            LossSpec::LqPercentile { q, percentile } => {
                Rows { limit: 3, limit_number: percentile, kept: true, ..generalised(q) }
            }
        })
    }

    fn compute(
        &self,
        gpu: &Context,
        (logits, targets, clean): (Pointer, Pointer, Pointer),
        (rows, classes): (usize, usize),
        (loss, gradient): (Pointer, Pointer),
    ) -> Result<(), CudaError> {
        let n = rows * classes;
        let numbers: CudaSlice<f64> = scratch(gpu, n + 2 * rows + 2)?;
        let wide = data_of(&numbers);
        let (losses, sorted) = (wide.at_f64(n), wide.at_f64(n + rows));
        let limit = wide.at_f64(n + 2 * rows);
        let (blocks, one, Rows { kind, number, smoothing, kept, .. }) =
            (Launch::rows(rows, classes), Launch::blocks(1), *self);
        launch!(
            gpu,
            "loss_rows",
            blocks,
            logits,
            targets,
            clean,
            classes,
            kind,
            number,
            smoothing,
            losses,
            wide
        )?;
        let (kind, number) = (self.limit, self.limit_number);
        launch!(gpu, "loss_limit", one, losses, clean, rows, kind, number, kept, sorted, limit)?;
        launch!(gpu, "loss_total", one, losses, clean, rows, limit, loss)?;
        launch!(gpu, "loss_gradient", Launch::each(n), losses, clean, wide, n, classes, limit, gradient)
    }
}

/// Adds up what `blocks` blocks of a kernel have left of a loss.
pub(super) fn total(
    gpu: &Context,
    (parts, count): (Pointer, usize),
    factor: f64,
    loss: Pointer,
) -> Result<(), CudaError> {
    launch!(gpu, "total", Launch::blocks(1), parts, count, factor, loss)
}

/// The blocks of a kernel over `n` numbers that leaves a partial sum for each, and room for those.
pub(super) fn partial_sums(gpu: &Context, n: usize) -> Result<(usize, CudaSlice<f64>), CudaError> {
    let count = n.div_ceil(256).clamp(1, BLOCKS);
    Ok((count, scratch(gpu, count)?))
}

impl LossKernel for Cuda {
    fn loss_forward(
        &self,
        logits: &Tensor2<Self>,
        targets: &Tensor2<Self>,
        marks: Option<&Tensor2<Self>>,
        spec: LossSpec,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), t, n) = (open(logits)?, data(targets)?, logits.shape().num_elements());
        let ((loss, loss_at), (gradient, to)) = (tensor(self, ())?, buffer(self, &gpu, n)?);
        let marks = marks.map_or(Ok(Pointer::NULL), data)?;
        match Rows::of(spec) {
            Some(rows) => rows.compute(&gpu, (from, t, marks), *logits.shape(), (loss_at, to))?,
            None => {
                let (count, parts) = partial_sums(&gpu, n)?;
                let (blocks, at) = (Launch::blocks(count), data_of(&parts));
                launch!(gpu, "binary_cross_entropy", blocks, from, t, marks, n, at, to)?;
                total(&gpu, (at, count), 1.0 / n as f64, loss_at)?;
            }
        }
        Ok((loss, gradient))
    }

    fn loss_backward(
        &self,
        gradient: Buffer<Self>,
        upstream: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, g), n) = (open_buffer(&gradient)?, Storage::<f32>::len(self, &gradient));
        launch!(gpu, "scale_by", Launch::each(n), data_of(upstream), n, g)?;
        Ok(gradient)
    }
}
