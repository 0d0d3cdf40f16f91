//! The convolutional recurrent network.

use dfdx::{shapes::HasShape as _, tensor::Tape};

use super::{
    InputShape, Pass,
    gru::Gru,
    layer::ConvInit,
    sequence::{Builder, Sequence},
};
use crate::{
    Device, NnError,
    ops::{BatchNormSpec, PoolSpec, try_last_product, try_reshape},
    parameter::Parameters,
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// Units of the recurrent layer in each direction.
const HIDDEN: usize = 64;

/// Three 5x5 convolutions, each with a max-pooling mostly over frequency, then a bidirectional recurrent layer over time.
#[derive(Debug, Clone)]
pub(super) struct Crnn {
    body: Sequence,
    gru: Gru,
    pub(super) features: usize,
}

impl Crnn {
    /// Parameters are named `body.N` and as those of PyTorch's `gru`.
    pub(super) fn new<D: Device>(p: &mut Parameters<D>, input: InputShape) -> Result<Crnn, NnError> {
        let mut body = Builder::new(p, input, ConvInit::Default, BatchNormSpec::default());
        for window in [(2, 5), (2, 4), (2, 2)] {
            body = body.conv(128, 5)?.max_pool(PoolSpec::valid(window, window))?;
        }
        let ((_, bands, channels), body) = (body.image, body.finish());
        let gru = Gru::new(p, "gru", (bands * channels, HIDDEN), true, InputGrad::Set)?;
        Ok(Crnn { body, gru, features: HIDDEN })
    }

    /// The product of both directions' outputs at the last step.
    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let x = self.body.forward(p, x, pass)?;
        let (n, frames, bands, channels) = *x.shape();
        // Band by band, the channels of a band together.
        let steps = try_reshape(x, (n, frames, bands * channels))?;
        try_last_product(self.gru.forward(p, steps)?, InputGrad::Set)
    }
}
