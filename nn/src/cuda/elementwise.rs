//! Sums and products of tensors.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError, Storage, Tensor},
};

use super::{
    context::{Context, Launch, launch, pieces},
    memory::{buffer, data, data_of, open, open_buffer, scratch, tensor},
    pointer::Pointer,
};
use crate::{
    ops::{ElementwiseKernel, GradKernel},
    tensor::{Buffer, Tensor1, Tensor4},
};

/// Sums of the columns of `x` (rows, columns).
pub(super) fn column_sums(
    device: &Cuda,
    gpu: &Context,
    x: Pointer,
    (rows, columns): (usize, usize),
) -> Result<Buffer<Cuda>, CudaError> {
    let (piece, count) = pieces(rows);
    let parts = scratch::<f64>(gpu, count * columns)?;
    let (sums, to) = buffer(device, gpu, columns)?;
    let at = data_of(&parts);
    launch!(gpu, "column_sums", Launch::columns(columns, count, 1), x, rows, columns, piece, at)?;
    launch!(gpu, "column_totals", Launch::columns(columns, 1, 1), at, count, columns, to)?;
    Ok(sums)
}

/// `y[i] = x[i] map[i]`, the map's sizes being the image's or 1.
fn multiply(
    gpu: &Context,
    (x, map, y): (Pointer, Pointer, Pointer),
    (samples, height, width, channels): (usize, usize, usize, usize),
    (_, rows, columns, depth): (usize, usize, usize, usize),
) -> Result<(), CudaError> {
    let n = samples * height * width * channels;
    launch!(gpu, "multiply", Launch::each(n), x, map, n, height, width, channels, rows, columns, depth, y)
}

impl GradKernel for Cuda {
    fn accumulate(&self, sum: &mut Buffer<Self>, x: &Buffer<Self>) -> Result<(), Self::Err> {
        let ((gpu, from), n) = (open_buffer(x)?, Storage::<f32>::len(self, x));
        launch!(gpu, "accumulate", Launch::each(n), data_of(sum), from, n)
    }
}

impl ElementwiseKernel for Cuda {
    fn add_forward<S: Shape>(
        &self,
        a: &Tensor<S, f32, Self>,
        b: &Tensor<S, f32, Self>,
        relu: bool,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(a)?, tensor(self, *a.shape())?);
        let n = a.shape().num_elements();
        launch!(gpu, "add_forward", Launch::each(n), from, data(b)?, n, relu, to)?;
        Ok(y)
    }

    fn bias_forward(&self, x: &Tensor4<Self>, bias: &Tensor1<Self>) -> Result<Tensor4<Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        let (n, channels) = (x.shape().num_elements(), x.shape().3);
        launch!(gpu, "bias_forward", Launch::each(n), from, data(bias)?, n, channels, to)?;
        Ok(y)
    }

    fn bias_gradient(&self, dy: &Buffer<Self>, channels: usize) -> Result<Buffer<Self>, Self::Err> {
        let (gpu, from) = open_buffer(dy)?;
        column_sums(self, &gpu, from, (Storage::<f32>::len(self, dy) / channels, channels))
    }

    fn multiply_forward(&self, x: &Tensor4<Self>, map: &Tensor4<Self>) -> Result<Tensor4<Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        multiply(&gpu, (from, data(map)?, to), *x.shape(), *map.shape())?;
        Ok(y)
    }

    fn multiply_input_gradient(
        &self,
        x: &Tensor4<Self>,
        map: &Tensor4<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let (gpu, from) = open(map)?;
        let (dx, to) = buffer(self, &gpu, x.shape().num_elements())?;
        multiply(&gpu, (data_of(dy), from, to), *x.shape(), *map.shape())?;
        Ok(dx)
    }

    fn multiply_map_gradient(
        &self,
        x: &Tensor4<Self>,
        map: &Tensor4<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let (gpu, from) = open(x)?;
        let ((_, height, width, channels), (_, rows, columns, depth)) = (*x.shape(), *map.shape());
        let n = map.shape().num_elements();
        let (dm, to) = buffer(self, &gpu, n)?;
        let (terms, dy) = (x.shape().num_elements() / n, data_of(dy));
        if terms == 1 {
            launch!(gpu, "product", Launch::each(n), from, dy, n, to)?;
            return Ok(dm);
        }
        let blocks = Launch::rows(n, terms);
        launch!(
            gpu,
            "multiply_map_gradient",
            blocks,
            from,
            dy,
            height,
            width,
            channels,
            rows,
            columns,
            depth,
            to
        )?;
        Ok(dm)
    }
}
