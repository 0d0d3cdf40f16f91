//! Joining channels and cutting them apart.

use dfdx::{
    shapes::HasShape,
    tensor::{Cuda, Storage, Tensor},
};

use super::{
    context::{Context, Launch, launch},
    memory::{buffer, data, open_buffer, tensor},
    pointer::place,
};
use crate::{
    ops::ConcatKernel,
    tensor::{Buffer, ChannelsLast},
};

impl ConcatKernel for Cuda {
    fn concat_forward<S: ChannelsLast>(
        &self,
        parts: &[&Tensor<S, f32, Self>],
        shape: S,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        let (y, to) = tensor(self, shape)?;
        let (gpu, channels) = (Context::of(place(&y)?.device)?, shape.channels());
        let mut start = 0usize;
        for part in parts {
            let (from, n, length) = (data(part)?, part.shape().num_elements(), part.shape().channels());
            launch!(gpu, "put_channels", Launch::each(n), from, n, length, channels, start, to)?;
            start += length;
        }
        Ok(y)
    }

    fn concat_backward(
        &self,
        dy: &Buffer<Self>,
        channels: usize,
        start: usize,
        length: usize,
    ) -> Result<Buffer<Self>, Self::Err> {
        let (gpu, from) = open_buffer(dy)?;
        let n = Storage::<f32>::len(self, dy) / channels * length;
        let (dx, to) = buffer(self, &gpu, n)?;
        launch!(gpu, "take_channels", Launch::each(n), from, n, length, channels, start, to)?;
        Ok(dx)
    }
}
