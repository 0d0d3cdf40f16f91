//! Batch normalisation, fused with ReLU.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError},
};

use super::{
    context::{Context, Launch, launch, pieces},
    memory::{buffer, data, data_of, open, scratch, tensor},
    pointer::Pointer,
};
use crate::{
    ops::{BatchNormKernel, BatchNormParameters, BatchNormSpec, BatchStatistics, Normalisation},
    tensor::{Buffer, Tensor4},
};

/// What the backward pass needs.
pub struct Normaliser {
    /// Mean, 1 / std, gamma / std, beta - mean gamma / std.
    values: Buffer<Cuda>,
    relu: bool,
    batch: bool,
}

/// Numbers in all, numbers that share a normaliser, channels.
pub(super) type Groups = (usize, usize, usize);

/// `y = relu(x * scale + offset)`.
pub(super) fn normalise(
    gpu: &Context,
    (x, norm, y): (Pointer, Pointer, Pointer),
    (n, each, channels): Groups,
    relu: bool,
) -> Result<(), CudaError> {
    launch!(gpu, "normalise", Launch::each(n), x, norm, n, each, channels, relu, y)
}

/// Turns the gradient of the output into that of the input.
pub(super) fn normalise_backward(
    gpu: &Context,
    (x, norm, subtract, g): (Pointer, Pointer, Pointer, Pointer),
    (n, each, channels): Groups,
    relu: bool,
) -> Result<(), CudaError> {
    launch!(gpu, "normalise_backward", Launch::each(n), x, norm, subtract, n, each, channels, relu, g)
}

impl BatchNormKernel for Cuda {
    type Saved = Normaliser;

    fn batch_norm_forward(
        &self,
        x: &Tensor4<Self>,
        p: &BatchNormParameters<'_, Self>,
        spec: &BatchNormSpec,
        statistics: &Normalisation,
    ) -> Result<(Tensor4<Self>, Self::Saved, Option<BatchStatistics<Self>>), Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        let (n, channels) = (x.shape().num_elements(), x.shape().3);
        let rows = n / channels;
        let (values, norm) = buffer(self, &gpu, 4 * channels)?;
        let (old_mean, old_variance) = (data(p.running_mean)?, data(p.running_var)?);
        let (gamma, beta) = (data(p.weight)?, data(p.bias)?);
        let running = match statistics {
            Normalisation::Batch => {
                let (piece, count) = pieces(rows);
                let parts = scratch::<f64>(&gpu, count * 2 * channels)?;
                let parts_at = data_of(&parts);
                let columns = Launch::columns(channels, count, 1);
                launch!(gpu, "moments", columns, from, old_mean, rows, channels, piece, parts_at)?;
                let (mean, new_mean) = tensor(self, (channels,))?;
                let (variance, new_variance) = tensor(self, (channels,))?;
                launch!(
                    gpu,
                    "batch_normaliser",
                    Launch::columns(channels, 1, 1),
                    parts_at,
                    count,
                    rows,
                    channels,
                    old_mean,
                    old_variance,
                    gamma,
                    beta,
                    spec.epsilon,
                    spec.momentum,
                    norm,
                    new_mean,
                    new_variance,
                )?;
                Some(BatchStatistics { mean, variance })
            }
            Normalisation::Running => {
                let each = Launch::each(channels);
                launch!(
                    gpu,
                    "running_normaliser",
                    each,
                    old_mean,
                    old_variance,
                    gamma,
                    beta,
                    spec.epsilon,
                    channels,
                    norm
                )?;
                None
            }
        };
        normalise(&gpu, (from, norm, to), (n, n, channels), spec.relu)?;
        let saved = Normaliser { values, relu: spec.relu, batch: running.is_some() };
        Ok((y, saved, running))
    }

    fn batch_norm_backward(
        &self,
        x: &Tensor4<Self>,
        saved: &Self::Saved,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let (gpu, from) = open(x)?;
        let (n, channels) = (x.shape().num_elements(), x.shape().3);
        let rows = n / channels;
        let (norm, g, relu) = (data_of(&saved.values), data_of(gradient), saved.relu);
        let (piece, count) = pieces(rows);
        let parts = scratch::<f64>(&gpu, count * 2 * channels)?;
        let parts_at = data_of(&parts);
        let columns = Launch::columns(channels, count, 1);
        launch!(gpu, "norm_gradient_sums", columns, from, g, norm, rows, channels, piece, relu, parts_at)?;
        let ((dw, dw_at), (db, db_at)) = (buffer(self, &gpu, channels)?, buffer(self, &gpu, channels)?);
        let subtract = scratch::<f32>(&gpu, 2 * channels)?;
        let subtract_at = data_of(&subtract);
        launch!(
            gpu,
            "batch_norm_gradients",
            Launch::columns(channels, 1, 1),
            parts_at,
            count,
            rows,
            channels,
            norm,
            saved.batch,
            dw_at,
            db_at,
            subtract_at,
        )?;
        normalise_backward(&gpu, (from, norm, subtract_at, g), (n, n, channels), relu)?;
        Ok((dw, db))
    }
}
