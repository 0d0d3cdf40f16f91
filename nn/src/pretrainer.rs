//! Training of encoders without labels, on plain slices.

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::tensor::{Cpu, NoneTape, OwnedTape, PutTape as _, SplitTape as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checkpoint::Archive;
use crate::device::{on_device, place};
use crate::learner::{FORMAT, Learner, checkpoint_metadata, nothing_left};
use crate::net::{Coincidence, HeadSpec, InputShape, Network, NetworkSpec, Pass};
use crate::objective::{Items, triplets};
pub use crate::objective::{MethodSpec, Negatives, Objective};
use crate::ops::{
    MemoryBank, NceSamples, try_bank_nce, try_bank_softmax, try_coincidence, try_concat_channels, try_gather,
    try_linear, try_nt_xent, try_reshape, try_triplet_hinge,
};
use crate::optimiser::OptimiserSpec;
use crate::tensor::{InputGrad, Scalar, Tensor2};
use crate::{Device, DeviceKind, NnError, cpu, memory, model};
use sndpipe_random::Stream;

/// The name of the memory in a checkpoint.
const BANK: &str = "bank";

/// Everything that a training without labels needs beside data and learning rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainerSpec {
    /// The network, of which the encoder is used.
    pub network: NetworkSpec,
    /// Shape of a sample.
    pub input: InputShape,
    /// What embeddings are made by: [`HeadSpec::Unit`] where no objective reads them.
    pub head: HeadSpec,
    /// Numbers of an embedding.
    pub outputs: usize,
    /// What is learnt: at least one, each method once.
    pub objectives: Vec<Objective>,
    /// Items of the data set, each with its place in the memory of [`MethodSpec::Instance`].
    pub items: usize,
    /// The optimiser.
    pub optimiser: OptimiserSpec,
    /// Gradients with a larger global norm are scaled down to it.
    pub clip_norm: Option<f64>,
    /// Where to train.
    pub device: DeviceKind,
    /// Seed of the initial values, of dropout and of negatives.
    pub seed: u64,
}

impl PretrainerSpec {
    /// Views of an item in a batch: the most that an objective needs.
    pub fn views(&self) -> usize {
        self.objectives.iter().map(|objective| objective.method.views()).max().unwrap_or(1)
    }

    fn check(&self) -> Result<(), NnError> {
        if self.objectives.is_empty() {
            return Err(NnError::range("objectives", "an empty list", "at least one"));
        }
        for (i, objective) in self.objectives.iter().enumerate() {
            objective.method.check()?;
            let (name, weight) = (objective.method.name(), objective.weight);
            if !(weight > 0.0 && weight.is_finite()) {
                return Err(NnError::range("weight", weight, "positive"));
            }
            if self.objectives[..i].iter().any(|other| other.method.name() == name) {
                return Err(NnError::range("objectives", format!("`{name}` twice"), "each method once"));
            }
        }
        let unread = !self.objectives.iter().any(|objective| objective.method.reads_head());
        if self.head.is_classifier() || (unread && self.head != HeadSpec::Unit) {
            let range =
                if unread { "`unit` where no objective reads embeddings" } else { "`projection` or `unit`" };
            return Err(NnError::range("head", format!("{:?}", self.head), range));
        }
        match self.clip_norm {
            Some(norm) if !(norm > 0.0 && norm.is_finite()) => {
                Err(NnError::range("clip_norm", norm, "positive"))
            }
            _ => Ok(()),
        }
    }
}

/// What a step reports.
#[derive(Debug, Clone, PartialEq)]
pub struct PretrainReport {
    /// The weighted sum of losses of the batch, before the step.
    pub loss: f32,
    /// The loss of each objective, in their order.
    pub losses: Vec<f32>,
    /// The global norm of the gradients, before clipping.
    pub grad_norm: f64,
}

/// An encoder in training without labels: parameters, heads, memory, optimiser and step counter.
///
/// What [`Trainer`](crate::Trainer) says of bits and threads holds here, too.
#[derive(Debug)]
pub struct Pretrainer {
    spec: PretrainerSpec,
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
    coincidence: Option<Coincidence>,
    bank: Option<MemoryBank<D>>,
    /// The constant of noise-contrastive estimation, from the first batch on.
    normaliser: Option<f64>,
}

