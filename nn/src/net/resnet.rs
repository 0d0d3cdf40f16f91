//! Residual networks for spectrograms: ResNet-18, ResNet-50, and ESResNet's attention.

use dfdx::{
    shapes::HasShape as _,
    tensor::{PutTape as _, SplitTape as _, Tape},
};

use super::{
    InputShape, Pass,
    layer::{BatchNorm, Conv2d, ConvInit, ConvNorm},
};
use crate::{
    Device, NnError,
    ops::{
        BatchNormSpec, Conv2dSpec, Divisor, Padding, PoolSpec, try_add_relu, try_average_pool, try_max_pool,
        try_multiply, try_reshape, try_sigmoid,
    },
    parameter::Parameters,
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// The max-pooling behind the first convolution.
const STEM_POOL: PoolSpec = PoolSpec::Sliding {
    kernel: (3, 3),
    stride: (2, 2),
    padding: Padding { top: 1, bottom: 1, left: 1, right: 1 },
    ceil: false,
};

/// A residual network up to its pooled features; parameters are named as in torchvision.
#[derive(Debug, Clone)]
pub(super) struct ResNet {
    stem: ConvNorm,
    stages: Vec<Stage>,
    /// ESResNet's attention behind the global average.
    last: Option<Attention>,
    /// Images of a sample that go through the network one by one; their features are added.
    images: usize,
    pub(super) features: usize,
}

#[derive(Debug, Clone)]
struct Stage {
    blocks: Vec<Block>,
    attention: Option<Attention>,
}

/// What the blocks are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, and 1x1 to four times the channels.
    Bottleneck,
}

impl Kind {
    fn expansion(self) -> usize {
        match self {
            Kind::Basic => 1,
            Kind::Bottleneck => 4,
        }
    }
}

/// A residual block.
#[derive(Debug, Clone)]
struct Block {
    convs: Vec<ConvNorm>,
    /// The way around, where it is no identity.
    shortcut: Option<ConvNorm>,
}

impl Block {
    /// `last` says whether the block is the last reader of its input.
    fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        kind: Kind,
        (inputs, width): (usize, usize),
        stride: usize,
        last: InputGrad,
    ) -> Result<Block, NnError> {
        let outputs = width * kind.expansion();
        let around = Padding::symmetric(1, 1);
        let conv = |inputs, outputs, size: usize, stride: usize| Conv2dSpec {
            stride: (stride, stride),
            padding: if size == 3 { around } else { Padding::NONE },
            ..Conv2dSpec::new(inputs, outputs, (size, size))
        };
        let specs = match kind {
            Kind::Basic => vec![conv(inputs, width, 3, stride), conv(width, width, 3, 1)],
            Kind::Bottleneck => {
                vec![conv(inputs, width, 1, 1), conv(width, width, 3, stride), conv(width, outputs, 1, 1)]
            }
        };
        let mut convs = Vec::with_capacity(specs.len());
        for (i, spec) in specs.iter().enumerate() {
            let names = [format!("{name}.conv{}", i + 1), format!("{name}.bn{}", i + 1)];
            let norm = BatchNormSpec { relu: i + 1 < specs.len(), ..BatchNormSpec::default() };
            // The way around reads the input of the block after the first convolution.
            let input_grad = if i == 0 { InputGrad::Add } else { InputGrad::Set };
            let names = [names[0].as_str(), names[1].as_str()];
            convs.push(ConvNorm::new(p, names, *spec, ConvInit::KaimingOut, norm, input_grad)?);
        }
        let shortcut = if stride == 1 && inputs == outputs {
            None
        } else {
            let names = [format!("{name}.downsample.0"), format!("{name}.downsample.1")];
            let norm = BatchNormSpec { relu: false, ..BatchNormSpec::default() };
            let names = [names[0].as_str(), names[1].as_str()];
            let spec = conv(inputs, outputs, 1, stride);
            Some(ConvNorm::new(p, names, spec, ConvInit::KaimingOut, norm, last)?)
        };
        Ok(Block { convs, shortcut })
    }

    fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor4<D, T>, NnError> {
        let (x, tape) = x.split_tape();
        let mut y = x.clone().put_tape(tape);
        for conv in &self.convs {
            y = conv.forward(p, y, pass)?;
        }
        let around = match &self.shortcut {
            None => x,
            Some(conv) => {
                let (main, tape) = y.split_tape();
                let (around, tape) = conv.forward(p, x.put_tape(tape), pass)?.split_tape();
                y = main.put_tape(tape);
                around
            }
        };
        try_add_relu(y, &around, [InputGrad::Set; 2])
    }
}

/// ESResNet's attention: the input of a stage, pooled to the size of its output and convolved, weighs that output.
///
/// Source: A. Guzhov et al., "ESResNet", 2020.
#[derive(Debug, Clone)]
struct Attention {
    depthwise: Conv2d,
    pointwise: Conv2d,
    norm: BatchNorm,
}

