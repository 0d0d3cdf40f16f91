//! Fully connected layers.

use dfdx::{
    shapes::HasShape,
    tensor::{Cuda, Storage},
};

use super::{
    context::{Launch, Matrix, launch},
    elementwise::column_sums,
    memory::{buffer, data, data_of, open, tensor},
};
use crate::{
    ops::LinearKernel,
    tensor::{Buffer, Tensor1, Tensor2},
};

impl LinearKernel for Cuda {
    fn linear_forward(
        &self,
        x: &Tensor2<Self>,
        weight: &Tensor1<Self>,
        bias: &Tensor1<Self>,
    ) -> Result<Tensor2<Self>, Self::Err> {
        let ((n, inputs), outputs) = (*x.shape(), bias.shape().0);
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, (n, outputs))?);
        let (x, w) = (Matrix::new(from, inputs), Matrix::new(data(weight)?, inputs));
        gpu.matmul((x, w.t(), Matrix::new(to, outputs)), (n, outputs, inputs), 0.0)?;
        let all = n * outputs;
        launch!(gpu, "bias_forward", Launch::each(all), to, data(bias)?, all, outputs, to)?;
        Ok(y)
    }

    fn linear_input_gradient(
        &self,
        x: &Tensor2<Self>,
        weight: &Tensor1<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, w), (n, inputs)) = (open(weight)?, *x.shape());
        let outputs = weight.shape().0 / inputs;
        let (dx, to) = buffer(self, &gpu, n * inputs)?;
        let (dy, w) = (Matrix::new(data_of(dy), outputs), Matrix::new(w, inputs));
        gpu.matmul((dy, w, Matrix::new(to, inputs)), (n, inputs, outputs), 0.0)?;
        Ok(dx)
    }

    fn linear_parameter_gradients(
        &self,
        x: &Tensor2<Self>,
        outputs: usize,
        dy: &Buffer<Self>,
    ) -> Result<(Buffer<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), inputs) = (open(x)?, x.shape().1);
        let n = Storage::<f32>::len(self, dy) / outputs;
        let (dw, to) = buffer(self, &gpu, outputs * inputs)?;
        let (x, g) = (Matrix::new(from, inputs), Matrix::new(data_of(dy), outputs));
        gpu.matmul((g.t(), x, Matrix::new(to, inputs)), (outputs, inputs, n), 0.0)?;
        Ok((dw, column_sums(self, &gpu, data_of(dy), (n, outputs))?))
    }
}
