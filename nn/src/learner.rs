//! A network with its optimiser: what every training has on its device.

use std::collections::BTreeMap;

use dfdx::{
    tensor::{NoneTape, OwnedTape},
    tensor_ops::Backward,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Device, NnError,
    checkpoint::{Archive, load_parameters, load_strict},
    net::{Network, Pass},
    optimiser::{Found, Optimiser, OptimiserSpec},
    parameter::Parameters,
    tensor::{Scalar, Tensor2},
};

/// Numbers held for each parameter: its value, its gradient, up to two moments, and what a kernel packs.
const PARAMETER_COPIES: u64 = 5;

/// The version of checkpoints.
pub(crate) const FORMAT: u32 = 1;

/// A network with its optimiser.
#[derive(Debug)]
pub(crate) struct Learner<D: Device> {
    pub(crate) network: Network<D>,
    pub(crate) optimiser: Optimiser<D>,
}

impl<D: Device> Learner<D> {
    pub(crate) fn new(network: Network<D>, optimiser: &OptimiserSpec) -> Result<Self, NnError> {
        let optimiser = Optimiser::new(optimiser, network.parameters())?;
        Ok(Learner { network, optimiser })
    }

    /// Changes the parameters by one step down the gradient of `loss`, and stores what `pass` has found; `judged` are logits and
    /// targets to count what is right of.
    ///
    /// Where loss or gradients are not finite, nothing has changed.
    pub(crate) fn update(
        &mut self,
        loss: Scalar<D, OwnedTape<f32, D>>,
        (logits, targets): (&Tensor2<D>, &Tensor2<D>),
        pass: Pass<D>,
        (rate, clip_norm): (f64, Option<f64>),
    ) -> Result<Found, NnError> {
        use dfdx::tensor::{PutTape as _, SplitTape as _};
        let step = self.optimiser.steps();
        let device = self.network.parameters().device().clone();
        let (loss, tape): (Scalar<D, NoneTape>, _) = loss.split_tape();
        let trained = self.network.parameters().iter().filter(|p| p.trained).count();
        let verdict = device
            .verdict_begin(&loss, logits, targets, trained)
            .map_err(NnError::kernel("report of a step"))?;
        let mut gradients = loss.put_tape(tape).try_backward().map_err(NnError::kernel("backward pass"))?;
        let parameters = self.network.parameters_mut();
        let found = self.optimiser.step(parameters, &mut gradients, rate, (verdict, clip_norm))?;
        if !found.loss.is_finite() {
            return Err(NnError::NonFiniteLoss { loss: found.loss, step });
        }
        if !found.norm.is_finite() {
            return Err(NnError::NonFiniteGradient { norm: found.norm, step });
        }
        self.network.finish(pass);
        Ok(found)
    }

    /// About how many bytes a step takes of which the tensors of the forward pass take `kept`: weights, gradients and optimiser
    /// come on top, and of what is kept a quarter for what is being computed.
    pub(crate) fn memory(&self, kept: u64) -> u64 {
        let parameters = self.network.parameters().count() as u64 * size_of::<f32>() as u64;
        PARAMETER_COPIES * parameters + kept + kept / 4
    }

    pub(crate) fn save(&mut self, archive: &mut Archive) {
        archive.put_parameters("network.", self.network.parameters());
        for (name, shape, value) in self.optimiser.state(self.network.parameters()) {
            archive.put(format!("optimiser.{name}"), shape, value);
        }
    }

    /// Takes what [`save`](Learner::save) has put there; `steps` have led to it.
    pub(crate) fn load(&mut self, archive: &mut Archive, steps: u64) -> Result<(), NnError> {
        let (weights, state) = (archive.take_prefix("network."), archive.take_prefix("optimiser."));
        load_parameters(self.network.parameters_mut(), weights)?;
        let parameters = self.network.parameters();
        let device = parameters.device().clone();
        let targets =
            self.optimiser.state(parameters).map(|(name, shape, value)| (name, shape.to_vec(), value));
        load_strict(&device, targets, state)?;
        self.optimiser.set_steps(steps);
        Ok(())
    }

    /// `parameters` of the network as safetensors, with its description and `meta`, without those whose names start with
    /// `without`.
    pub(crate) fn weights(
        &self,
        parameters: &Parameters<D>,
        without: Option<&str>,
        meta: &Value,
    ) -> Result<Vec<u8>, NnError> {
        let metadata = crate::model::network_json(&self.network, meta);
        let mut archive = Archive { metadata, tensors: BTreeMap::new() };
        archive.put_parameters("", parameters);
        if let Some(prefix) = without {
            archive.take_prefix(prefix);
        }
        archive.to_bytes()
    }
}

/// The metadata of a checkpoint, of a format that this version reads.
pub(crate) fn checkpoint_metadata<T: DeserializeOwned>(archive: &mut Archive) -> Result<T, NnError> {
    let metadata = std::mem::take(&mut archive.metadata);
    let wrong = |reason: String| NnError::Format { reason };
    match metadata.get("format").and_then(Value::as_u64) {
        Some(format) if format != u64::from(FORMAT) => {
            Err(wrong(format!("checkpoint format {format}, this version reads {FORMAT}")))
        }
        _ => serde_json::from_value(metadata)
            .map_err(|error| wrong(format!("no checkpoint of a training: {error}"))),
    }
}

/// Fails where something is left of a checkpoint that was loaded.
pub(crate) fn nothing_left(archive: &Archive) -> Result<(), NnError> {
    match archive.tensors.keys().next() {
        Some(name) => Err(NnError::Format { reason: format!("tensor `{name}` belongs to nothing") }),
        None => Ok(()),
    }
}
