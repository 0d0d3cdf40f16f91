//! How a bidirectional recurrent layer becomes one vector.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::Cuda,
};

use super::{
    context::{Launch, launch},
    memory::{buffer, data_of, open, tensor},
};
use crate::{
    ops::LastProductKernel,
    tensor::{Buffer, Tensor2, Tensor3},
};

impl LastProductKernel for Cuda {
    fn last_product_forward(&self, x: &Tensor3<Self>) -> Result<Tensor2<Self>, Self::Err> {
        let (samples, steps, features) = *x.shape();
        let half = features / 2;
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, (samples, half))?);
        let n = samples * half;
        launch!(gpu, "last_product_forward", Launch::each(n), from, n, steps, half, to)?;
        Ok(y)
    }

    fn last_product_backward(&self, x: &Tensor3<Self>, dy: &Buffer<Self>) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), (_, steps, features)) = (open(x)?, *x.shape());
        let n = x.shape().num_elements();
        let (dx, to) = buffer(self, &gpu, n)?;
        let (dy, half) = (data_of(dy), features / 2);
        launch!(gpu, "last_product_backward", Launch::each(n), from, dy, n, steps, half, to)?;
        Ok(dx)
    }
}
