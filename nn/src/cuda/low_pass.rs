//! Filters whose taps are a softmax.

use dfdx::{shapes::HasShape, tensor::Cuda};

use super::{
    context::{Launch, launch},
    memory::{data_of, open, tensor},
};
use crate::{
    ops::LowPassKernel,
    tensor::{Buffer, Tensor1},
};

impl LowPassKernel for Cuda {
    fn tap_softmax_forward(&self, weight: &Tensor1<Self>, taps: usize) -> Result<Tensor1<Self>, Self::Err> {
        let ((gpu, from), (filter, to)) = (open(weight)?, tensor(self, *weight.shape())?);
        let n = weight.shape().0 / taps;
        launch!(gpu, "tap_softmax_forward", Launch::each(n), from, n, taps, to)?;
        Ok(filter)
    }

    fn tap_softmax_backward(
        &self,
        filter: &Tensor1<Self>,
        taps: usize,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        let ((gpu, from), n) = (open(filter)?, filter.shape().0 / taps);
        launch!(gpu, "tap_softmax_backward", Launch::each(n), from, n, taps, data_of(gradient))
    }
}
