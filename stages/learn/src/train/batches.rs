//! The batches that a training makes of its clips.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::patch::{self};
use sndpipe_artefacts::{OutputKind, Standardisation};
use sndpipe_audio::augment::{At, Clips, Views};
use sndpipe_cache::Rows;
use sndpipe_engine::StageError;
use sndpipe_nn::InputShape;
use sndpipe_random::Stream;

use super::mixup::{self, MixupParams, Pairing};
use super::samples::Samples;
use super::smoothing;

/// Which patches of a training clip an epoch goes over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Patches {
    /// One, its start uniform over all that fit.
    #[default]
    Random,
    /// All full ones that start every `patch.hop` frames, in a new order each epoch.
    All,
}

/// What an epoch goes over, in an order of its own.
#[derive(Debug, PartialEq)]
pub(crate) enum Items {
    /// So many samples, each with a random patch.
    Samples(usize),
    /// Patches: the sample and the frame where each starts.
    Patches(Vec<(u32, u32)>),
}

impl Items {
    /// The items of the given samples.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape, or there are too many patches.
    pub fn new(
        patches: Patches,
        samples: &Samples,
        rows: &Rows,
        input: InputShape,
        hop: usize,
        tick: &dyn Fn() -> Result<(), StageError>,
    ) -> Result<Self, StageError> {
        if patches == Patches::Random {
            return Ok(Self::Samples(samples.len()));
        }
        let shape = FrameShape { channels: input.channels, bands: input.bands };
        let mut items = Vec::new();
        for (sample, &position) in samples.positions.iter().enumerate() {
            tick()?;
            let frames =
                shape.frames(rows.row(position)?).map_err(|message| at_clip(rows, position, message))?;
            let sample = u32::try_from(sample).map_err(|_| StageError::failed("too many clips"))?;
            // A row counts its frames in 32 bits.
            items.extend(patch::starts(frames, input.frames, hop).map(|start| (sample, start as u32)));
        }
        Ok(Self::Patches(items))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        match self {
            Self::Samples(count) => *count,
            Self::Patches(patches) => patches.len(),
        }
    }
}

/// Makes batches of patches. Everything random is a function of (seed, epoch, item) or (seed, epoch, step), so that a batch never
/// depends on what was drawn before it.
pub(crate) struct Batches<'a> {
    pub samples: &'a Samples,
    /// The clips of the samples.
    pub clips: Clips<'a>,
    pub items: Items,
    /// The steps that patches take.
    pub augment: Views<'a>,
    pub classes: usize,
    pub output: OutputKind,
    pub standardisation: &'a Standardisation,
    pub seed: u64,
    pub batch: usize,
    pub drop_last: bool,
    /// What is taken of the label of each class.
    pub smoothing: Option<Vec<f64>>,
    pub mixup: Option<&'a MixupParams>,
}

/// What a step trains on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Batch {
    /// `[n, channels, frames, bands]`.
    pub inputs: Vec<f32>,
    /// `[n, classes]`.
    pub targets: Vec<f32>,
    /// Weights of the negative terms `[n, classes]`; empty where all are 1.
    pub mask: Vec<f32>,
    /// 1 for each clean sample, else 0 `[n]`; empty where nothing says so.
    pub clean: Vec<f32>,
}

