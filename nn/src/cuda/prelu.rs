//! Parametric ReLU.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, Tensor},
};

use super::{
    context::{Launch, launch},
    elementwise::column_sums,
    memory::{buffer, data, data_of, open, scratch, tensor},
};
use crate::{
    ops::PreluKernel,
    tensor::{Buffer, Tensor1},
};

/// Numbers, and length of the innermost axis; there is one.
fn sizes<S: Shape>(shape: &S) -> (usize, usize) {
    (shape.num_elements(), shape.concrete().into_iter().last().unwrap_or(1))
}

impl PreluKernel for Cuda {
    fn prelu_forward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        let ((n, channels), slopes) = (sizes(x.shape()), weight.shape().0);
        launch!(gpu, "prelu_forward", Launch::each(n), from, data(weight)?, n, channels, slopes, to)?;
        Ok(y)
    }

    fn prelu_backward<S: Shape>(
        &self,
        x: &Tensor<S, f32, Self>,
        weight: &Tensor1<Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), g) = (open(x)?, data_of(gradient));
        let ((n, channels), slopes) = (sizes(x.shape()), weight.shape().0);
        let each = scratch::<f32>(&gpu, n)?;
        launch!(gpu, "prelu_slopes", Launch::each(n), from, g, n, data_of(&each))?;
        let by_channel = column_sums(self, &gpu, data_of(&each), (n / channels, channels))?;
        let dw = if slopes == channels {
            by_channel
        } else {
            let (dw, to) = buffer(self, &gpu, 1)?;
            launch!(gpu, "sum", Launch::blocks(1), data_of(&by_channel), channels, to)?;
            dw
        };
        launch!(gpu, "prelu_backward", Launch::each(n), from, data(weight)?, n, channels, slopes, g)?;
        Ok(dw)
    }
}
