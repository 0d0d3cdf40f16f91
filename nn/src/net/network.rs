//! A network with its parameters.

use dfdx::tensor::{NoneTape, PutTape, Storage, Tape};

use super::{
    InputShape, NetworkSpec, Pass,
    crnn::Crnn,
    dense_se::DenseSe,
    densenet::DenseNet,
    head::{Head, HeadSpec, PROJECTION},
    mlp::Mlp,
    mobilenet::MobileNet,
    noisy_cnn::NoisyCnn,
    resnet::ResNet,
    vgg::Vgg,
};
use crate::{
    Device, NnError,
    parameter::Parameters,
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// A network: an encoder from samples to features, a head such as a linear classifier, and their parameters.
#[derive(Debug)]
pub struct Network<D: Storage<f32>> {
    spec: NetworkSpec,
    head_spec: HeadSpec,
    input: InputShape,
    outputs: usize,
    parameters: Parameters<D>,
    encoder: Encoder,
    head: Head,
}

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a network has one encoder")]
enum Encoder {
    /// Of samples as they are.
    Flat(Mlp),
    /// Of images with channels innermost.
    Image(ImageEncoder),
}

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a network has one encoder")]
enum ImageEncoder {
    Vgg(Vgg),
    Crnn(Crnn),
    ResNet(ResNet),
    MobileNet(MobileNet),
    DenseNet(DenseNet),
    NoisyCnn(NoisyCnn),
    DenseSe(DenseSe),
}

impl Encoder {
    fn features(&self) -> usize {
        match self {
            Encoder::Flat(net) => net.features,
            Encoder::Image(ImageEncoder::Vgg(net)) => net.features,
            Encoder::Image(ImageEncoder::Crnn(net)) => net.features,
            Encoder::Image(ImageEncoder::ResNet(net)) => net.features,
            Encoder::Image(ImageEncoder::MobileNet(net)) => net.features,
            Encoder::Image(ImageEncoder::DenseNet(net)) => net.features,
            Encoder::Image(ImageEncoder::NoisyCnn(net)) => net.features,
            Encoder::Image(ImageEncoder::DenseSe(net)) => net.features,
        }
    }
}

impl ImageEncoder {
    /// Images that a sample consists of.
    fn images(&self) -> usize {
        if let ImageEncoder::ResNet(net) = self { net.images() } else { 1 }
    }

    fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        match self {
            ImageEncoder::Vgg(net) => net.forward(p, x, pass),
            ImageEncoder::Crnn(net) => net.forward(p, x, pass),
            ImageEncoder::ResNet(net) => net.forward(p, x, pass),
            ImageEncoder::MobileNet(net) => net.forward(p, x, pass),
            ImageEncoder::DenseNet(net) => net.forward(p, x, pass),
            ImageEncoder::NoisyCnn(net) => net.forward(p, x, pass),
            ImageEncoder::DenseSe(net) => net.forward(p, x, pass),
        }
    }
}

/// Numbers of a sample, and of what a network says of it, at most.
const MOST: usize = 1 << 32;

impl<D: Device> Network<D> {
    /// Builds the network with initial values drawn from `seed`.
    ///
    /// Fails where a parameter of `spec` is out of range or the input is too small.
    pub fn new(
        device: D,
        spec: &NetworkSpec,
        input: InputShape,
        outputs: usize,
        seed: u64,
    ) -> Result<Self, NnError> {
        Self::with_head(device, spec, &HeadSpec::Classifier, (input, outputs), seed)
    }

    /// As [`new`](Network::new) with another head. What scales features alone has as many outputs as these, whatever is asked for.
    pub fn with_head(
        device: D,
        spec: &NetworkSpec,
        head: &HeadSpec,
        (input, outputs): (InputShape, usize),
        seed: u64,
    ) -> Result<Self, NnError> {
        Self::build(Parameters::new(device, seed), spec, head, (input, outputs), seed)
    }

    /// The network without values: they are to be loaded before anything is computed.
    pub(crate) fn unfilled(
        device: D,
        spec: &NetworkSpec,
        head: &HeadSpec,
        (input, outputs): (InputShape, usize),
    ) -> Result<Self, NnError> {
        Self::build(Parameters::unfilled(device), spec, head, (input, outputs), 0)
    }

