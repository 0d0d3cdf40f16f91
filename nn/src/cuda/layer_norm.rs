//! Layer normalisation.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError, Tensor},
};

use super::{
    context::{Context, Launch, launch, pieces},
    memory::{data, data_of, halves, open, scratch, tensor},
    pointer::Pointer,
};
use crate::{
    ops::LayerNormKernel,
    tensor::{Buffer, Tensor1},
};

/// Mean and one over the standard deviation of each row.
fn statistics(
    gpu: &Context,
    x: Pointer,
    (rows, width): (usize, usize),
    epsilon: f64,
) -> Result<CudaSlice<f32>, CudaError> {
    let values = scratch(gpu, 2 * rows)?;
    launch!(gpu, "row_statistics", Launch::rows(rows, width), x, width, epsilon, data_of(&values))?;
    Ok(values)
}

impl LayerNormKernel for Cuda {
    fn layer_norm_forward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
        epsilon: f64,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        let (n, width) = (x.shape().num_elements(), weight.shape().0);
        let values = statistics(&gpu, from, (n / width, width), epsilon)?;
        let (at, weight, bias) = (data_of(&values), data(weight)?, data(bias)?);
        launch!(gpu, "layer_norm_forward", Launch::each(n), from, at, weight, bias, n, width, to)?;
        Ok(y)
    }

    fn layer_norm_backward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        epsilon: f64,
        gradient: &mut Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), width) = (open(x)?, weight.shape().0);
        let rows = x.shape().num_elements() / width;
        let values = statistics(&gpu, from, (rows, width), epsilon)?;
        let (at, g) = (data_of(&values), data_of(gradient));
        let (piece, count) = pieces(rows);
        let parts = scratch::<f64>(&gpu, count * 2 * width)?;
        let both = scratch::<f32>(&gpu, 2 * width)?;
        let (parts_at, both_at) = (data_of(&parts), data_of(&both));
        let columns = Launch::columns(width, count, 1);
        launch!(gpu, "layer_norm_sums", columns, from, at, g, rows, width, piece, parts_at)?;
        let columns = Launch::columns(2 * width, 1, 1);
        launch!(gpu, "column_totals", columns, parts_at, count, 2 * width, both_at)?;
        let weight = data(weight)?;
        launch!(gpu, "layer_norm_backward", Launch::rows(rows, width), from, at, weight, width, g)?;
        halves(self, &gpu, &both)
    }
}
