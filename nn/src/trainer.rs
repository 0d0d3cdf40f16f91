//! Training on plain slices.

use std::collections::BTreeMap;

use dfdx::{
    tensor::{Cpu, OwnedTape},
    tensor_ops::Backward,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Device, DeviceKind, NnError,
    checkpoint::{Archive, load_parameters, load_strict},
    cpu,
    model::{logits, network_json},
    net::{InputShape, Network, NetworkSpec, Pass},
    ops::{LossSpec, try_loss, try_masked_loss},
    optimiser::{Optimiser, OptimiserSpec},
    parameter::Parameters,
    tuning::{Freeze, Tuning},
};

/// Everything that a training needs beside data and learning rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainerSpec {
    /// The network.
    pub network: NetworkSpec,
    /// Shape of a sample.
    pub input: InputShape,
    /// Number of logits.
    pub outputs: usize,
    /// The optimiser.
    pub optimiser: OptimiserSpec,
    /// Gradients with a larger global norm are scaled down to it.
    pub clip_norm: Option<f64>,
    /// The loss.
    pub loss: LossSpec,
    /// Where to train.
    pub device: DeviceKind,
    /// Seed of the initial values and of dropout.
    pub seed: u64,
}

/// What a training step reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The loss of the batch, before the step.
    pub loss: f32,
    /// The global norm of the gradients, before clipping.
    pub grad_norm: f64,
    /// Samples whose largest logit is where their largest target is; of equals the first counts.
    pub correct: usize,
}

/// A network in training: parameters, optimiser and step counter.
///
/// On the CPU the same calls give the same bits for any number of threads. Work runs in the calling thread's rayon pool.
#[derive(Debug)]
pub struct Trainer {
    spec: TrainerSpec,
    tuning: Tuning,
    session: Session<Cpu>,
}

/// A training on the device `D`.
#[derive(Debug)]
struct Session<D: Device> {
    network: Network<D>,
    optimiser: Optimiser<D>,
    average: Option<Average<D>>,
}

/// A moving average of parameters and running statistics.
#[derive(Debug)]
struct Average<D: Device> {
    decay: f64,
    values: Parameters<D>,
}

impl<D: Device> Average<D> {
    /// Moves the average towards `parameters`, which `steps` steps have led to.
    fn update(&mut self, parameters: &Parameters<D>, steps: u64) -> Result<(), NnError> {
        let early = (1.0 + steps as f64) / (10.0 + steps as f64);
        let share = 1.0 - self.decay.min(early);
        let device = parameters.device();
        for (average, p) in self.values.iter_mut().zip(parameters.iter()) {
            device
                .average_update(&mut average.value, &p.value, share as f32)
                .map_err(NnError::kernel("average of the weights"))?;
        }
        Ok(())
    }
}

impl<D: Device> Session<D> {
    fn new(device: D, spec: &TrainerSpec) -> Result<Self, NnError> {
        let network = Network::new(device, &spec.network, spec.input, spec.outputs, spec.seed)?;
        let optimiser = Optimiser::new(&spec.optimiser, network.parameters())?;
        Ok(Session { network, optimiser, average: None })
    }

    fn step(
        &mut self,
        inputs: &[f32],
        targets: &[f32],
        mask: Option<&[f32]>,
        rate: f64,
        spec: &TrainerSpec,
    ) -> Result<StepReport, NnError> {
        let step = self.optimiser.steps();
        let samples = inputs.len() / spec.input.len();
        let device = self.network.parameters().device().clone();
        let table = |what: &str, values: &[f32]| {
            if values.len() != samples * spec.outputs {
                return Err(NnError::shape(what, &[samples, spec.outputs], &[values.len()]));
            }
            device
                .try_tensor_from_vec(values.to_vec(), (samples, spec.outputs))
                .map_err(NnError::kernel("targets"))
        };
        let targets = table("targets", targets)?;
        let mask = mask.map(|mask| table("mask", mask)).transpose()?;
        let mut pass = Pass::train(step);
        let output = self.network.forward::<OwnedTape<f32, D>>(inputs, &mut pass)?;
        let correct = count_correct(&output.as_vec(), &targets.as_vec(), spec.outputs);
        let loss = match mask {
            None => try_loss(output, &targets, spec.loss)?,
            Some(mask) => try_masked_loss(output, &targets, &mask)?,
        };
        let value = loss.as_vec()[0];
        if !value.is_finite() {
            return Err(NnError::NonFiniteLoss { loss: value, step });
        }
        let mut gradients = loss.try_backward().map_err(NnError::kernel("backward pass"))?;
        let norm = Optimiser::gradient_norm(self.network.parameters(), &mut gradients)?;
        if !norm.is_finite() {
            return Err(NnError::NonFiniteGradient { norm, step });
        }
        let clip = spec.clip_norm.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        self.optimiser.step(self.network.parameters_mut(), &mut gradients, rate, clip)?;
        self.network.finish(pass);
        if let Some(average) = &mut self.average {
            average.update(self.network.parameters(), self.optimiser.steps())?;
        }
        Ok(StepReport { loss: value, grad_norm: norm, correct })
    }

