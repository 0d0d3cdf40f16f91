//! DenSE: dense blocks with squeeze and excitation, the second network of the papers on noisy labels.

use dfdx::{
    shapes::HasShape as _,
    tensor::{PutTape as _, SplitTape as _, Tape},
};

use super::{
    InputShape, Pass,
    layer::{BatchNorm, Conv2d, ConvInit, Linear},
};
use crate::ops::{
    BatchNormSpec, Conv2dSpec, PoolSpec, try_concat_channels, try_dropout, try_global_average, try_max_pool,
    try_multiply, try_relu, try_reshape, try_sigmoid,
};
use crate::parameter::Parameters;
use crate::tensor::{InputGrad, Tensor2, Tensor4};
use crate::{Device, NnError};
use sndpipe_random::Stream;

/// Channels that the first convolution adds to those of the input.
const STEM: usize = 15;
/// Channels that each module adds.
const GROWTH: [usize; 4] = [16, 32, 64, 128];
/// Side and stride of the max-pooling behind each module.
const POOL: (usize, usize) = (2, 2);

/// A convolution beside the normalised input, then four modules that each add channels and halve the map; all convolutions
/// have a bias.
///
/// Source: E. Fonseca et al., "Model-agnostic approaches to handling noisy labels when training sound event classifiers", 2019.
#[derive(Debug, Clone)]
pub(super) struct DenseSe {
    norm: BatchNorm,
    stem: Conv2d,
    modules: Vec<Module>,
    last: BatchNorm,
    dropout: f64,
    stream: Stream,
    pub(super) features: usize,
}

/// Two convolutions behind normalisations, weighed by channel, in front of what they read.
#[derive(Debug, Clone)]
struct Module {
    norms: [BatchNorm; 2],
    convs: [Conv2d; 2],
    squeeze: Linear,
    excite: Linear,
}

impl DenseSe {
    /// Parameters are named `bn`, `conv`, `dense.0.bn1`, `dense.0.conv1`, `dense.0.bn2`, `dense.0.conv2`,
    /// `dense.0.squeeze`, `dense.0.excite`, …, `bn_last`.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        dropout: f64,
        input: InputShape,
        seed: u64,
    ) -> Result<DenseSe, NnError> {
        let relu = BatchNormSpec::KERAS;
        let norm = BatchNormSpec { relu: false, ..relu };
        let norm = BatchNorm::new(p, "bn", input.channels, norm, InputGrad::Skip)?;
        // The concatenations read the map after what is computed from it.
        let stem = conv(p, "conv", Conv2dSpec::same3x3(input.channels, STEM), InputGrad::Add)?;
        let mut channels = input.channels + STEM;
        let mut image = (input.frames, input.bands);
        let mut modules = Vec::new();
        for (i, growth) in GROWTH.into_iter().enumerate() {
            let name = |field: &str| format!("dense.{i}.{field}");
            let pointwise = Conv2dSpec::new(channels, growth, (1, 1));
            modules.push(Module {
                norms: [
                    BatchNorm::new(p, &name("bn1"), channels, relu, InputGrad::Add)?,
                    BatchNorm::new(p, &name("bn2"), growth, relu, InputGrad::Set)?,
                ],
                convs: [
                    conv(p, &name("conv1"), pointwise, InputGrad::Set)?,
                    conv(p, &name("conv2"), Conv2dSpec::same3x3(growth, growth), InputGrad::Set)?,
                ],
                squeeze: Linear::new(p, &name("squeeze"), growth, growth / 2, InputGrad::Set)?,
                excite: Linear::new(p, &name("excite"), growth / 2, growth, InputGrad::Set)?,
            });
            channels += growth;
            image = PoolSpec::same(POOL, POOL, image.0, image.1).output(image.0, image.1)?;
        }
        let last = BatchNorm::new(p, "bn_last", channels, relu, InputGrad::Set)?;
        let stream = Stream::new(seed, "dropout before fc");
        Ok(DenseSe { norm, stem, modules, last, dropout, stream, features: image.0 * image.1 * channels })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let (input, tape) = self.norm.forward(p, x, pass)?.split_tape();
        let (found, tape) = self.stem.forward(p, input.clone().put_tape(tape))?.split_tape();
        let mut x = try_concat_channels((input.put_tape(tape), InputGrad::Set), &[(&found, InputGrad::Set)])?;
        for module in &self.modules {
            x = module.forward(p, x, pass)?;
            let (_, rows, cols, _) = *x.shape();
            x = try_max_pool(x, &PoolSpec::same(POOL, POOL, rows, cols), InputGrad::Set)?;
        }
        let x = self.last.forward(p, x, pass)?;
        let (n, rows, cols, channels) = *x.shape();
        let x = try_reshape(x, (n, rows * cols * channels))?;
        if !pass.training || self.dropout == 0.0 {
            return Ok(x);
        }
        try_dropout(x, self.dropout, &self.stream, pass.step, InputGrad::Set)
    }
}

impl Module {
    fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor4<D, T>, NnError> {
        let (input, tape) = x.split_tape();
        let mut y = input.clone().put_tape(tape);
        for (norm, conv) in self.norms.iter().zip(&self.convs) {
            y = conv.forward(p, norm.forward(p, y, pass)?)?;
        }
        let (n, _, _, channels) = *y.shape();
        let (y, tape) = y.split_tape();
        let mean = try_global_average(y.clone().put_tape(tape), InputGrad::Add)?;
        let squeezed = try_relu(self.squeeze.forward(p, mean)?, InputGrad::Set)?;
        let gate = try_sigmoid(self.excite.forward(p, squeezed)?, InputGrad::Set)?;
        let (gate, tape) = try_reshape(gate, (n, 1, 1, channels))?.split_tape();
        let weighed = try_multiply(y.put_tape(tape), &gate, [InputGrad::Set; 2])?;
        try_concat_channels((weighed, InputGrad::Set), &[(&input, InputGrad::Set)])
    }
}

/// A convolution with bias whose weights have the variance of Glorot's initial values.
fn conv<D: Device>(
    p: &mut Parameters<D>,
    name: &str,
    spec: Conv2dSpec,
    input_grad: InputGrad,
) -> Result<Conv2d, NnError> {
    let taps = spec.kernel.0 * spec.kernel.1;
    let deviation = (2.0 / ((spec.inputs + spec.outputs) * taps) as f64).sqrt();
    Conv2d::new(p, name, spec, ConvInit::Normal(deviation), input_grad)?.with_bias(p, name)
}
