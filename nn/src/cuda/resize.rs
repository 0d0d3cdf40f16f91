//! Resizing of images.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::Cuda,
};

use super::{
    context::{Launch, launch},
    memory::{buffer, open, open_buffer, tensor},
};
use crate::{
    ops::ResizeKernel,
    tensor::{Buffer, Tensor4},
};

impl ResizeKernel for Cuda {
    fn resize_forward(
        &self,
        x: &Tensor4<Self>,
        (rows, columns): (usize, usize),
    ) -> Result<Tensor4<Self>, Self::Err> {
        let ((gpu, from), (samples, height, width, channels)) = (open(x)?, *x.shape());
        let (y, to) = tensor(self, (samples, rows, columns, channels))?;
        let n = y.shape().num_elements();
        launch!(gpu, "resize_forward", Launch::each(n), from, n, height, width, channels, rows, columns, to)?;
        Ok(y)
    }

    fn resize_backward(
        &self,
        dy: &Buffer<Self>,
        (samples, height, width, channels): (usize, usize, usize, usize),
        (rows, columns): (usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), n) = (open_buffer(dy)?, samples * height * width * channels);
        let (dx, to) = buffer(self, &gpu, n)?;
        launch!(
            gpu,
            "resize_backward",
            Launch::each(n),
            from,
            n,
            height,
            width,
            channels,
            rows,
            columns,
            to
        )?;
        Ok(dx)
    }
}