/// A loss on the tape, and what becomes of the memory if the step counts.
struct Compared<D: Device> {
    loss: Scalar<D, OwnedTape<f32, D>>,
    remembered: Option<(Tensor2<D>, Option<f64>)>,
}

impl<D: Device> Session<D> {
    fn new(device: D, spec: &PretrainerSpec) -> Result<Self, NnError> {
        let sizes = (spec.input, spec.outputs);
        let mut network = Network::with_head(device.clone(), &spec.network, &spec.head, sizes, spec.seed)?;
        let (features, width) = (network.features(), network.outputs());
        let (mut coincidence, mut bank) = (None, None);
        for objective in &spec.objectives {
            match objective.method {
                MethodSpec::Coincidence { hidden } => {
                    coincidence = Some(Coincidence::new(network.parameters_mut(), features, hidden)?);
                }
                MethodSpec::Instance { .. } => {
                    let bytes = (spec.items * width * size_of::<f32>()) as u64;
                    memory::check(|| format!("the memory of {} items", spec.items), bytes)?;
                    bank = Some(MemoryBank::new(device.clone(), spec.items, width, spec.seed)?);
                }
                _ => {}
            }
        }
        let learner = Learner::new(network, &spec.optimiser)?;
        Ok(Session { learner, coincidence, bank, normaliser: None })
    }

    fn step(
        &mut self,
        inputs: &[f32],
        items: Items<'_>,
        rate: f64,
        spec: &PretrainerSpec,
    ) -> Result<PretrainReport, NnError> {
        let step = self.learner.optimiser.steps();
        let network = &self.learner.network;
        let device = network.parameters().device().clone();
        let mut pass = Pass::train(step);
        let (h, mut tape) = network.embed::<OwnedTape<f32, D>>(inputs, &mut pass)?.split_tape();
        let readers = spec.objectives.iter().filter(|objective| objective.method.reads_head()).count();
        let mut losses = vec![None; spec.objectives.len()];
        for (objective, loss) in spec.objectives.iter().zip(&mut losses) {
            if let (MethodSpec::Coincidence { .. }, Some(head)) = (objective.method, &self.coincidence) {
                // Whoever reads features last in the forward pass sets their gradient.
                let input_grad = if readers > 0 { InputGrad::Add } else { InputGrad::Set };
                let logits = head.forward(network.parameters(), h.clone().put_tape(tape), input_grad)?;
                let (found, next) = try_coincidence(logits, items.ids.len())?.split_tape();
                (*loss, tape) = (Some(found), next);
            }
        }
        let mut remembered = None;
        if readers > 0 {
            let (z, next) = network.apply_head(h.put_tape(tape), &mut pass)?.split_tape();
            tape = next;
            let mut left = readers;
            for (objective, loss) in spec.objectives.iter().zip(&mut losses) {
                if !objective.method.reads_head() {
                    continue;
                }
                left -= 1;
                let rows: Vec<usize> = (0..objective.method.views() * items.ids.len()).collect();
                let input_grad = if left == 0 { InputGrad::Set } else { InputGrad::Add };
                let own = try_gather(z.clone().put_tape(tape), &rows, input_grad)?;
                let compared = self.compare(objective.method, own, items, spec)?;
                remembered = compared.remembered.or(remembered);
                let (found, next) = compared.loss.split_tape();
                (*loss, tape) = (Some(found), next);
            }
        }
        let losses: Vec<Scalar<D>> = losses.into_iter().flatten().collect();
        let loss = weighted_sum(&losses, &spec.objectives, tape)?;
        let nothing = device.try_tensor_from_vec(vec![0.0], (1, 1)).map_err(NnError::kernel("targets"))?;
        let limits = (rate, spec.clip_norm);
        let found = self.learner.update(loss, (&nothing, &nothing), pass, limits)?;
        if let (Some((v, normaliser)), Some(bank)) = (remembered, &mut self.bank) {
            for objective in &spec.objectives {
                if let MethodSpec::Instance { momentum, .. } = objective.method {
                    bank.update(&v, items.ids, momentum)?;
                }
            }
            self.normaliser = normaliser;
        }
        let losses = losses.iter().map(|loss| loss.as_vec()[0]).collect();
        Ok(PretrainReport { loss: found.loss, losses, grad_norm: found.norm })
    }

