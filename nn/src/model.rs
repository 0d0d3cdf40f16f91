//! Trained networks on plain slices.

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::tensor::{Cpu, NoneTape};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Device, DeviceKind, NnError,
    checkpoint::{Archive, load_parameters},
    device::{on_device, place},
    net::{HeadSpec, InputShape, Network, NetworkSpec, Pass},
    tensor::Tensor2,
};

/// Samples of a batch in evaluation; results do not depend on it.
const BATCH: usize = 32;

/// Logits of any number of samples, batch by batch.
pub(crate) fn logits<D: Device>(network: &Network<D>, inputs: &[f32]) -> Result<Vec<f32>, NnError> {
    batches(network, inputs, |batch| network.forward::<NoneTape>(batch, &mut Pass::evaluate()))
}

/// Features of any number of samples, batch by batch.
pub(crate) fn features<D: Device>(network: &Network<D>, inputs: &[f32]) -> Result<Vec<f32>, NnError> {
    batches(network, inputs, |batch| network.embed::<NoneTape>(batch, &mut Pass::evaluate()))
}

/// What `of` gives for any number of samples, batch by batch.
fn batches<D: Device>(
    network: &Network<D>,
    inputs: &[f32],
    of: impl Fn(&[f32]) -> Result<Tensor2<D>, NnError>,
) -> Result<Vec<f32>, NnError> {
    let sample = network.input().len();
    if !inputs.len().is_multiple_of(sample) {
        return Err(NnError::shape("inputs, a multiple of the sample's size", &[sample], &[inputs.len()]));
    }
    let mut all = Vec::new();
    for batch in inputs.chunks(BATCH * sample) {
        all.extend(of(batch)?.as_vec());
    }
    Ok(all)
}

/// The metadata of a model: the network's description and the caller's `meta`.
pub(crate) fn network_json<D: Device>(network: &Network<D>, meta: &Value) -> Value {
    let mut description = json!({
        "input": network.input(),
        "meta": meta,
        "network": network.spec(),
        "outputs": network.outputs(),
    });
    if !network.head().is_classifier() {
        description["head"] = json!(network.head());
    }
    description
}

/// A trained network, for evaluation only.
#[derive(Debug)]
pub struct Model {
    network: AnyNetwork,
    meta: Value,
}

/// A network on the device that the user has chosen.
#[derive(Debug)]
enum AnyNetwork {
    Cpu(Network<Cpu>),
    #[cfg(feature = "cuda")]
    Cuda(crate::cuda::Shared<Network<Cuda>>, bool),
}

#[derive(Deserialize)]
struct Metadata {
    network: NetworkSpec,
    #[serde(default)]
    head: HeadSpec,
    input: InputShape,
    outputs: usize,
    #[serde(default)]
    meta: Value,
}

impl Model {
    /// Reads what [`Trainer::save_weights`](crate::Trainer::save_weights) has written.
    ///
    /// Fails where the bytes are no such file, or the tensors are not exactly those of the network it describes.
    pub fn load(bytes: &[u8], device: DeviceKind) -> Result<Model, NnError> {
        let archive = Archive::from_bytes(bytes)?;
        let m: Metadata = serde_json::from_value(archive.metadata).map_err(|e| NnError::Format {
            reason: format!("no description of the network in the metadata: {e}"),
        })?;
        let sizes = (m.input, m.outputs);
        let network: Result<_, NnError> =
            place!(AnyNetwork, device, |device| Network::unfilled(device, &m.network, &m.head, sizes));
        let mut network = network?;
        on_device!(AnyNetwork, &mut network, network => {
            load_parameters(network.parameters_mut(), archive.tensors)
        })?;
        Ok(Model { network, meta: m.meta })
    }

    /// Logits (n, outputs) of `inputs` (n, channels, frames, bands), both flat; of a network with another head than a
    /// classifier, what that head gives.
    pub fn logits(&self, inputs: &[f32]) -> Result<Vec<f32>, NnError> {
        on_device!(AnyNetwork, &self.network, network => logits(network, inputs))
    }

    /// Features (n, h) of `inputs` (n, channels, frames, bands), both flat: what the head reads; `h` is
    /// [`features`](Model::features).
    pub fn embed(&self, inputs: &[f32]) -> Result<Vec<f32>, NnError> {
        on_device!(AnyNetwork, &self.network, network => features(network, inputs))
    }

    /// Numbers of a sample's features.
    pub fn features(&self) -> usize {
        on_device!(AnyNetwork, &self.network, network => network.features())
    }

    /// What the caller had saved beside the weights.
    pub fn meta(&self) -> &Value {
        &self.meta
    }

    /// The network's description.
    pub fn spec(&self) -> &NetworkSpec {
        on_device!(AnyNetwork, &self.network, network => network.spec())
    }

    /// What stands behind the encoder.
    pub fn head(&self) -> &HeadSpec {
        on_device!(AnyNetwork, &self.network, network => network.head())
    }

    /// Shape of a sample.
    pub fn input(&self) -> InputShape {
        on_device!(AnyNetwork, &self.network, network => network.input())
    }

    /// Number of logits, or of whatever else the head gives.
    pub fn outputs(&self) -> usize {
        on_device!(AnyNetwork, &self.network, network => network.outputs())
    }
}
