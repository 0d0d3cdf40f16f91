//! Activations, softmax and log-softmax.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError, Tensor},
};

use super::{
    context::{Launch, launch},
    memory::{data_of, open, open_buffer, tensor, upload},
};
use crate::{
    ops::ActivationKernel,
    tensor::{Buffer, Tensor2},
};

/// Calls the kernel `$name` that writes `y` number by number.
macro_rules! forward {
    ($self:ident, $name:literal, $x:ident) => {{
        let ((gpu, from), (y, to)) = (open($x)?, tensor($self, *$x.shape())?);
        let n = $x.shape().num_elements();
        launch!(gpu, $name, Launch::each(n), from, n, to)?;
        Ok(y)
    }};
}

/// Calls the kernel `$name` that changes the gradient number by number.
macro_rules! backward {
    ($name:literal, $y:ident, $gradient:ident) => {{
        let (gpu, y) = open($y)?;
        let n = $y.shape().num_elements();
        launch!(gpu, $name, Launch::each(n), y, n, data_of($gradient))
    }};
}

fn softmax(device: &Cuda, x: &Tensor2<Cuda>, logarithm: bool) -> Result<Tensor2<Cuda>, CudaError> {
    let ((gpu, from), (y, to)) = (open(x)?, tensor(device, *x.shape())?);
    let (rows, width) = *x.shape();
    launch!(gpu, "softmax_forward", Launch::rows(rows, width), from, width, logarithm, to)?;
    Ok(y)
}

impl ActivationKernel for Cuda {
    fn relu_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err> {
        forward!(self, "relu_forward", x)
    }

    fn relu_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        backward!("relu_backward", y, gradient)
    }

    fn sigmoid_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err> {
        forward!(self, "sigmoid_forward", x)
    }

    fn sigmoid_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        backward!("sigmoid_backward", y, gradient)
    }

    fn tanh_forward<S: Shape>(&self, x: &Tensor<S, f32, Self>) -> Result<Tensor<S, f32, Self>, Self::Err> {
        forward!(self, "tanh_forward", x)
    }

    fn tanh_backward<S: Shape>(
        &self,
        y: &Tensor<S, f32, Self>,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        backward!("tanh_backward", y, gradient)
    }

    fn softmax_forward(&self, x: &Tensor2<Self>) -> Result<Tensor2<Self>, Self::Err> {
        softmax(self, x, false)
    }

    fn softmax_backward(&self, y: &Tensor2<Self>, gradient: &mut Buffer<Self>) -> Result<(), Self::Err> {
        let ((gpu, from), (rows, width)) = (open(y)?, *y.shape());
        launch!(gpu, "softmax_backward", Launch::rows(rows, width), from, width, data_of(gradient))
    }

    fn log_softmax_forward(&self, x: &Tensor2<Self>) -> Result<Tensor2<Self>, Self::Err> {
        softmax(self, x, true)
    }

    fn log_softmax_backward(&self, y: &Tensor2<Self>, gradient: &mut Buffer<Self>) -> Result<(), Self::Err> {
        let ((gpu, from), (rows, width)) = (open(y)?, *y.shape());
        launch!(gpu, "log_softmax_backward", Launch::rows(rows, width), from, width, data_of(gradient))
    }

    fn mask_forward(&self, x: &Tensor2<Self>, mask: &[f32]) -> Result<Tensor2<Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, *x.shape())?);
        let n = x.shape().num_elements();
        let mask = upload(&gpu, mask.to_vec())?;
        launch!(gpu, "product", Launch::each(n), from, data_of(&mask), n, to)?;
        Ok(y)
    }

    fn mask_backward(&self, mask: &[f32], gradient: &mut Buffer<Self>) -> Result<(), Self::Err> {
        let (gpu, g) = open_buffer(gradient)?;
        let n = mask.len();
        let mask = upload(&gpu, mask.to_vec())?;
        launch!(gpu, "product", Launch::each(n), g, data_of(&mask), n, g)
    }
}
