//! Training on plain slices.

use std::collections::BTreeMap;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::tensor::{Cpu, OwnedTape, PutTape, SplitTape};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Device, DeviceKind, NnError,
    checkpoint::{Archive, load_parameters, load_strict},
    cpu,
    device::{on_device, place},
    learner::{FORMAT, Learner, checkpoint_metadata, nothing_left},
    memory,
    model::logits,
    net::{InputShape, Network, NetworkSpec, PROJECTION, Pass},
    ops::{LossSpec, try_loss, try_masked_loss, try_selective_loss},
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
/// On a GPU they give the same bits on the same model of GPU with the same driver and libraries; the host waits for it once a
/// step.
#[derive(Debug)]
pub struct Trainer {
    spec: TrainerSpec,
    tuning: Tuning,
    session: AnySession,
}

/// A training on the device that the user has chosen.
#[derive(Debug)]
enum AnySession {
    Cpu(Session<Cpu>),
    #[cfg(feature = "cuda")]
    Cuda(crate::cuda::Shared<Session<Cuda>>, bool),
}

/// A training on the device `D`.
#[derive(Debug)]
struct Session<D: Device> {
    learner: Learner<D>,
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
        Ok(Session { learner: Learner::new(network, &spec.optimiser)?, average: None })
    }

    fn step(
        &mut self,
        inputs: &[f32],
        targets: &[f32],
        marks: Option<&[f32]>,
        rate: f64,
        spec: &TrainerSpec,
    ) -> Result<StepReport, NnError> {
        let step = self.learner.optimiser.steps();
        let samples = inputs.len() / spec.input.len();
        let device = self.learner.network.parameters().device().clone();
        let table = |what: &str, values: &[f32], width: usize| {
            if values.len() != samples * width {
                return Err(NnError::shape(what, &[samples, width], &[values.len()]));
            }
            device.try_tensor_from_vec(values.to_vec(), (samples, width)).map_err(NnError::kernel("targets"))
        };
        let targets = table("targets", targets, spec.outputs)?;
        let (what, width) = if spec.loss == LossSpec::Bce { ("mask", spec.outputs) } else { ("clean", 1) };
        let marks = marks.map(|marks| table(what, marks, width)).transpose()?;
        let mut pass = Pass::train(step);
        let output = self.learner.network.forward::<OwnedTape<f32, D>>(inputs, &mut pass)?;
        let (logits, tape) = output.split_tape();
        let output = logits.clone().put_tape(tape);
        let loss = match marks {
            None => try_loss(output, &targets, spec.loss)?,
            Some(mask) if spec.loss == LossSpec::Bce => try_masked_loss(output, &targets, &mask)?,
            Some(clean) => try_selective_loss(output, &targets, &clean, spec.loss)?,
        };
        let found = self.learner.update(loss, (&logits, &targets), pass, (rate, spec.clip_norm))?;
        if let Some(average) = &mut self.average {
            average.update(self.learner.network.parameters(), self.learner.optimiser.steps())?;
        }
        Ok(StepReport { loss: found.loss, grad_norm: found.norm, correct: found.correct })
    }

    fn save(&mut self, archive: &mut Archive) {
        self.learner.save(archive);
        if let Some(average) = &self.average {
            archive.put_parameters("average.", &average.values);
        }
    }

    fn load(&mut self, archive: &mut Archive, steps: u64) -> Result<(), NnError> {
        if let Some(average) = &mut self.average {
            load_parameters(&mut average.values, archive.take_prefix("average."))?;
        }
        self.learner.load(archive, steps)
    }
}

