//! A network with its parameters.

use dfdx::tensor::{PutTape, Storage, Tape};

use super::{InputShape, NetworkSpec, mlp::Mlp, vgg::Vgg};
use crate::{
    Device, NnError,
    parameter::{ParameterId, Parameters},
    tensor::{Tensor1, Tensor2},
};

/// One pass through a network: its mode, and what it leaves behind.
#[derive(Debug)]
pub struct Pass<D: Storage<f32>> {
    pub(crate) training: bool,
    pub(crate) step: u64,
    pub(crate) updates: Vec<(ParameterId, Tensor1<D>)>,
}

impl<D: Storage<f32>> Pass<D> {
    /// A pass that changes nothing: running statistics, no dropout.
    pub fn evaluate() -> Self {
        Pass { training: false, step: 0, updates: Vec::new() }
    }

    /// The training pass of optimiser step `step`, from which dropout draws its masks.
    pub fn train(step: u64) -> Self {
        Pass { training: true, step, updates: Vec::new() }
    }
}

/// A network: layers, parameters, and the shapes it was built for.
#[derive(Debug, Clone)]
pub struct Network<D: Storage<f32>> {
    spec: NetworkSpec,
    input: InputShape,
    outputs: usize,
    parameters: Parameters<D>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Vgg(Vgg),
    Mlp(Mlp),
}

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
        spec.check()?;
        if outputs == 0 {
            return Err(NnError::range("outputs", outputs, "at least 1"));
        }
        let mut parameters = Parameters::new(device, seed);
        let p = &mut parameters;
        let body = match spec {
            NetworkSpec::Vgg41Plain { width } => Body::Vgg(Vgg::new(p, *width, input, outputs)?),
            NetworkSpec::Mlp { hidden, dropout } => {
                Body::Mlp(Mlp::new(p, hidden, *dropout, input, outputs, seed)?)
            }
        };
        Ok(Network { spec: spec.clone(), input, outputs, parameters, body })
    }

    /// What the network was built from.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Shape of a sample.
    pub fn input(&self) -> InputShape {
        self.input
    }

    /// Number of logits.
    pub fn outputs(&self) -> usize {
        self.outputs
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

    /// Logits (n, outputs) of `n` samples given as (n, channels, frames, bands), recorded on a tape of type `T`.
    pub fn forward<T: Tape<f32, D>>(
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
        let device = self.parameters.device();
        match &self.body {
            Body::Vgg(vgg) => {
                let values = channels_last(inputs, channels, frames * bands);
                let x = device
                    .try_tensor_from_vec(values, (n, frames, bands, channels))
                    .map_err(NnError::kernel("input"))?;
                vgg.forward(&self.parameters, x.put_tape(T::default()), pass)
            }
            Body::Mlp(mlp) => {
                let x = device
                    .try_tensor_from_vec(inputs.to_vec(), (n, self.input.len()))
                    .map_err(NnError::kernel("input"))?;
                mlp.forward(&self.parameters, x.put_tape(T::default()), pass)
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
