//! The network of the papers on noisy labels.

use dfdx::{shapes::HasShape as _, tensor::Tape};

use super::{
    InputShape, Pass,
    layer::{BatchNorm, Conv2d, ConvInit, Linear},
};
use crate::ops::{
    BatchNormSpec, Conv2dSpec, Padding, PoolSpec, try_dropout, try_max_pool, try_relu, try_reshape,
};
use crate::parameter::Parameters;
use crate::tensor::{InputGrad, Tensor2, Tensor4};
use crate::{Device, NnError};
use sndpipe_random::Stream;

/// Units of the hidden layer.
const HIDDEN: usize = 64;
/// The max-pooling behind the first two convolutions: over time and frequency.
const POOL: (usize, usize) = (4, 2);

/// Three 5x5 convolutions with bias, each between two normalisations, then a hidden layer.
///
/// Source: E. Fonseca et al., "Learning sound event classifiers from web audio with noisy labels", 2019.
#[derive(Debug, Clone)]
pub(super) struct NoisyCnn {
    /// The normalisation (with ReLU) before and behind each convolution.
    convs: Vec<(BatchNorm, Conv2d, BatchNorm)>,
    fc1: Linear,
    dropout: f64,
    streams: [Stream; 2],
    pub(super) features: usize,
}

impl NoisyCnn {
    /// Parameters are named `bn1`, `conv1`, `bn2`, `bn3`, `conv2`, …, `bn6`, `fc1`.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        dropout: f64,
        input: InputShape,
        seed: u64,
    ) -> Result<NoisyCnn, NnError> {
        let norm = BatchNormSpec::KERAS;
        let (mut channels, mut convs) = (input.channels, Vec::new());
        let mut image = (input.frames, input.bands);
        for (i, outputs) in [24, 48, 48].into_iter().enumerate() {
            let input_grad = if i == 0 { InputGrad::Skip } else { InputGrad::Set };
            let before = BatchNorm::new(p, &format!("bn{}", 2 * i + 1), channels, norm, input_grad)?;
            let spec = Conv2dSpec {
                padding: Padding::symmetric(2, 2),
                ..Conv2dSpec::new(channels, outputs, (5, 5))
            };
            let name = format!("conv{}", i + 1);
            let conv =
                Conv2d::new(p, &name, spec, ConvInit::KaimingIn, InputGrad::Set)?.with_bias(p, &name)?;
            let behind = BatchNorm::new(p, &format!("bn{}", 2 * i + 2), outputs, norm, InputGrad::Set)?;
            convs.push((before, conv, behind));
            channels = outputs;
            if i < 2 {
                image = PoolSpec::valid(POOL, POOL).output(image.0, image.1)?;
            }
        }
        let fc1 = Linear::new(p, "fc1", image.0 * image.1 * channels, HIDDEN, InputGrad::Set)?;
        let streams = ["dropout before fc1", "dropout before fc"].map(|name| Stream::new(seed, name));
        Ok(NoisyCnn { convs, fc1, dropout, streams, features: HIDDEN })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        mut x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        for (i, (before, conv, behind)) in self.convs.iter().enumerate() {
            x = behind.forward(p, conv.forward(p, before.forward(p, x, pass)?)?, pass)?;
            if i < 2 {
                x = try_max_pool(x, &PoolSpec::valid(POOL, POOL), InputGrad::Set)?;
            }
        }
        let (n, rows, cols, channels) = *x.shape();
        let x = self.drop(try_reshape(x, (n, rows * cols * channels))?, 0, pass)?;
        let x = try_relu(self.fc1.forward(p, x)?, InputGrad::Set)?;
        self.drop(x, 1, pass)
    }

    fn drop<D: Device, T: Tape<f32, D>>(
        &self,
        x: Tensor2<D, T>,
        place: usize,
        pass: &Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        if !pass.training || self.dropout == 0.0 {
            return Ok(x);
        }
        try_dropout(x, self.dropout, &self.streams[place], pass.step, InputGrad::Set)
    }
}