    /// The loss of a method that reads embeddings: `z` has the first views and, where the method needs them, the second ones.
    fn compare(
        &self,
        method: MethodSpec,
        z: Tensor2<D, OwnedTape<f32, D>>,
        items: Items<'_>,
        spec: &PretrainerSpec,
    ) -> Result<Compared<D>, NnError> {
        let ids = items.ids;
        let step = self.learner.optimiser.steps();
        let (z, tape) = z.split_tape();
        let traced = z.clone().put_tape(tape);
        let plain = |loss| Ok(Compared { loss, remembered: None });
        match (method, &self.bank) {
            (MethodSpec::Contrastive { temperature }, _) => plain(try_nt_xent(traced, temperature)?),
            (MethodSpec::Triplet { margin, negatives }, _) => {
                let width = self.learner.network.outputs();
                let mut rng = Stream::new(spec.seed, "negatives of triplets").at(0, step);
                let all = triplets(&z.as_vec(), width, items, negatives, &mut rng);
                let sum = try_triplet_hinge(traced, &all, margin)?;
                plain(scaled(sum, 1.0 / all.len().max(1) as f64)?)
            }
            (MethodSpec::Instance { temperature, negatives: 0, .. }, Some(bank)) => {
                let loss = try_bank_softmax(traced, bank, ids, temperature)?;
                Ok(Compared { loss, remembered: Some((z, None)) })
            }
            (MethodSpec::Instance { temperature, negatives, .. }, Some(bank)) => {
                let mut rng = Stream::new(spec.seed, "negatives from memory").at(0, step);
                let drawn: Vec<usize> = (0..ids.len() * negatives).map(|_| rng.index(spec.items)).collect();
                let normaliser = match self.normaliser {
                    Some(known) => known,
                    None => {
                        let each = ids.iter().zip(drawn.chunks_exact(negatives));
                        let entries: Vec<usize> = each
                            .flat_map(|(item, drawn)| std::iter::once(item).chain(drawn).copied())
                            .collect();
                        bank.normaliser(&z, &entries, temperature)?
                    }
                };
                if !normaliser.is_finite() {
                    return Err(NnError::NonFiniteLoss { loss: normaliser as f32, step });
                }
                let samples = NceSamples { positives: ids, negatives: &drawn };
                let loss = try_bank_nce(traced, bank, &samples, temperature, normaliser)?;
                Ok(Compared { loss, remembered: Some((z, Some(normaliser))) })
            }
            (MethodSpec::Instance { .. } | MethodSpec::Coincidence { .. }, _) => {
                Err(NnError::range("method", method.name(), "one that compares embeddings"))
            }
        }
    }

    fn save(&mut self, archive: &mut Archive) {
        self.learner.save(archive);
        if let Some(bank) = &self.bank {
            let shape = vec![bank.entries(), bank.width()];
            archive.tensors.insert(BANK.to_owned(), (shape, bank.values()));
        }
    }

    fn load(&mut self, archive: &mut Archive, m: &Metadata) -> Result<(), NnError> {
        if let Some(bank) = &mut self.bank {
            let (shape, values) = archive
                .tensors
                .remove(BANK)
                .ok_or_else(|| NnError::Format { reason: format!("tensor `{BANK}` is missing") })?;
            let expected = [bank.entries(), bank.width()];
            if shape != expected {
                return Err(NnError::shape("the memory of a checkpoint", &expected, &shape));
            }
            let device = self.learner.network.parameters().device().clone();
            *bank = MemoryBank::from_values(device, values, expected[1])?;
        }
        self.normaliser = m.normaliser.map(f64::from_bits);
        self.learner.load(archive, m.steps)
    }
}

/// `factor` times a loss.
fn scaled<D: Device>(
    loss: Scalar<D, OwnedTape<f32, D>>,
    factor: f64,
) -> Result<Scalar<D, OwnedTape<f32, D>>, NnError> {
    let device = loss.device().clone();
    let number = |value: f64| {
        device.try_tensor_from_vec(vec![value as f32], (1,)).map_err(NnError::kernel("weight of a loss"))
    };
    let product = try_linear(try_reshape(loss, (1, 1))?, &number(factor)?, &number(0.0)?, InputGrad::Set)?;
    try_reshape(product, ())
}