    fn build(
        mut parameters: Parameters<D>,
        spec: &NetworkSpec,
        head: &HeadSpec,
        (input, outputs): (InputShape, usize),
        seed: u64,
    ) -> Result<Self, NnError> {
        spec.check()?;
        head.check()?;
        if !(1..=MOST).contains(&outputs) {
            return Err(NnError::range("outputs", outputs, "in 1 ..= 2^32"));
        }
        let sizes = [input.channels, input.frames, input.bands];
        if sizes.iter().try_fold(1_usize, |all, &size| all.checked_mul(size)).is_none_or(|all| all > MOST) {
            return Err(NnError::range("input", format!("{sizes:?}"), "at most 2^32 numbers"));
        }
        let (frames, bands) = spec.least();
        if input.channels == 0 || input.frames < frames || input.bands < bands {
            return Err(NnError::shape(
                format!("input of {} (channels, frames, bands), at least", spec.name()),
                &[1, frames, bands],
                &[input.channels, input.frames, input.bands],
            ));
        }
        let p = &mut parameters;
        let image = Encoder::Image;
        let encoder = match spec {
            NetworkSpec::Vgg41Plain { width } => image(ImageEncoder::Vgg(Vgg::plain(p, *width, input)?)),
            NetworkSpec::Vgg41 { k, pool, norm, width } => {
                image(ImageEncoder::Vgg(Vgg::published(p, *k as f64 * width, (*pool, *norm), input)?))
            }
            NetworkSpec::VggLike { hidden } => image(ImageEncoder::Vgg(Vgg::like(p, *hidden, input)?)),
            NetworkSpec::Crnn => image(ImageEncoder::Crnn(Crnn::new(p, input)?)),
            NetworkSpec::Resnet18 => image(ImageEncoder::ResNet(ResNet::basic(p, input)?)),
            NetworkSpec::Resnet50 { attention, stereo } => {
                image(ImageEncoder::ResNet(ResNet::bottleneck(p, (*attention, *stereo), input)?))
            }
            NetworkSpec::MobilenetV1 => image(ImageEncoder::MobileNet(MobileNet::new(p, input)?)),
            NetworkSpec::Densenet121 => image(ImageEncoder::DenseNet(DenseNet::new(p, input)?)),
            NetworkSpec::NoisyCnn { dropout } => {
                image(ImageEncoder::NoisyCnn(NoisyCnn::new(p, *dropout, input, seed)?))
            }
            NetworkSpec::DenseSe { dropout } => {
                image(ImageEncoder::DenseSe(DenseSe::new(p, *dropout, input, seed)?))
            }
            NetworkSpec::Mlp { hidden, dropout } => {
                Encoder::Flat(Mlp::new(p, hidden, *dropout, input, seed)?)
            }
        };
        // A head that reads the sample itself hands no gradient on.
        let input_grad = match spec {
            NetworkSpec::Mlp { hidden, .. } if hidden.is_empty() => InputGrad::Skip,
            _ => InputGrad::Set,
        };
        let features = encoder.features();
        let outputs = if *head == HeadSpec::Unit { features } else { outputs };
        let (head_spec, spec) = (head.clone(), spec.clone());
        let head = Head::new(p, head, spec.classifier(), (features, outputs), input_grad)?;
        Ok(Network { spec, head_spec, input, outputs, parameters, encoder, head })
    }

    /// What the network was built from.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Shape of a sample.
    pub fn input(&self) -> InputShape {
        self.input
    }

    /// What stands behind the encoder.
    pub fn head(&self) -> &HeadSpec {
        &self.head_spec
    }

    /// Number of logits, or of whatever else the head gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Numbers of a sample's features, which the encoder gives and the head reads.
    pub fn features(&self) -> usize {
        self.encoder.features()
    }

    /// Parameters and buffers.
    pub fn parameters(&self) -> &Parameters<D> {
        &self.parameters
    }

    pub(crate) fn parameters_mut(&mut self) -> &mut Parameters<D> {
        &mut self.parameters
    }

    /// Stores the running statistics that a training pass has found.
    pub(crate) fn finish(&mut self, pass: Pass<D>) {
        for (id, value) in pass.updates {
            self.parameters.set(id, value);
        }
    }

    /// What the head gives, (n, outputs), such as logits, of `n` samples given as (n, channels, frames, bands), recorded on a tape of type `T`.
    pub fn forward<T: Tape<f32, D>>(
        &self,
        inputs: &[f32],
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let head = if self.head_spec.is_classifier() { self.spec.classifier() } else { PROJECTION };
        let head = format!("{head}.");
        let mut encoder = self.parameters.iter().filter(|p| !p.name.starts_with(&head));
        let features = if T::OWNS_TAPE && !encoder.any(|p| p.trained) {
            // No gradient is wanted of an encoder that is frozen.
            self.embed::<NoneTape>(inputs, pass)?.put_tape(T::default())
        } else {
            self.embed(inputs, pass)?
        };
        self.apply_head(features, pass)
    }

    /// What the head gives, (n, outputs), of features (n, h).
    pub fn apply_head<T: Tape<f32, D>>(
        &self,
        features: Tensor2<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        self.head.forward(&self.parameters, features, pass)
    }

    /// Features (n, h) that the encoder gives the head, of `n` samples given as (n, channels, frames, bands); `h` is
    /// [`features`](Network::features).
    pub fn embed<T: Tape<f32, D>>(
        &self,
        inputs: &[f32],
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let InputShape { channels, frames, bands } = self.input;
        let n = inputs.len() / self.input.len();
        if n == 0 || inputs.len() != n * self.input.len() {
            return Err(NnError::shape(
                "inputs of the network",
                &[n.max(1), channels, frames, bands],
                &[inputs.len()],
            ));
        }
        let (device, p) = (self.parameters.device(), &self.parameters);
        match &self.encoder {
            Encoder::Flat(net) => {
                let x = device
                    .try_tensor_from_vec(inputs.to_vec(), (n, self.input.len()))
                    .map_err(NnError::kernel("input"))?;
                net.forward(p, x.put_tape(T::default()), pass)
            }
            Encoder::Image(net) => {
                // Images of one sample lie one behind the other, as those of different samples do.
                let channels = channels / net.images();
                let values = channels_last(inputs, channels, frames * bands);
                let x = device
                    .try_tensor_from_vec(values, (n * net.images(), frames, bands, channels))
                    .map_err(NnError::kernel("input"))?;
                net.forward(p, x.put_tape(T::default()), pass)
            }
        }
    }
}

/// (n, channels, pixels) to (n, pixels, channels).
fn channels_last(x: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    if channels == 1 {
        return x.to_vec();
    }
    let mut y = vec![0.0; x.len()];
    let samples = x.chunks_exact(channels * pixels);
    for (x, y) in samples.zip(y.chunks_exact_mut(channels * pixels)) {
        for (c, plane) in x.chunks_exact(pixels).enumerate() {
            for (p, &v) in plane.iter().enumerate() {
                y[p * channels + c] = v;
            }
        }
    }
    y
}