    fn save(&mut self, archive: &mut Archive) {
        archive.put_parameters("network.", self.network.parameters());
        for (name, shape, value) in self.optimiser.state(self.network.parameters()) {
            archive.put(format!("optimiser.{name}"), shape, value);
        }
        if let Some(average) = &self.average {
            archive.put_parameters("average.", &average.values);
        }
    }

    fn load(&mut self, archive: &mut Archive) -> Result<(), NnError> {
        let (weights, state) = (archive.take_prefix("network."), archive.take_prefix("optimiser."));
        load_parameters(self.network.parameters_mut(), weights)?;
        if let Some(average) = &mut self.average {
            load_parameters(&mut average.values, archive.take_prefix("average."))?;
        }
        let parameters = self.network.parameters();
        let device = parameters.device().clone();
        let targets =
            self.optimiser.state(parameters).map(|(name, shape, value)| (name, shape.to_vec(), value));
        load_strict(&device, targets, state)
    }
}

/// How many rows of (n, outputs) have their largest logit where their largest target is.
fn count_correct(logits: &[f32], targets: &[f32], outputs: usize) -> usize {
    let largest = |row: &[f32]| {
        let best = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
        (1..row.len()).fold(0, best)
    };
    let rows = logits.chunks_exact(outputs).zip(targets.chunks_exact(outputs));
    rows.filter(|(logits, targets)| largest(logits) == largest(targets)).count()
}