/// The sum of losses, each times its weight: their product with a row of weights. One loss of weight 1 is itself.
fn weighted_sum<D: Device>(
    losses: &[Scalar<D>],
    objectives: &[Objective],
    tape: OwnedTape<f32, D>,
) -> Result<Scalar<D, OwnedTape<f32, D>>, NnError> {
    let (Some((first, rest)), weights) = (losses.split_first(), objectives.iter().map(|o| o.weight as f32))
    else {
        return Err(NnError::range("objectives", "an empty list", "at least one"));
    };
    if let ([], [Objective { weight: 1.0, .. }]) = (rest, objectives) {
        return Ok(first.clone().put_tape(tape));
    }
    let device = first.device().clone();
    let failed = || NnError::kernel("sum of losses");
    let column = |loss: &Scalar<D>| try_reshape::<_, _, D, NoneTape>(loss.clone(), (1, 1));
    let rest: Vec<Tensor2<D>> = rest.iter().map(column).collect::<Result<_, _>>()?;
    let rest: Vec<_> = rest.iter().map(|loss| (loss, InputGrad::Set)).collect();
    let first = try_reshape(first.clone().put_tape(tape), (1, 1))?;
    let row = try_concat_channels((first, InputGrad::Set), &rest)?;
    let weight = device.try_tensor_from_vec(weights.collect(), (losses.len(),)).map_err(failed())?;
    let bias = device.try_tensor_from_vec(vec![0.0], (1,)).map_err(failed())?;
    try_reshape(try_linear(row, &weight, &bias, InputGrad::Set)?, ())
}

#[derive(Deserialize)]
struct Metadata {
    spec: PretrainerSpec,
    state: Value,
    steps: u64,
    /// Bits of the constant of noise-contrastive estimation.
    normaliser: Option<u64>,
}

impl Pretrainer {
    /// A new training; initial values come from the seed.
    ///
    /// Fails where a parameter is out of range, the input is too small for the network, or the device cannot be used.
    pub fn new(spec: PretrainerSpec) -> Result<Pretrainer, NnError> {
        cpu::heap::keep_large_buffers();
        spec.check()?;
        let session: Result<_, NnError> =
            place!(AnySession, spec.device, |device| Session::new(device, &spec));
        Ok(Pretrainer { session: session?, spec })
    }

