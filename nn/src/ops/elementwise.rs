//! Sums and products of tensors.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor},
};

use super::activation::ActivationKernel;
use super::grad::{GradKernel, copy_grad, pass_grad};
use crate::{
    NnError,
    cpu::{self, broadcast::Broadcast},
    tensor::{Buffer, InputGrad, Tensor1, Tensor4, set_grad, take_grad},
};

/// Kernels of sums and products; shapes are checked before they are called.
pub trait ElementwiseKernel: GradKernel {
    /// `a + b`, or with `relu` `max(a + b, 0)`.
    fn add_forward<S: Shape>(
        &self,
        a: &Tensor<S, f32, Self>,
        b: &Tensor<S, f32, Self>,
        relu: bool,
    ) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// Output of [`try_bias`].
    fn bias_forward(&self, x: &Tensor4<Self>, bias: &Tensor1<Self>) -> Result<Tensor4<Self>, Self::Err>;

    /// Gradient of the bias from that of the output.
    fn bias_gradient(&self, dy: &Buffer<Self>, channels: usize) -> Result<Buffer<Self>, Self::Err>;

    /// Output of [`try_multiply`].
    fn multiply_forward(&self, x: &Tensor4<Self>, map: &Tensor4<Self>) -> Result<Tensor4<Self>, Self::Err>;

