//! Rows of length 1.

use dfdx::{shapes::HasShape, tensor::Cuda};

use super::{
    context::{Launch, launch},
    memory::{data_of, open, tensor},
};
use crate::{
    ops::L2NormaliseKernel,
    tensor::{Buffer, Tensor2},
};

impl L2NormaliseKernel for Cuda {
    fn l2_normalise_forward(&self, x: &Tensor2<Self>, least: f64) -> Result<Tensor2<Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        let (rows, width) = *x.shape();
        launch!(gpu, "l2_normalise_forward", Launch::rows(rows, width), from, width, least, to)?;
        Ok(y)
    }

    fn l2_normalise_backward(
        &self,
        x: &Tensor2<Self>,
        least: f64,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        let ((gpu, from), (rows, width)) = (open(x)?, *x.shape());
        let blocks = Launch::rows(rows, width);
        launch!(gpu, "l2_normalise_backward", blocks, from, width, least, data_of(gradient))
    }
}
