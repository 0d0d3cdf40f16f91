//! MobileNetV1 for spectrograms.

use dfdx::tensor::Tape;

use super::{
    InputShape, Pass,
    layer::{ConvInit, ConvNorm},
};
use crate::{
    Device, NnError,
    ops::{BatchNormSpec, Conv2dSpec, try_global_average},
    parameter::Parameters,
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// Stride and channels of the blocks.
const BLOCKS: [(usize, usize); 13] = [
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
];

/// A 3x3 convolution, then depth-wise separable ones, then the mean of the map.
///
/// Source: A. Howard et al. 2017, in the variant of the DCASE 2019 Task 2 baseline (first convolution of 16 channels with stride
/// 1, TensorFlow's SAME padding).
#[derive(Debug, Clone)]
pub(super) struct MobileNet {
    convs: Vec<ConvNorm>,
    pub(super) features: usize,
}

impl MobileNet {
    /// Parameters are named `body.0.conv`, `body.0.bn`, `body.N.depthwise`, `body.N.bn1`, `body.N.pointwise`, `body.N.bn2`.
    pub(super) fn new<D: Device>(p: &mut Parameters<D>, input: InputShape) -> Result<MobileNet, NnError> {
        let norm = BatchNormSpec::SLOW;
        let mut image = (input.frames, input.bands);
        let mut convs = Vec::new();
        let mut add = |name: String, bn: String, spec: Conv2dSpec| -> Result<(), NnError> {
            let spec = spec.same(image.0, image.1);
            image = spec.output(image.0, image.1)?;
            let input_grad = if convs.is_empty() { InputGrad::Skip } else { InputGrad::Set };
            convs.push(ConvNorm::new(p, [&name, &bn], spec, ConvInit::KaimingIn, norm, input_grad)?);
            Ok(())
        };
        let mut channels = 16;
        let stem = Conv2dSpec::new(input.channels, channels, (3, 3));
        add("body.0.conv".to_owned(), "body.0.bn".to_owned(), stem)?;
        for (i, (stride, outputs)) in BLOCKS.into_iter().enumerate() {
            let name = format!("body.{}", i + 1);
            let depthwise =
                Conv2dSpec { stride: (stride, stride), ..Conv2dSpec::depthwise(channels, (3, 3)) };
            add(format!("{name}.depthwise"), format!("{name}.bn1"), depthwise)?;
            let pointwise = Conv2dSpec::new(channels, outputs, (1, 1));
            add(format!("{name}.pointwise"), format!("{name}.bn2"), pointwise)?;
            channels = outputs;
        }
        Ok(MobileNet { convs, features: channels })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        mut x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        for conv in &self.convs {
            x = conv.forward(p, x, pass)?;
        }
        try_global_average(x, InputGrad::Set)
    }
}