impl Batches<'_> {
    /// Steps of an epoch.
    pub const fn steps(&self) -> usize {
        let items = self.items.len();
        if self.drop_last { items / self.batch } else { items.div_ceil(self.batch) }
    }

    /// Samples of the largest batch.
    pub fn most(&self) -> usize {
        self.batch.min(self.items.len())
    }

    /// The order of an epoch.
    pub fn order(&self, epoch: u32) -> Vec<usize> {
        Stream::new(self.seed, "order").at(epoch, 0).permutation(self.items.len())
    }

    /// The batch of a step of an epoch that has the given order.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape.
    pub fn batch(&self, epoch: u32, order: &[usize], step: usize) -> Result<Batch, StageError> {
        let chosen = self.chosen(order, step);
        let mut batch = self.plain(epoch, chosen)?;
        let Some(mixup) = self.mixup.filter(|mixup| epoch >= mixup.warm_up) else { return Ok(batch) };
        let shares = mixup.shares(self.seed, epoch, chosen);
        match mixup.pairing {
            Pairing::Intra => {
                let partners = mixup::partners(self.seed, epoch, step, chosen.len());
                batch.mix(&batch.clone(), &partners, &shares);
            }
            Pairing::Inter => {
                let next = self.chosen(order, (step + 1) % self.steps());
                // An incomplete batch goes round.
                let partners: Vec<usize> = (0..chosen.len()).map(|i| i % next.len()).collect();
                batch.mix(&self.plain(epoch, next)?, &partners, &shares);
            }
        }
        Ok(batch)
    }

    /// The items of a step.
    fn chosen<'o>(&self, order: &'o [usize], step: usize) -> &'o [usize] {
        let first = step * self.batch;
        &order[first..(first + self.batch).min(order.len())]
    }

    /// The batch of some items, before they are mixed.
    fn plain(&self, epoch: u32, items: &[usize]) -> Result<Batch, StageError> {
        let input = self.clips.input;
        let shape = FrameShape { channels: input.channels, bands: input.bands };
        let masked = self.output == OutputKind::Sigmoid && self.samples.ignores();
        let of_each =
            |here: bool, length: usize, value: f32| vec![value; if here { items.len() * length } else { 0 }];
        let mut batch = Batch {
            inputs: of_each(true, input.len(), 0.0),
            targets: of_each(true, self.classes, 0.0),
            mask: of_each(masked, self.classes, 1.0),
            clean: of_each(!self.samples.clean.is_empty(), 1, 0.0),
        };
        for (i, &item) in items.iter().enumerate() {
            let patch = &mut batch.inputs[i * input.len()..(i + 1) * input.len()];
            let sample = self.patch(epoch, item, patch)?;
            patch::standardise(patch, shape, self.standardisation);
            let classes = i * self.classes..(i + 1) * self.classes;
            let targets = &mut batch.targets[classes.clone()];
            self.samples.present[sample].iter().for_each(|&class| targets[class] = 1.0);
            let mask = if masked { &mut batch.mask[classes] } else { &mut [] };
            if masked {
                self.samples.ignored[sample].iter().for_each(|&class| mask[class] = 0.0);
            }
            let clean = self.samples.clean.get(sample) == Some(&true);
            if clean {
                batch.clean[i] = 1.0;
            } else if let Some(epsilons) = &self.smoothing {
                smoothing::smooth(targets, mask, epsilons, self.output)?;
            }
        }
        Ok(batch)
    }

    /// Makes the patch of an item in an epoch, as it is before standardisation; gives the sample that it is of.
    fn patch(&self, epoch: u32, item: usize, patch: &mut [f32]) -> Result<usize, StageError> {
        let (sample, fixed) = match &self.items {
            Items::Samples(_) => (item, None),
            Items::Patches(patches) => (patches[item].0 as usize, Some(patches[item].1 as usize)),
        };
        let at = At { epoch, item, view: 0, clip: sample };
        let start = |room: usize| match fixed {
            // A changed waveform may be too short for it.
            Some(start) => start.min(room),
            None => Stream::new(self.seed, "patch").at(epoch, item as u64).index(room + 1),
        };
        self.clips.patch(at, self.clips.waveform().len(), start, patch)?;
        self.augment.apply(patch, at, &self.clips)?;
        Ok(sample)
    }
}

/// What is wrong with the features of a clip.
fn at_clip(rows: &Rows, position: usize, message: String) -> StageError {
    StageError::failed(format!("clip `{}`: {message}", &rows.ids()[position]))
}