impl Trainer {
    /// A new training; initial values come from the seed.
    ///
    /// Fails where a parameter is out of range, the input is too small for the network, or the device cannot be used.
    pub fn new(spec: TrainerSpec) -> Result<Trainer, NnError> {
        spec.device.check()?;
        cpu::heap::keep_large_buffers();
        spec.loss.check()?;
        if let Some(norm) = spec.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return Err(NnError::range("clip_norm", norm, "positive"));
        }
        let session = Session::new(Cpu::default(), &spec)?;
        Ok(Trainer { spec, tuning: Tuning::default(), session })
    }

    /// The same training, which from here on also keeps a moving average of all weights and running statistics.
    ///
    /// After step `t` the average moves to `d average + (1 - d) weights` with `d = min(decay, (1 + t) / (10 + t))`, so that
    /// the initial values are soon forgotten. Training itself does not change; see
    /// [`save_average`](Trainer::save_average). Checkpoints hold the average. Fails where `decay` is outside [0, 1).
    /// Source: Tarvainen and Valpola 2017, with the warm-up of TensorFlow's `ExponentialMovingAverage`.
    pub fn with_average(mut self, decay: f64) -> Result<Trainer, NnError> {
        if !(0.0..1.0).contains(&decay) {
            return Err(NnError::range("decay", decay, "in [0, 1)"));
        }
        self.session.average = Some(Average { decay, values: self.session.network.parameters().clone() });
        Ok(self)
    }

    /// The same training, before its first step, of some parameters only or at different rates.
    ///
    /// What is frozen has no state in the optimiser, counts for no norm of gradients and is not decayed. Checkpoints hold
    /// the tuning. Fails where a prefix fits no parameter, a factor is out of range, or nothing is left to train.
    pub fn with_tuning(mut self, tuning: &Tuning) -> Result<Trainer, NnError> {
        let classifier = self.spec.network.classifier();
        tuning.apply(self.session.network.parameters_mut(), classifier)?;
        self.session.optimiser = Optimiser::new(&self.spec.optimiser, self.session.network.parameters())?;
        self.tuning = tuning.clone();
        Ok(self)
    }

    /// What the training was made from.
    pub fn spec(&self) -> &TrainerSpec {
        &self.spec
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> usize {
        self.session.network.parameters().count()
    }

    /// Optimiser steps done.
    pub fn steps(&self) -> u64 {
        self.session.optimiser.steps()
    }

    /// One step on a batch: `inputs` (n, channels, frames, bands), `targets` (n, outputs), both flat.
    ///
    /// On failure, as for a non-finite loss, nothing has changed.
    pub fn step(
        &mut self,
        inputs: &[f32],
        targets: &[f32],
        learning_rate: f64,
    ) -> Result<StepReport, NnError> {
        self.session.step(inputs, targets, None, learning_rate, &self.spec)
    }

    /// As [`step`](Trainer::step), with the negative terms of the loss weighted by `mask` (n, outputs): 0 where a label may
    /// be missing, else 1; see [`try_masked_loss`].
    ///
    /// Fails where the loss is not [`LossSpec::Bce`].
    pub fn step_masked(
        &mut self,
        inputs: &[f32],
        targets: &[f32],
        mask: &[f32],
        learning_rate: f64,
    ) -> Result<StepReport, NnError> {
        if self.spec.loss != LossSpec::Bce {
            return Err(NnError::range(
                "loss",
                format!("{:?}", self.spec.loss),
                "`bce` where there is a mask",
            ));
        }
        self.session.step(inputs, targets, Some(mask), learning_rate, &self.spec)
    }

    /// Logits (n, outputs) of `inputs` (n, channels, frames, bands) with the running statistics.
    pub fn predict(&self, inputs: &[f32]) -> Result<Vec<f32>, NnError> {
        logits(&self.session.network, inputs)
    }

    /// The weights alone as safetensors, under the names PyTorch would use, with `meta` beside the network's description.
    /// Read by [`Model::load`](crate::Model::load).
    pub fn save_weights(&self, meta: &Value) -> Result<Vec<u8>, NnError> {
        self.save(self.session.network.parameters(), meta)
    }

    /// As [`save_weights`](Trainer::save_weights), with the moving average in place of the weights; none without
    /// [`with_average`](Trainer::with_average).
    pub fn save_average(&self, meta: &Value) -> Result<Option<Vec<u8>>, NnError> {
        let average = self.session.average.as_ref();
        average.map(|average| self.save(&average.values, meta)).transpose()
    }

    fn save(&self, parameters: &Parameters<Cpu>, meta: &Value) -> Result<Vec<u8>, NnError> {
        let mut archive =
            Archive { metadata: network_json(&self.session.network, meta), ..Archive::default() };
        archive.put_parameters("", parameters);
        archive.to_bytes()
    }

    /// Replaces the weights by those of `bytes` (safetensors), strictly; the optimiser's state stays.
    pub fn load_weights(&mut self, bytes: &[u8]) -> Result<(), NnError> {
        let archive = Archive::from_bytes(bytes)?;
        load_parameters(self.session.network.parameters_mut(), archive.tensors)
    }

    /// Replaces the weights of the encoder by those of `bytes` (safetensors), strictly; the classifier and the optimiser's
    /// state stay. A classifier in `bytes` may have any shape.
    pub fn load_encoder(&mut self, bytes: &[u8]) -> Result<(), NnError> {
        let mut archive = Archive::from_bytes(bytes)?;
        let classifier = format!("{}.", self.spec.network.classifier());
        archive.take_prefix(&classifier);
        let parameters = self.session.network.parameters_mut();
        let device = parameters.device().clone();
        let encoder = parameters.iter_mut().filter(|p| !p.name.starts_with(&classifier));
        let targets = encoder.map(|p| (p.name.clone(), p.shape.clone(), &mut p.value));
        load_strict(&device, targets, archive.tensors)
    }

    /// The whole state (weights, optimiser, step counter) with the caller's `state`, to go on bit-exactly.
    pub fn checkpoint(&mut self, state: &Value) -> Result<Vec<u8>, NnError> {
        let mut metadata = json!({
            "format": 1,
            "spec": self.spec,
            "state": state,
            "steps": self.steps(),
        });
        if let Some(average) = &self.session.average {
            metadata["average"] = json!(average.decay.to_bits());
        }
        if self.tuning != Tuning::default() {
            // Bits: a number that went through decimals may come back as its neighbour.
            let rates = self.tuning.rates.iter().map(|(prefix, rate)| (prefix, rate.to_bits()));
            metadata["tuning"] = json!((&self.tuning.freeze, rates.collect::<BTreeMap<_, _>>()));
        }
        let mut archive = Archive { metadata, ..Archive::default() };
        self.session.save(&mut archive);
        archive.to_bytes()
    }

    /// Goes on from [`checkpoint`](Trainer::checkpoint); also gives the caller's state back.
    pub fn resume(bytes: &[u8]) -> Result<(Trainer, Value), NnError> {
        #[derive(Deserialize)]
        struct Metadata {
            format: u32,
            spec: TrainerSpec,
            state: Value,
            steps: u64,
            /// Bits of the decay.
            average: Option<u64>,
            /// What is frozen, and bits of the factors of rates.
            tuning: Option<(Freeze, BTreeMap<String, u64>)>,
        }
        let mut archive = Archive::from_bytes(bytes)?;
        let metadata = std::mem::take(&mut archive.metadata);
        let m: Metadata = serde_json::from_value(metadata)
            .map_err(|e| NnError::Format { reason: format!("no checkpoint of a training: {e}") })?;
        if m.format != 1 {
            return Err(NnError::Format {
                reason: format!("checkpoint format {}, this version reads 1", m.format),
            });
        }
        let mut trainer = Trainer::new(m.spec)?;
        if let Some((freeze, rates)) = m.tuning {
            let rates = rates.into_iter().map(|(prefix, bits)| (prefix, f64::from_bits(bits))).collect();
            trainer = trainer.with_tuning(&Tuning { freeze, rates })?;
        }
        if let Some(decay) = m.average {
            trainer = trainer.with_average(f64::from_bits(decay))?;
        }
        trainer.session.load(&mut archive)?;
        if let Some(name) = archive.tensors.keys().next() {
            return Err(NnError::Format { reason: format!("tensor `{name}` belongs to nothing") });
        }
        trainer.session.optimiser.set_steps(m.steps);
        Ok((trainer, m.state))
    }
}
