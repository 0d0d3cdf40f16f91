//! VGG41, VGG42 and the VGG-like network.

use dfdx::tensor::{PutTape as _, SplitTape as _, Tape};

use super::{
    InputShape, Pass,
    layer::{ConvInit, Linear},
    pooling::PoolingSpec,
    sequence::{Builder, Sequence},
};
use crate::{
    Device, NnError,
    ops::{
        BatchNormSpec, PolyphaseNorm, PoolSpec, try_concat_channels, try_global_average, try_global_max,
        try_mean_max, try_relu,
    },
    parameter::Parameters,
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// A body, then a pooling of the whole map.
#[derive(Debug, Clone)]
pub(super) struct Vgg {
    body: Sequence,
    head: Head,
    pub(super) features: usize,
}

#[derive(Debug, Clone)]
enum Head {
    /// Mean over frequency, then maximum over time.
    MeanMax,
    /// Maximum and mean over both, concatenated, then `hid` with ReLU.
    Hidden(Linear),
}

impl Vgg {
    /// VGG41 in the plain drawing; parameters are named `body.N`.
    pub(super) fn plain<D: Device>(
        p: &mut Parameters<D>,
        width: f64,
        input: InputShape,
    ) -> Result<Vgg, NnError> {
        let mut body = Builder::new(p, input, ConvInit::Default, BatchNormSpec::default());
        for (block, base) in [32.0, 64.0, 128.0, 256.0].into_iter().enumerate() {
            if block > 0 {
                body = body.max_pool(PoolSpec::valid((2, 2), (2, 2)))?;
            }
            let channels = ((base * width).round() as usize).max(1);
            body = body.conv(channels, 3)?.conv(channels, 3)?;
        }
        Ok(Vgg { features: body.image.2, body: body.finish(), head: Head::MeanMax })
    }

    /// VGG41 (`width` = 1) and VGG42 (`width` = 2) as published.
    pub(super) fn published<D: Device>(
        p: &mut Parameters<D>,
        width: f64,
        (pool, norm): (PoolingSpec, PolyphaseNorm),
        input: InputShape,
    ) -> Result<Vgg, NnError> {
        let wide = |channels: f64| ((channels * width).round() as usize).max(1);
        let mut body =
            Builder::new(p, input, ConvInit::Normal(0.01), BatchNormSpec::KERAS).conv(wide(32.0), 3)?;
        for channels in [48.0, 64.0, 128.0] {
            body = body.conv(wide(channels), 3)?.max_3x3()?.conv(wide(channels), 3)?.halve(pool, norm)?;
        }
        let body = body.conv(wide(256.0), 3)?.conv(wide(256.0), 3)?;
        Ok(Vgg { features: body.image.2, body: body.finish(), head: Head::MeanMax })
    }

    /// The VGG-like network: `body.N`, then `hid`.
    pub(super) fn like<D: Device>(
        p: &mut Parameters<D>,
        hidden: usize,
        input: InputShape,
    ) -> Result<Vgg, NnError> {
        let half = PoolSpec::valid((2, 2), (2, 2));
        let body = Builder::new(p, input, ConvInit::Default, BatchNormSpec::default())
            .conv(32, 3)?
            .conv(32, 3)?
            .conv(32, 3)?
            .max_pool(half)?
            .conv(64, 3)?
            .conv(64, 3)?
            .max_pool(half)?
            .conv(128, 3)?
            .max_pool(half)?;
        let (channels, body) = (body.image.2, body.finish());
        let hid = Linear::new(p, "hid", 2 * channels, hidden, InputGrad::Set)?;
        Ok(Vgg { features: hidden, body, head: Head::Hidden(hid) })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let x = self.body.forward(p, x, pass)?;
        match &self.head {
            Head::MeanMax => try_mean_max(x, InputGrad::Set),
            Head::Hidden(hid) => {
                let (x, tape) = x.split_tape();
                let (max, tape) = try_global_max(x.clone().put_tape(tape), InputGrad::Add)?.split_tape();
                let mean = try_global_average(x.put_tape(tape), InputGrad::Set)?;
                let (mean, tape) = mean.split_tape();
                let both =
                    try_concat_channels((max.put_tape(tape), InputGrad::Set), &[(&mean, InputGrad::Set)])?;
                try_relu(hid.forward(p, both)?, InputGrad::Set)
            }
        }
    }
}
