//! Layers one behind the other.

use dfdx::tensor::Tape;

use super::{
    InputShape, Pass,
    layer::{ConvInit, ConvNorm},
    pooling::{Pooling, PoolingSpec},
};
use crate::{
    Device, NnError,
    ops::{BatchNormSpec, Conv2dSpec, Padding, PolyphaseNorm, PoolSpec, try_max_pool},
    parameter::Parameters,
    tensor::{InputGrad, Tensor4},
};

/// Convolutions with batch norm and ReLU, and poolings.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
enum Layer {
    Conv(ConvNorm),
    MaxPool(PoolSpec),
    Pooling(Pooling),
}

impl Sequence {
    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        mut x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor4<D, T>, NnError> {
        for layer in &self.layers {
            x = match layer {
                Layer::Conv(conv) => conv.forward(p, x, pass)?,
                Layer::MaxPool(spec) => try_max_pool(x, spec, InputGrad::Set)?,
                Layer::Pooling(pooling) => pooling.forward(p, x)?,
            };
        }
        Ok(x)
    }
}

/// Builds a [`Sequence`] whose parameters are named as in PyTorch's `body = nn.Sequential(...)` of convolutions, batch norms,
/// ReLUs and poolings.
pub(super) struct Builder<'p, D: Device> {
    p: &'p mut Parameters<D>,
    init: ConvInit,
    norm: BatchNormSpec,
    layers: Vec<Layer>,
    /// The place of the next module in the `Sequential`.
    index: usize,
    /// Rows, columns and channels of the image here.
    pub(super) image: (usize, usize, usize),
}

impl<'p, D: Device> Builder<'p, D> {
    pub(super) fn new(
        p: &'p mut Parameters<D>,
        input: InputShape,
        init: ConvInit,
        norm: BatchNormSpec,
    ) -> Builder<'p, D> {
        let image = (input.frames, input.bands, input.channels);
        Builder { p, init, norm, layers: Vec::new(), index: 0, image }
    }

    /// A convolution that keeps the size of the image, with batch norm and ReLU. `size` is odd.
    pub(super) fn conv(mut self, outputs: usize, size: usize) -> Result<Self, NnError> {
        let padding = Padding::symmetric(size / 2, size / 2);
        let spec = Conv2dSpec { padding, ..Conv2dSpec::new(self.image.2, outputs, (size, size)) };
        let input_grad = if self.layers.is_empty() { InputGrad::Skip } else { InputGrad::Set };
        let names = [format!("body.{}", self.index), format!("body.{}", self.index + 1)];
        let names = [names[0].as_str(), names[1].as_str()];
        self.layers.push(Layer::Conv(ConvNorm::new(self.p, names, spec, self.init, self.norm, input_grad)?));
        self.index += 3;
        self.image.2 = outputs;
        Ok(self)
    }

    /// A max-pooling.
    pub(super) fn max_pool(mut self, spec: PoolSpec) -> Result<Self, NnError> {
        (self.image.0, self.image.1) = spec.output(self.image.0, self.image.1)?;
        self.layers.push(Layer::MaxPool(spec));
        self.index += 1;
        Ok(self)
    }

    /// The maximum of 3x3 windows at stride 1.
    pub(super) fn max_3x3(self) -> Result<Self, NnError> {
        let spec = PoolSpec::same((3, 3), (1, 1), self.image.0, self.image.1);
        self.max_pool(spec)
    }

    /// A layer that halves the image.
    pub(super) fn halve(mut self, spec: PoolingSpec, norm: PolyphaseNorm) -> Result<Self, NnError> {
        let name = format!("body.{}", self.index);
        self.layers.push(Layer::Pooling(Pooling::new(self.p, &name, spec, norm, self.image)?));
        self.index += 1;
        self.image.0 = self.image.0.div_ceil(2);
        self.image.1 = self.image.1.div_ceil(2);
        Ok(self)
    }

    pub(super) fn finish(self) -> Sequence {
        Sequence { layers: self.layers }
    }
}
