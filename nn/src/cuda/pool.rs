//! Pooling of 2x2 windows, and the mean-max pooling.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::Cuda,
};

use super::{
    context::{Launch, launch},
    memory::{buffer, data_of, open, open_buffer, scratch, tensor},
};
use crate::{
    ops::PoolKernel,
    tensor::{Buffer, Tensor2, Tensor4},
};

impl PoolKernel for Cuda {
    type MaxIndex = CudaSlice<u8>;
    type RowIndex = CudaSlice<u32>;

    fn max_pool_forward(&self, x: &Tensor4<Self>) -> Result<(Tensor4<Self>, Self::MaxIndex), Self::Err> {
        let ((gpu, from), (samples, height, width, channels)) = (open(x)?, *x.shape());
        let (y, to) = tensor(self, (samples, height / 2, width / 2, channels))?;
        let n = y.shape().num_elements();
        let which = scratch(&gpu, n)?;
        let at = data_of(&which);
        launch!(gpu, "max_pool_forward", Launch::each(n), from, n, height, width, channels, to, at)?;
        Ok((y, which))
    }

    fn max_pool_backward(
        &self,
        gradient: &Buffer<Self>,
        index: &Self::MaxIndex,
        (samples, height, width, channels): (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), n) = (open_buffer(gradient)?, samples * height * width * channels);
        let ((dx, to), which) = (buffer(self, &gpu, n)?, data_of(index));
        launch!(gpu, "max_pool_backward", Launch::each(n), from, which, n, height, width, channels, to)?;
        Ok(dx)
    }

    fn mean_max_forward(&self, x: &Tensor4<Self>) -> Result<(Tensor2<Self>, Self::RowIndex), Self::Err> {
        let ((gpu, from), (samples, height, width, channels)) = (open(x)?, *x.shape());
        let (y, to) = tensor(self, (samples, channels))?;
        let n = samples * channels;
        let which = scratch(&gpu, n)?;
        let at = data_of(&which);
        launch!(gpu, "mean_max_forward", Launch::each(n), from, n, height, width, channels, to, at)?;
        Ok((y, which))
    }

    fn mean_max_backward(
        &self,
        gradient: &Buffer<Self>,
        index: &Self::RowIndex,
        (samples, height, width, channels): (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), n) = (open_buffer(gradient)?, samples * height * width * channels);
        let ((dx, to), which) = (buffer(self, &gpu, n)?, data_of(index));
        launch!(gpu, "mean_max_backward", Launch::each(n), from, which, n, height, width, channels, to)?;
        Ok(dx)
    }
}
