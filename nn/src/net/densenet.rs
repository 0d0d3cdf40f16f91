//! DenseNet-121 for spectrograms.

use dfdx::tensor::{PutTape as _, SplitTape as _, Tape};

use super::{
    InputShape, Pass,
    layer::{BatchNorm, Conv2d, ConvInit, ConvNorm},
};
use crate::{
    Device, NnError,
    ops::{
        BatchNormSpec, Conv2dSpec, Divisor, Padding, PoolSpec, try_average_pool, try_concat_channels,
        try_global_average, try_max_pool,
    },
    parameter::Parameters,
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// Layers of the four blocks.
const BLOCKS: [usize; 4] = [6, 12, 24, 16];
/// Channels that a layer adds.
const GROWTH: usize = 32;
/// Channels between the two convolutions of a layer.
const BOTTLENECK: usize = 4 * GROWTH;

/// Dense blocks of layers that each read what all layers before them wrote; parameters are named as in torchvision.
///
/// Source: G. Huang et al. 2017.
#[derive(Debug, Clone)]
pub(super) struct DenseNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    last: BatchNorm,
    pub(super) features: usize,
}

/// Layers, and what halves channels and map behind them, but for the last block.
#[derive(Debug, Clone)]
struct Block {
    layers: Vec<Layer>,
    transition: Option<(BatchNorm, Conv2d)>,
}

#[derive(Debug, Clone)]
struct Layer {
    norm1: BatchNorm,
    /// 1x1 with the normalisation behind it.
    narrow: ConvNorm,
    conv2: Conv2d,
}

impl DenseNet {
    pub(super) fn new<D: Device>(p: &mut Parameters<D>, input: InputShape) -> Result<DenseNet, NnError> {
        let (norm, init) = (BatchNormSpec::default(), ConvInit::KaimingIn);
        let mut channels = 64;
        let spec = Conv2dSpec {
            stride: (2, 2),
            padding: Padding::symmetric(3, 3),
            ..Conv2dSpec::new(input.channels, channels, (7, 7))
        };
        let names = ["features.conv0", "features.norm0"];
        let stem = ConvNorm::new(p, names, spec, init, norm, InputGrad::Skip)?;
        let mut blocks = Vec::new();
        for (b, count) in BLOCKS.into_iter().enumerate() {
            let mut layers = Vec::new();
            for l in 0..count {
                let name = format!("features.denseblock{}.denselayer{}", b + 1, l + 1);
                // The concatenation reads the input after the normalisation.
                let norm1 = BatchNorm::new(p, &format!("{name}.norm1"), channels, norm, InputGrad::Add)?;
                let names = [format!("{name}.conv1"), format!("{name}.norm2")];
                let narrow = Conv2dSpec::new(channels, BOTTLENECK, (1, 1));
                let names = [names[0].as_str(), names[1].as_str()];
                let narrow = ConvNorm::new(p, names, narrow, init, norm, InputGrad::Set)?;
                let conv2 = Conv2dSpec::same3x3(BOTTLENECK, GROWTH);
                let conv2 = Conv2d::new(p, &format!("{name}.conv2"), conv2, init, InputGrad::Set)?;
                layers.push(Layer { norm1, narrow, conv2 });
                channels += GROWTH;
            }
            let transition = if b + 1 < BLOCKS.len() {
                let name = format!("features.transition{}", b + 1);
                let norm = BatchNorm::new(p, &format!("{name}.norm"), channels, norm, InputGrad::Set)?;
                let spec = Conv2dSpec::new(channels, channels / 2, (1, 1));
                let conv = Conv2d::new(p, &format!("{name}.conv"), spec, init, InputGrad::Set)?;
                channels /= 2;
                Some((norm, conv))
            } else {
                None
            };
            blocks.push(Block { layers, transition });
        }
        let last = BatchNorm::new(p, "features.norm5", channels, norm, InputGrad::Set)?;
        Ok(DenseNet { stem, blocks, last, features: channels })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let stem = PoolSpec::Sliding {
            kernel: (3, 3),
            stride: (2, 2),
            padding: Padding::symmetric(1, 1),
            ceil: false,
        };
        let mut x = try_max_pool(self.stem.forward(p, x, pass)?, &stem, InputGrad::Set)?;
        for block in &self.blocks {
            for layer in &block.layers {
                let (input, tape) = x.split_tape();
                let y = layer.norm1.forward(p, input.clone().put_tape(tape), pass)?;
                let y = layer.conv2.forward(p, layer.narrow.forward(p, y, pass)?)?;
                let (y, tape) = y.split_tape();
                x = try_concat_channels((input.put_tape(tape), InputGrad::Set), &[(&y, InputGrad::Set)])?;
            }
            if let Some((norm, conv)) = &block.transition {
                let narrow = conv.forward(p, norm.forward(p, x, pass)?)?;
                let half = PoolSpec::valid((2, 2), (2, 2));
                x = try_average_pool(narrow, &half, Divisor::Image, InputGrad::Set)?;
            }
        }
        try_global_average(self.last.forward(p, x, pass)?, InputGrad::Set)
    }
}
