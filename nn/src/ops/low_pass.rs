//! Low-pass filters before subsampling: fixed (blur) and trained.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::Conv2dSpec;
use super::conv2d::Conv2dKernel;
use super::grad::pass_grad;
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor1, Tensor4, set_grad, take_grad},
};

/// Kernels of [`try_trained_low_pass`]; shapes are checked before they are called.
pub trait LowPassKernel: Conv2dKernel {
    /// The softmax of every `taps` neighbouring numbers of the weight.
    fn tap_softmax_forward(&self, weight: &Tensor1<Self>, taps: usize) -> Result<Tensor1<Self>, Self::Err>;

    /// Turns the gradient of the softmax `filter` into that of the weight.
    fn tap_softmax_backward(
        &self,
        filter: &Tensor1<Self>,
        taps: usize,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err>;
}

/// The depth-wise convolution of a low-pass filter with zero `SAME` padding.
fn spec(
    (n, height, width, channels): (usize, usize, usize, usize),
    size: usize,
    stride: (usize, usize),
) -> Result<Conv2dSpec, NnError> {
    if n * height * width * channels == 0 {
        return Err(NnError::shape(
            "input of a low-pass filter, at least",
            &[1, 1, 1, 1],
            &[n, height, width, channels],
        ));
    }
    let spec = Conv2dSpec { stride, ..Conv2dSpec::depthwise(channels, (size, size)) };
    let spec = spec.same(height, width);
    spec.output(height, width)?;
    Ok(spec)
}

/// The binomial kernel of `size` x `size` taps, with sum 1.
fn binomial(size: usize) -> Vec<f32> {
    let mut row = vec![1f64];
    for _ in 1..size {
        let shifted = row.iter().copied().chain([0.0]);
        row = std::iter::once(0.0).chain(row.iter().copied()).zip(shifted).map(|(a, b)| a + b).collect();
    }
    let sum: f64 = row.iter().sum();
    row.iter().flat_map(|a| row.iter().map(move |b| (a * b / (sum * sum)) as f32)).collect()
}

/// Filters every channel with the binomial kernel of `size` x `size` taps, 3 to 7, and keeps every `stride`-th position.
///
/// The kernel is the outer product of a row of Pascal's triangle with itself, divided by its sum. (n, rows, columns,
/// channels) to (n, ceil(rows / stride), ceil(columns / stride), channels), with zeros around the image as in
/// TensorFlow's `SAME`. Source: Zhang 2019, "Making Convolutional Networks Shift-Invariant Again".
pub fn try_blur<D: LowPassKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    size: usize,
    stride: (usize, usize),
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    if !(3..=7).contains(&size) {
        return Err(NnError::range("size of a blur", size, "in 3..=7"));
    }
    let shape = *x.shape();
    let spec = spec(shape, size, stride)?;
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let filter = device
        .try_tensor_from_vec(binomial(size).repeat(shape.3), (shape.3 * size * size,))
        .map_err(NnError::kernel("blur"))?;
    let y = device.conv2d_forward(&x, &filter, &spec).map_err(NnError::kernel("blur"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            let dx = device.conv2d_input_gradient(&x, &filter, &spec, &dy)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// Filters every channel with its own trained kernel of `size` x `size` taps, and keeps every `stride`-th position.
///
/// `weight` is flat as (channels, 1, size, size); a channel's filter is the softmax of its taps, so that they are
/// positive and have the sum 1. Shapes and padding are those of [`try_blur`], for any size from 1.
pub fn try_trained_low_pass<D: LowPassKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    weight: &Tensor1<D>,
    size: usize,
    stride: (usize, usize),
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let spec = spec(*x.shape(), size, stride)?;
    let (expected, taps) = (spec.weight_shape(), size * size);
    if weight.shape().0 != expected.iter().product::<usize>() {
        return Err(NnError::shape("weight of a low-pass filter", &expected, &[weight.shape().0]));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let filter = device.tap_softmax_forward(weight, taps).map_err(NnError::kernel("low-pass filter"))?;
    let y = device.conv2d_forward(&x, &filter, &spec).map_err(NnError::kernel("low-pass filter"))?;
    if T::OWNS_TAPE {
        let (weight, y) = (weight.clone(), y.clone());
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            let mut dw = device.conv2d_weight_gradient(&x, &spec, &dy)?;
            device.tap_softmax_backward(&filter, taps, &mut dw)?;
            set_grad(grads, &weight, dw)?;
            if input_grad != InputGrad::Skip {
                let dx = device.conv2d_input_gradient(&x, &filter, &spec, &dy)?;
                pass_grad(grads, &device, &x, dx, input_grad)?;
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

impl LowPassKernel for Cpu {
    fn tap_softmax_forward(&self, weight: &Tensor1<Self>, taps: usize) -> Result<Tensor1<Self>, Self::Err> {
        cpu::tensor(self, cpu::low_pass::tap_softmax(&cpu::data(weight), taps), *weight.shape())
    }

    fn tap_softmax_backward(
        &self,
        filter: &Tensor1<Self>,
        taps: usize,
        gradient: &mut Buffer<Self>,
    ) -> Result<(), Self::Err> {
        cpu::low_pass::tap_softmax_backward(&cpu::data(filter), taps, gradient);
        Ok(())
    }
}
