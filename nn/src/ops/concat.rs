//! Joining and reshaping.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError, cpu,
    tensor::{Buffer, ChannelsLast, InputGrad, take_grad},
};

/// Kernels of [`try_concat_channels`]; shapes are checked before they are called.
pub trait ConcatKernel: GradKernel {
    /// The parts side by side, along the last axis.
    fn concat_forward<S: ChannelsLast>(
        &self,
        parts: &[&Tensor<S, f32, Self>],
        shape: S,
    ) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// The gradient of the part that starts at channel `start` of `dy`, which has `channels`, and has `length`.
    fn concat_backward(
        &self,
        dy: &Buffer<Self>,
        channels: usize,
        start: usize,
        length: usize,
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// Puts the channels of tensors of otherwise equal shape behind each other.
///
/// (…, k1), (…, k2), … to (…, k1 + k2 + …), for images and for feature vectors. All but the first come without a tape,
/// as the second term of [`try_add`](super::try_add); in the backward pass the last one gets its gradient first.
pub fn try_concat_channels<S: ChannelsLast, D: ConcatKernel, T: Tape<f32, D>>(
    (first, input_grad): (Tensor<S, f32, D, T>, InputGrad),
    rest: &[(&Tensor<S, f32, D>, InputGrad)],
) -> Result<Tensor<S, f32, D, T>, NnError> {
    let shape = *first.shape();
    let dims = |s: S| s.concrete().into_iter().collect::<Vec<_>>();
    for (part, _) in rest {
        let expected = shape.with_channels(part.shape().channels());
        if *part.shape() != expected {
            return Err(NnError::shape("part of a concatenation", &dims(expected), &dims(*part.shape())));
        }
    }
    let channels = shape.channels() + rest.iter().map(|(part, _)| part.shape().channels()).sum::<usize>();
    if channels == 0 {
        let least = shape.with_channels(1);
        return Err(NnError::shape("concatenation, at least", &dims(least), &dims(shape)));
    }
    let (first, mut tape) = first.split_tape();
    let device = first.device().clone();
    let parts: Vec<_> = std::iter::once(&first).chain(rest.iter().map(|(part, _)| *part)).collect();
    let y = device
        .concat_forward(&parts, shape.with_channels(channels))
        .map_err(NnError::kernel("concatenation"))?;
    if T::OWNS_TAPE {
        let y = y.clone();
        let (mut sources, mut start) = (Vec::with_capacity(parts.len()), 0);
        let input_grads = std::iter::once(input_grad).chain(rest.iter().map(|(_, input_grad)| *input_grad));
        for (part, input_grad) in parts.into_iter().zip(input_grads) {
            sources.push((part.clone(), start, input_grad));
            start += part.shape().channels();
        }
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            for (part, start, input_grad) in sources.into_iter().rev() {
                if input_grad != InputGrad::Skip {
                    let length = part.shape().channels();
                    let dx = device.concat_backward(&dy, channels, start, length)?;
                    pass_grad(grads, &device, &part, dx, input_grad)?;
                }
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

/// The same numbers in another shape, row-major; nothing is copied.
///
/// To the backward pass the result and `x` are one tensor: who reads the one reads the other. Fails where the shapes
/// hold different numbers of elements.
pub fn try_reshape<S: Shape, R: Shape, D: ConcatKernel, T: Tape<f32, D>>(
    x: Tensor<S, f32, D, T>,
    shape: R,
) -> Result<Tensor<R, f32, D, T>, NnError> {
    if x.shape().num_elements() != shape.num_elements() {
        let found: Vec<usize> = x.shape().concrete().into_iter().collect();
        return Err(NnError::shape("reshape", &shape.concrete().into_iter().collect::<Vec<_>>(), &found));
    }
    x.try_reshape_like(&shape).map_err(NnError::kernel("reshape"))
}

impl ConcatKernel for Cpu {
    fn concat_forward<S: ChannelsLast>(
        &self,
        parts: &[&Tensor<S, f32, Self>],
        shape: S,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let data: Vec<_> = parts.iter().map(|part| (cpu::data(part), part.shape().channels())).collect();
        let data: Vec<(&[f32], usize)> = data.iter().map(|(values, k)| (values.as_ref(), *k)).collect();
        cpu::tensor(self, cpu::concat::concat(&data, shape.num_elements()), shape)
    }

    fn concat_backward(
        &self,
        dy: &Buffer<Self>,
        channels: usize,
        start: usize,
        length: usize,
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, cpu::concat::slice(dy, channels, start, length))
    }
}