impl Attention {
    /// `over_time` and `over_bands` are the sizes of the depth-wise kernel.
    fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        (inputs, outputs): (usize, usize),
        (over_time, over_bands): (usize, usize),
    ) -> Result<Attention, NnError> {
        let depthwise = Conv2dSpec {
            padding: Padding::symmetric(over_time / 2, over_bands / 2),
            ..Conv2dSpec::depthwise(inputs, (over_time, over_bands))
        };
        let pointwise = Conv2dSpec::new(inputs, outputs, (1, 1));
        let mut conv = |field: &str, spec| {
            let name = format!("{name}.{field}");
            Conv2d::new(p, &name, spec, ConvInit::Default, InputGrad::Set)?.with_bias(p, &name)
        };
        let (depthwise, pointwise) = (conv("depthwise", depthwise)?, conv("pointwise", pointwise)?);
        let norm = BatchNormSpec { relu: false, ..BatchNormSpec::default() };
        let norm = BatchNorm::new(p, &format!("{name}.bn"), outputs, norm, InputGrad::Set)?;
        Ok(Attention { depthwise, pointwise, norm })
    }

    /// `y` weighed by `x`, the input of what made `y`; this is the last reader of `x`.
    fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D>,
        y: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor4<D, T>, NnError> {
        let (_, rows, cols, _) = *y.shape();
        let (y, tape) = y.split_tape();
        let pooled =
            try_max_pool(x.put_tape(tape), &PoolSpec::Adaptive { output: (rows, cols) }, InputGrad::Set)?;
        let mixed = self.pointwise.forward(p, self.depthwise.forward(p, pooled)?)?;
        let weight = try_sigmoid(self.norm.forward(p, mixed, pass)?, InputGrad::Set)?;
        let (weight, tape) = weight.split_tape();
        try_multiply(y.put_tape(tape), &weight, [InputGrad::Set; 2])
    }
}

impl ResNet {
    /// ResNet-18.
    pub(super) fn basic<D: Device>(p: &mut Parameters<D>, input: InputShape) -> Result<ResNet, NnError> {
        ResNet::new(p, Kind::Basic, [2, 2, 2, 2], input.channels, 1, false)
    }

    /// ResNet-50; with `stereo` the first and the second half of the channels are two images.
    pub(super) fn bottleneck<D: Device>(
        p: &mut Parameters<D>,
        (attention, stereo): (bool, bool),
        input: InputShape,
    ) -> Result<ResNet, NnError> {
        let images = if stereo { 2 } else { 1 };
        if !input.channels.is_multiple_of(images) {
            return Err(NnError::range("stereo", stereo, "false where the channels are an odd number"));
        }
        ResNet::new(p, Kind::Bottleneck, [3, 4, 6, 3], input.channels / images, images, attention)
    }

    fn new<D: Device>(
        p: &mut Parameters<D>,
        kind: Kind,
        blocks: [usize; 4],
        channels: usize,
        images: usize,
        attention: bool,
    ) -> Result<ResNet, NnError> {
        let spec = Conv2dSpec {
            stride: (2, 2),
            padding: Padding::symmetric(3, 3),
            ..Conv2dSpec::new(channels, 64, (7, 7))
        };
        let norm = BatchNormSpec::default();
        let stem = ConvNorm::new(p, ["conv1", "bn1"], spec, ConvInit::KaimingOut, norm, InputGrad::Skip)?;
        // Kernels (time, frequency) of the attention.
        let kernels = [(1, 3), (5, 1), (1, 3), (5, 1)];
        let (mut stages, mut inputs) = (Vec::new(), 64);
        for (i, (count, kernel)) in blocks.into_iter().zip(kernels).enumerate() {
            let (width, before) = (64 << i, inputs);
            let mut stage = Stage { blocks: Vec::new(), attention: None };
            for block in 0..count {
                let stride = if block == 0 && i > 0 { 2 } else { 1 };
                let last = if block == 0 && attention { InputGrad::Add } else { InputGrad::Set };
                let name = format!("layer{}.{block}", i + 1);
                stage.blocks.push(Block::new(p, &name, kind, (inputs, width), stride, last)?);
                inputs = width * kind.expansion();
            }
            if attention {
                let name = format!("att{}", i + 1);
                stage.attention = Some(Attention::new(p, &name, (before, inputs), kernel)?);
            }
            stages.push(stage);
        }
        let last = if attention { Some(Attention::new(p, "att5", (inputs, inputs), (5, 3))?) } else { None };
        Ok(ResNet { stem, stages, last, images, features: inputs })
    }

    /// `x` is (n, rows, columns, channels of all images); images are told apart by the caller, who stacks them as samples.
    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let mut x = try_max_pool(self.stem.forward(p, x, pass)?, &STEM_POOL, InputGrad::Set)?;
        for stage in &self.stages {
            let (input, tape) = x.split_tape();
            x = input.clone().put_tape(tape);
            for block in &stage.blocks {
                x = block.forward(p, x, pass)?;
            }
            if let Some(attention) = &stage.attention {
                x = attention.forward(p, input, x, pass)?;
            }
        }
        let (n, rows, cols, channels) = *x.shape();
        let (input, tape) = x.split_tape();
        let whole = PoolSpec::valid((rows, cols), (rows, cols));
        let first = if self.last.is_some() { InputGrad::Add } else { InputGrad::Set };
        let mut y = try_average_pool(input.clone().put_tape(tape), &whole, Divisor::Image, first)?;
        if let Some(attention) = &self.last {
            y = attention.forward(p, input, y, pass)?;
        }
        if self.images == 1 {
            return try_reshape(y, (n, channels));
        }
        // The sum over images is their number times the mean.
        let samples = n / self.images;
        let pool = PoolSpec::valid((self.images, 1), (self.images, 1));
        let y = try_reshape(y, (samples, self.images, 1, channels))?;
        let mean = try_average_pool(y, &pool, Divisor::Image, InputGrad::Set)?;
        let factor = mean.device().try_tensor_from_vec(vec![self.images as f32; samples], (samples, 1, 1, 1));
        let factor = factor.map_err(NnError::kernel("number of images"))?;
        try_reshape(try_multiply(mean, &factor, [InputGrad::Set, InputGrad::Skip])?, (samples, channels))
    }

    /// Images of a sample.
    pub(super) fn images(&self) -> usize {
        self.images
    }
}
