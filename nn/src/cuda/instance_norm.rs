//! Instance normalisation.

use dfdx::{shapes::HasShape, tensor::Cuda};

use super::{
    batch_norm::{normalise, normalise_backward},
    context::{Launch, launch},
    memory::{buffer, data, data_of, halves, open, scratch, tensor},
};
use crate::{
    ops::InstanceNormKernel,
    tensor::{Buffer, Tensor1, Tensor4},
};

/// The normaliser of each sample.
pub struct Normalisers(Buffer<Cuda>);

impl InstanceNormKernel for Cuda {
    type Statistics = Normalisers;

    fn instance_norm_forward(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
        epsilon: f64,
    ) -> Result<(Tensor4<Self>, Self::Statistics), Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        let (samples, height, width, channels) = *x.shape();
        let rows = height * width;
        let (values, norm) = buffer(self, &gpu, samples * 4 * channels)?;
        let (gamma, beta, blocks) = (data(weight)?, data(bias)?, Launch::samples(samples, channels));
        launch!(gpu, "instance_normaliser", blocks, from, rows, channels, gamma, beta, epsilon, norm)?;
        let each = rows * channels;
        normalise(&gpu, (from, norm, to), (samples * each, each, channels), false)?;
        Ok((y, Normalisers(values)))
    }

    fn instance_norm_backward(
        &self,
        x: &Tensor4<Self>,
        statistics: &Self::Statistics,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let (gpu, from) = open(x)?;
        let (samples, height, width, channels) = *x.shape();
        let (rows, norm, g) = (height * width, data_of(&statistics.0), data_of(gradient));
        let parts = scratch::<f64>(&gpu, samples * 2 * channels)?;
        let subtract = scratch::<f32>(&gpu, samples * 2 * channels)?;
        let (parts_at, subtract_at) = (data_of(&parts), data_of(&subtract));
        let blocks = Launch::samples(samples, channels);
        launch!(
            gpu,
            "instance_norm_gradients",
            blocks,
            from,
            g,
            norm,
            rows,
            channels,
            parts_at,
            subtract_at
        )?;
        // The weight's sums lie before the bias's in every row.
        let both = scratch::<f32>(&gpu, 2 * channels)?;
        let both_at = data_of(&both);
        let columns = Launch::columns(2 * channels, 1, 1);
        launch!(gpu, "column_totals", columns, parts_at, samples, 2 * channels, both_at)?;
        let each = rows * channels;
        normalise_backward(&gpu, (from, norm, subtract_at, g), (samples * each, each, channels), false)?;
        halves(self, &gpu, &both)
    }
}
