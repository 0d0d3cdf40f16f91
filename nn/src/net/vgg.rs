//! VGG41 in the plain drawing.

use dfdx::tensor::Tape;

use super::{
    InputShape, Pass,
    layer::{BatchNorm, Conv2d, Linear},
};
use crate::{
    Device, NnError,
    ops::{BatchNormSpec, Conv2dSpec, try_max_pool_2x2, try_mean_max},
    parameter::Parameters,
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// Channels of the blocks at width 1.
const CHANNELS: [f64; 4] = [32.0, 64.0, 128.0, 256.0];

/// Four blocks of two 3x3 convolutions, a 2x2 max-pooling after all but the last, mean-max pooling, linear.
#[derive(Debug, Clone)]
pub(super) struct Vgg {
    blocks: Vec<[(Conv2d, BatchNorm); 2]>,
    fc: Linear,
}

impl Vgg {
    /// Parameters are named as in a PyTorch module with `body` (a `Sequential`) and `fc`.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        width: f64,
        input: InputShape,
        outputs: usize,
    ) -> Result<Vgg, NnError> {
        let least = 1 << (CHANNELS.len() - 1);
        if input.channels == 0 || input.frames < least || input.bands < least {
            return Err(NnError::shape(
                "input of vgg41_plain (channels, frames, bands), at least",
                &[1, least, least],
                &[input.channels, input.frames, input.bands],
            ));
        }
        let (mut blocks, mut channels, mut index) = (Vec::new(), input.channels, 0);
        let mut input_grad = InputGrad::Skip;
        for base in CHANNELS {
            let next = ((base * width).round() as usize).max(1);
            let mut pair = |from: usize| -> Result<(Conv2d, BatchNorm), NnError> {
                let spec = Conv2dSpec::same3x3(from, next);
                let conv = Conv2d::new(p, &format!("body.{index}"), spec, input_grad)?;
                let norm = BatchNorm::new(p, &format!("body.{}", index + 1), next, BatchNormSpec::default())?;
                index += 3;
                input_grad = InputGrad::Set;
                Ok((conv, norm))
            };
            blocks.push([pair(channels)?, pair(next)?]);
            // The max-pooling layer.
            index += 1;
            channels = next;
        }
        Ok(Vgg { blocks, fc: Linear::new(p, "fc", channels, outputs, InputGrad::Set)? })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        mut x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        for (i, block) in self.blocks.iter().enumerate() {
            if i > 0 {
                x = try_max_pool_2x2(x, InputGrad::Set)?;
            }
            for (conv, norm) in block {
                x = norm.forward(p, conv.forward(p, x)?, pass)?;
            }
        }
        self.fc.forward(p, try_mean_max(x, InputGrad::Set)?)
    }
}