impl Trainer {
    /// A new training; initial values come from the seed.
    ///
    /// Fails where a parameter is out of range, the input is too small for the network, or the device cannot be used.
    pub fn new(spec: TrainerSpec) -> Result<Trainer, NnError> {
        cpu::heap::keep_large_buffers();
        spec.loss.check()?;
        if let Some(norm) = spec.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return Err(NnError::range("clip_norm", norm, "positive"));
        }
        let session: Result<_, NnError> =
            place!(AnySession, spec.device, |device| Session::new(device, &spec));
        let session = session?;
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
        on_device!(AnySession, &mut self.session, session => {
            let values = session.learner.network.parameters().try_copy()?;
            session.average = Some(Average { decay, values });
            Ok(())
        })?;
        Ok(self)
    }

    /// The same training, before its first step, of some parameters only or at different rates.
    ///
    /// What is frozen has no state in the optimiser, counts for no norm of gradients and is not decayed. Checkpoints hold
    /// the tuning. Fails where a prefix fits no parameter, a factor is out of range, or nothing is left to train.
    pub fn with_tuning(mut self, tuning: &Tuning) -> Result<Trainer, NnError> {
        let classifier = self.spec.network.classifier();
        on_device!(AnySession, &mut self.session, session => {
            tuning.apply(session.learner.network.parameters_mut(), classifier)?;
            session.learner.optimiser = Optimiser::new(&self.spec.optimiser, session.learner.network.parameters())?;
            Ok::<(), NnError>(())
        })?;
        self.tuning = tuning.clone();
        Ok(self)
    }

    /// What the training was made from.
    pub fn spec(&self) -> &TrainerSpec {
        &self.spec
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> usize {
        on_device!(AnySession, &self.session, session => session.learner.network.parameters().count())
    }

    /// About how many bytes of main memory a step on `samples` samples needs: weights, gradients, optimiser, and what the
    /// forward pass keeps for the backward pass, as one sample shows. 0 on a GPU, which has its own.
    pub fn memory(&self, samples: usize) -> Result<u64, NnError> {
        let learner = match &self.session {
            AnySession::Cpu(session) => &session.learner,
            #[cfg(feature = "cuda")]
            AnySession::Cuda(..) => return Ok(0),
        };
        let sample = vec![0.0; self.spec.input.len()];
        let (output, kept) =
            cpu::counted(|| learner.network.forward::<OwnedTape<f32, Cpu>>(&sample, &mut Pass::train(0)));
        drop(output?);
        Ok(learner.memory(samples as u64 * kept))
    }

    /// Fails where a step on `samples` samples would need more memory than there is now; a GPU tells by itself, in the step.
    pub fn check_memory(&self, samples: usize) -> Result<(), NnError> {
        memory::check(|| format!("a step on a batch of {samples}"), self.memory(samples)?)
    }

    /// Optimiser steps done.
    pub fn steps(&self) -> u64 {
        on_device!(AnySession, &self.session, session => session.learner.optimiser.steps())
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
        let spec = &self.spec;
        on_device!(AnySession, &mut self.session, session => {
            session.step(inputs, targets, None, learning_rate, spec)
        })
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
        let spec = &self.spec;
        on_device!(AnySession, &mut self.session, session => {
            session.step(inputs, targets, Some(mask), learning_rate, spec)
        })
    }

    /// As [`step`](Trainer::step), with cross entropy for the samples of which `clean` (n) is 1, and the loss for those of which
    /// it is 0; see [`try_selective_loss`].
    ///
    /// Fails where the loss is [`LossSpec::Bce`].
    pub fn step_selective(
        &mut self,
        inputs: &[f32],
        targets: &[f32],
        clean: &[f32],
        learning_rate: f64,
    ) -> Result<StepReport, NnError> {
        if self.spec.loss == LossSpec::Bce {
            return Err(NnError::range("loss", "`bce`", "one of a class a sample where some are clean"));
        }
        let spec = &self.spec;
        on_device!(AnySession, &mut self.session, session => {
            session.step(inputs, targets, Some(clean), learning_rate, spec)
        })
    }

    /// Another loss from the next step on; nothing else changes.
    ///
    /// Fails where a parameter of `loss` is out of range.
    pub fn set_loss(&mut self, loss: LossSpec) -> Result<(), NnError> {
        loss.check()?;
        self.spec.loss = loss;
        Ok(())
    }

    /// Logits (n, outputs) of `inputs` (n, channels, frames, bands) with the running statistics.
    pub fn predict(&self, inputs: &[f32]) -> Result<Vec<f32>, NnError> {
        on_device!(AnySession, &self.session, session => logits(&session.learner.network, inputs))
    }

    /// The weights alone as safetensors, under the names PyTorch would use, with `meta` beside the network's description.
    /// Read by [`Model::load`](crate::Model::load).
    pub fn save_weights(&self, meta: &Value) -> Result<Vec<u8>, NnError> {
        on_device!(AnySession, &self.session, session => {
            session.learner.weights(session.learner.network.parameters(), None, meta)
        })
    }

    /// As [`save_weights`](Trainer::save_weights), with the moving average in place of the weights; none without
    /// [`with_average`](Trainer::with_average).
    pub fn save_average(&self, meta: &Value) -> Result<Option<Vec<u8>>, NnError> {
        on_device!(AnySession, &self.session, session => {
            let average = session.average.as_ref();
            average.map(|average| session.learner.weights(&average.values, None, meta)).transpose()
        })
    }

    /// Replaces the weights by those of `bytes` (safetensors), strictly; the optimiser's state stays.
    pub fn load_weights(&mut self, bytes: &[u8]) -> Result<(), NnError> {
        let archive = Archive::from_bytes(bytes)?;
        on_device!(AnySession, &mut self.session, session => {
            load_parameters(session.learner.network.parameters_mut(), archive.tensors)
        })
    }

    /// Replaces the weights of the encoder by those of `bytes` (safetensors), strictly; the classifier and the optimiser's
    /// state stay. A classifier or projection in `bytes` may have any shape.
    pub fn load_encoder(&mut self, bytes: &[u8]) -> Result<(), NnError> {
        let mut archive = Archive::from_bytes(bytes)?;
        let classifier = format!("{}.", self.spec.network.classifier());
        archive.take_prefix(&classifier);
        archive.take_prefix(&format!("{PROJECTION}."));
        on_device!(AnySession, &mut self.session, session => {
            let parameters = session.learner.network.parameters_mut();
            let device = parameters.device().clone();
            let encoder = parameters.iter_mut().filter(|p| !p.name.starts_with(&classifier));
            let targets = encoder.map(|p| (p.name.clone(), p.shape.clone(), &mut p.value));
            load_strict(&device, targets, archive.tensors)
        })
    }

    /// The whole state (weights, optimiser, step counter) with the caller's `state`, to go on bit-exactly.
    pub fn checkpoint(&mut self, state: &Value) -> Result<Vec<u8>, NnError> {
        let mut metadata = json!({
            "format": FORMAT,
            "spec": self.spec,
            "state": state,
            "steps": self.steps(),
        });
        if self.tuning != Tuning::default() {
            // Bits: a number that went through decimals may come back as its neighbour.
            let rates = self.tuning.rates.iter().map(|(prefix, rate)| (prefix, rate.to_bits()));
            metadata["tuning"] = json!((&self.tuning.freeze, rates.collect::<BTreeMap<_, _>>()));
            let decays = self.tuning.decays.iter().map(|(prefix, decay)| (prefix, decay.to_bits()));
            metadata["decays"] = json!(decays.collect::<BTreeMap<_, _>>());
        }
        let mut archive = Archive::default();
        on_device!(AnySession, &mut self.session, session => {
            if let Some(average) = &session.average {
                metadata["average"] = json!(average.decay.to_bits());
            }
            session.save(&mut archive);
        });
        archive.metadata = metadata;
        archive.to_bytes()
    }

    /// Goes on from [`checkpoint`](Trainer::checkpoint); also gives the caller's state back.
    pub fn resume(bytes: &[u8]) -> Result<(Trainer, Value), NnError> {
        #[derive(Deserialize)]
        struct Metadata {
            spec: TrainerSpec,
            state: Value,
            steps: u64,
            /// Bits of the decay.
            average: Option<u64>,
            /// What is frozen, and bits of the factors of rates.
            tuning: Option<(Freeze, BTreeMap<String, u64>)>,
            /// Bits of the weight decays of some.
            #[serde(default)]
            decays: BTreeMap<String, u64>,
        }
        let mut archive = Archive::from_bytes(bytes)?;
        let m: Metadata = checkpoint_metadata(&mut archive)?;
        let mut trainer = Trainer::new(m.spec)?;
        if let Some((freeze, rates)) = m.tuning {
            let numbers = |bits: BTreeMap<String, u64>| {
                bits.into_iter().map(|(prefix, bits)| (prefix, f64::from_bits(bits))).collect()
            };
            let (rates, decays) = (numbers(rates), numbers(m.decays));
            trainer = trainer.with_tuning(&Tuning { freeze, rates, decays })?;
        }
        if let Some(decay) = m.average {
            trainer = trainer.with_average(f64::from_bits(decay))?;
        }
        on_device!(AnySession, &mut trainer.session, session => session.load(&mut archive, m.steps))?;
        nothing_left(&archive)?;
        Ok((trainer, m.state))
    }
}