    /// What the training was made from.
    pub fn spec(&self) -> &PretrainerSpec {
        &self.spec
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> usize {
        on_device!(AnySession, &self.session, session => session.learner.network.parameters().count())
    }

    /// About how many bytes of main memory a step on `items` items needs; see [`Trainer::memory`](crate::Trainer::memory).
    pub fn memory(&self, items: usize) -> Result<u64, NnError> {
        let (learner, bank) = match &self.session {
            AnySession::Cpu(session) => (&session.learner, &session.bank),
            #[cfg(feature = "cuda")]
            AnySession::Cuda(..) => return Ok(0),
        };
        // A head with batch norm needs two samples.
        let samples = vec![0.0; 2 * self.spec.input.len()];
        let network = &learner.network;
        let (output, kept) =
            cpu::counted(|| network.forward::<OwnedTape<f32, Cpu>>(&samples, &mut Pass::train(0)));
        drop(output?);
        let (items, views, number) = (items as u64, self.spec.views() as u64, size_of::<f32>() as u64);
        let pairs = |objective: &Objective| match objective.method {
            // Both gathered layers, their sum and its gradients.
            MethodSpec::Coincidence { hidden } => 5 * items * items * hidden as u64,
            MethodSpec::Contrastive { .. } => 4 * items * items,
            MethodSpec::Instance { negatives: 0, .. } => items * self.spec.items as u64,
            MethodSpec::Instance { negatives, .. } => 4 * items * negatives as u64,
            MethodSpec::Triplet { .. } => 0,
        };
        let pairs: u64 = self.spec.objectives.iter().map(pairs).sum();
        let bank = bank.as_ref().map_or(0, |bank| (bank.entries() * bank.width()) as u64);
        Ok(learner.memory(items * views * kept / 2) + number * (pairs + bank))
    }

    /// Fails where a step on `items` items would need more memory than there is now; a GPU tells by itself, in the step.
    pub fn check_memory(&self, items: usize) -> Result<(), NnError> {
        memory::check(|| format!("a step on a batch of {items}"), self.memory(items)?)
    }

    /// Optimiser steps done.
    pub fn steps(&self) -> u64 {
        on_device!(AnySession, &self.session, session => session.learner.optimiser.steps())
    }

    /// One step on a batch of `items`, each below [`PretrainerSpec::items`]: `inputs` (views n, channels, frames, bands) has the
    /// first views of all of them, then the second ones.
    ///
    /// On failure, as for a loss that is not finite, nothing has changed.
    pub fn step(
        &mut self,
        inputs: &[f32],
        items: &[usize],
        learning_rate: f64,
    ) -> Result<PretrainReport, NnError> {
        self.step_alike(inputs, items, &|_, _| false, learning_rate)
    }

    /// As [`step`](Pretrainer::step); of two places in the batch `alike` says whether their items are of one kind: then neither is a
    /// negative of the other in [`MethodSpec::Triplet`]. Other methods do not ask.
    pub fn step_alike(
        &mut self,
        inputs: &[f32],
        items: &[usize],
        alike: &dyn Fn(usize, usize) -> bool,
        learning_rate: f64,
    ) -> Result<PretrainReport, NnError> {
        let spec = &self.spec;
        let (rows, InputShape { channels, frames, bands }) = (spec.views() * items.len(), spec.input);
        if items.is_empty() || inputs.len() != rows * spec.input.len() {
            let expected = [rows.max(1), channels, frames, bands];
            return Err(NnError::shape("views of a batch", &expected, &[inputs.len()]));
        }
        if let Some(item) = items.iter().find(|&&item| item >= spec.items) {
            return Err(NnError::range("items", item, &format!("below {}", spec.items)));
        }
        let items = Items { ids: items, alike };
        on_device!(AnySession, &mut self.session, session => session.step(inputs, items, learning_rate, spec))
    }

    /// Embeddings of `inputs` (n, channels, frames, bands) as evaluation sees them, with the running statistics: features of the encoder,
    /// or with `head` what the head makes of them; as [`Model`](crate::Model) gives them. Changes nothing.
    pub fn embed(&self, inputs: &[f32], head: bool) -> Result<Vec<f32>, NnError> {
        on_device!(AnySession, &self.session, session => {
            let network = &session.learner.network;
            if head { model::logits(network, inputs) } else { model::features(network, inputs) }
        })
    }

    /// Numbers of an embedding.
    pub fn embedding_size(&self, head: bool) -> usize {
        on_device!(AnySession, &self.session, session => {
            let network = &session.learner.network;
            if head { network.outputs() } else { network.features() }
        })
    }

    /// Encoder and projection as safetensors, with `meta` beside the network's description; read by
    /// [`Model::load`](crate::Model::load). What predicts coincidence is left out.
    pub fn save_weights(&self, meta: &Value) -> Result<Vec<u8>, NnError> {
        on_device!(AnySession, &self.session, session => {
            let parameters = session.learner.network.parameters();
            session.learner.weights(parameters, Some(Coincidence::PREFIX), meta)
        })
    }

    /// The whole state (weights, heads, memory, optimiser, step counter) with the caller's `state`, to go on bit-exactly.
    pub fn checkpoint(&mut self, state: &Value) -> Result<Vec<u8>, NnError> {
        let mut archive = Archive::default();
        let normaliser = on_device!(AnySession, &mut self.session, session => {
            session.save(&mut archive);
            session.normaliser
        });
        archive.metadata = json!({
            "format": FORMAT,
            "spec": self.spec,
            "state": state,
            "steps": self.steps(),
            "normaliser": normaliser.map(f64::to_bits),
        });
        archive.to_bytes()
    }

    /// Goes on from [`checkpoint`](Pretrainer::checkpoint); also gives the caller's state back.
    pub fn resume(bytes: &[u8]) -> Result<(Pretrainer, Value), NnError> {
        let mut archive = Archive::from_bytes(bytes)?;
        let m: Metadata = checkpoint_metadata(&mut archive)?;
        let mut pretrainer = Pretrainer::new(m.spec.clone())?;
        on_device!(AnySession, &mut pretrainer.session, session => session.load(&mut archive, &m))?;
        nothing_left(&archive)?;
        Ok((pretrainer, m.state))
    }
}