    /// Gradient of the input of [`try_multiply`].
    fn multiply_input_gradient(
        &self,
        x: &Tensor4<Self>,
        map: &Tensor4<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err>;

    /// Gradient of the map of [`try_multiply`].
    fn multiply_map_gradient(
        &self,
        x: &Tensor4<Self>,
        map: &Tensor4<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// `y = a + b`, of tensors of one shape.
///
/// `b` comes without a tape: it must have been computed on the one that `a` carries. In the backward pass `b` gets its
/// gradient before `a`.
pub fn try_add<S: Shape, D: ElementwiseKernel + ActivationKernel, T: Tape<f32, D>>(
    a: Tensor<S, f32, D, T>,
    b: &Tensor<S, f32, D>,
    input_grads: [InputGrad; 2],
) -> Result<Tensor<S, f32, D, T>, NnError> {
    add(a, b, input_grads, false)
}

/// `y = max(a + b, 0)`, the end of a residual block; otherwise as [`try_add`].
pub fn try_add_relu<S: Shape, D: ElementwiseKernel + ActivationKernel, T: Tape<f32, D>>(
    a: Tensor<S, f32, D, T>,
    b: &Tensor<S, f32, D>,
    input_grads: [InputGrad; 2],
) -> Result<Tensor<S, f32, D, T>, NnError> {
    add(a, b, input_grads, true)
}

fn add<S: Shape, D: ElementwiseKernel + ActivationKernel, T: Tape<f32, D>>(
    a: Tensor<S, f32, D, T>,
    b: &Tensor<S, f32, D>,
    input_grads: [InputGrad; 2],
    relu: bool,
) -> Result<Tensor<S, f32, D, T>, NnError> {
    if a.shape() != b.shape() {
        let dims = |s: &S| s.concrete().into_iter().collect::<Vec<_>>();
        return Err(NnError::shape("second term of a sum", &dims(a.shape()), &dims(b.shape())));
    }
    let (a, mut tape) = a.split_tape();
    let device = a.device().clone();
    let y = device.add_forward(&a, b, relu).map_err(NnError::kernel("add"))?;
    if T::OWNS_TAPE {
        let (b, y) = (b.clone(), y.clone());
        tape.add_backward_op(move |grads| {
            let mut gradient = take_grad(grads, &y)?;
            if relu {
                device.relu_backward(&y, &mut gradient)?;
            }
            copy_grad(grads, &device, &b, &gradient, input_grads[1])?;
            pass_grad(grads, &device, &a, gradient, input_grads[0])
        });
    }
    Ok(y.put_tape(tape))
}

/// `y[n, r, c, k] = x[n, r, c, k] + bias[k]`, such as the bias of a convolution.
pub fn try_bias<D: ElementwiseKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    bias: &Tensor1<D>,
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let channels = x.shape().3;
    if channels == 0 || bias.shape().0 != channels {
        return Err(NnError::shape("bias of an image", &[channels.max(1)], &[bias.shape().0]));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.bias_forward(&x, bias).map_err(NnError::kernel("bias"))?;
    if T::OWNS_TAPE {
        let (bias, y) = (bias.clone(), y.clone());
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            let db = device.bias_gradient(&dy, channels)?;
            set_grad(grads, &bias, db)?;
            pass_grad(grads, &device, &x, dy, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// `y = x * map`, where the map's rows, columns and channels are each those of `x` or 1 ("broadcast").
///
/// `x` is (n, rows, columns, channels); a map (n, 1, 1, channels) weighs channels, (n, rows, columns, 1) positions. The
/// map comes without a tape, as the second term of [`try_add`]; `input_grads` are those of `x` and the map.
pub fn try_multiply<D: ElementwiseKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    map: &Tensor4<D>,
    input_grads: [InputGrad; 2],
) -> Result<Tensor4<D, T>, NnError> {
    let (image, found) = (*x.shape(), *map.shape());
    let fits = |found: usize, expected: usize| found == 1 || found == expected;
    if found.0 != image.0
        || !fits(found.1, image.1)
        || !fits(found.2, image.2)
        || !fits(found.3, image.3)
        || image.0 * image.1 * image.2 * image.3 == 0
    {
        return Err(NnError::shape(
            "map of a product (rows, columns, channels may be 1)",
            &[image.0.max(1), image.1.max(1), image.2.max(1), image.3.max(1)],
            &[found.0, found.1, found.2, found.3],
        ));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.multiply_forward(&x, map).map_err(NnError::kernel("multiply"))?;
    if T::OWNS_TAPE {
        let (map, y) = (map.clone(), y.clone());
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            if input_grads[1] != InputGrad::Skip {
                let dm = device.multiply_map_gradient(&x, &map, &dy)?;
                pass_grad(grads, &device, &map, dm, input_grads[1])?;
            }
            if input_grads[0] != InputGrad::Skip {
                let dx = device.multiply_input_gradient(&x, &map, &dy)?;
                pass_grad(grads, &device, &x, dx, input_grads[0])?;
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

fn broadcast(x: &Tensor4<Cpu>, map: &Tensor4<Cpu>) -> Broadcast {
    let ((_, height, width, channels), (_, rows, cols, depth)) = (*x.shape(), *map.shape());
    Broadcast { image: [height, width, channels], map: [rows, cols, depth] }
}

impl ElementwiseKernel for Cpu {
    fn add_forward<S: Shape>(
        &self,
        a: &Tensor<S, f32, Self>,
        b: &Tensor<S, f32, Self>,
        relu: bool,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let y = cpu::elementwise::add(&cpu::data(a), &cpu::data(b), cpu::norm::floor_of(relu));
        cpu::tensor(self, y, *a.shape())
    }

    fn bias_forward(&self, x: &Tensor4<Self>, bias: &Tensor1<Self>) -> Result<Tensor4<Self>, Self::Err> {
        cpu::tensor(self, cpu::elementwise::add_rows(&cpu::data(x), &cpu::data(bias)), *x.shape())
    }

    fn bias_gradient(&self, dy: &Buffer<Self>, channels: usize) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, cpu::elementwise::sum_rows(dy, channels))
    }

    fn multiply_forward(&self, x: &Tensor4<Self>, map: &Tensor4<Self>) -> Result<Tensor4<Self>, Self::Err> {
        let y = broadcast(x, map).multiply(&cpu::data(x), &cpu::data(map));
        cpu::tensor(self, y, *x.shape())
    }

    fn multiply_input_gradient(
        &self,
        x: &Tensor4<Self>,
        map: &Tensor4<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, broadcast(x, map).multiply(dy, &cpu::data(map)))
    }

    fn multiply_map_gradient(
        &self,
        x: &Tensor4<Self>,
        map: &Tensor4<Self>,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, broadcast(x, map).reduce(&cpu::data(x), dy))
    }
}
