//! The clips that a training uses, and the batches that it makes of them.

use sndpipe_cache::Rows;
use sndpipe_engine::StageError;
use sndpipe_nn::{InputShape, Stream};

use super::params::LossParams;
use crate::labels::{Labels, State};
use crate::model::{OutputKind, Standardisation};
use crate::patch::{self, FrameShape};

/// Clips of a subset, sorted by id.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Samples {
    /// Where the features of each clip stand.
    pub positions: Vec<usize>,
    /// The classes that each clip has.
    pub present: Vec<Vec<usize>>,
    /// Clips of the subset without features.
    pub without_features: Vec<String>,
    /// Clips of the subset without a class; only where the loss needs one.
    pub without_class: Vec<String>,
}

impl Samples {
    /// The clips of a subset that can be used.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a clip's labels do not fit the loss.
    pub fn new<'a>(
        ids: impl Iterator<Item = &'a str>,
        rows: &Rows,
        labels: &Labels,
        loss: &LossParams,
    ) -> Result<Self, StageError> {
        let mut samples = Self::default();
        for id in ids {
            let Some(position) = rows.position(id) else {
                samples.without_features.push(id.to_owned());
                continue;
            };
            let present: Vec<usize> = labels.present(id).collect();
            match loss.output() {
                OutputKind::Softmax if present.is_empty() => {
                    samples.without_class.push(id.to_owned());
                    continue;
                }
                OutputKind::Softmax if present.len() > 1 => {
                    let message =
                        format!("clip `{id}` has {} classes, and the loss needs exactly one", present.len());
                    return Err(StageError::failed(message).help("train with `loss: bce`"));
                }
                OutputKind::Sigmoid if has_ignored(labels, id) => {
                    let message =
                        format!("clip `{id}` has a label that is to be ignored, which `bce` cannot do");
                    return Err(
                        StageError::failed(message).help("give training labels without the state `ignored`")
                    );
                }
                _ => {}
            }
            samples.positions.push(position);
            samples.present.push(present);
        }
        Ok(samples)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.positions.len()
    }
}

fn has_ignored(labels: &Labels, id: &str) -> bool {
    labels.clips.get(id).is_some_and(|labels| labels.values().any(|state| *state == State::Ignored))
}

/// Makes batches of random patches. Everything random is a function of (seed, epoch, clip), so that a batch never depends on
/// what was drawn before it.
pub(crate) struct Batches<'a> {
    pub rows: &'a Rows,
    pub samples: &'a Samples,
    pub input: InputShape,
    pub classes: usize,
    pub standardisation: &'a Standardisation,
    pub seed: u64,
    pub batch: usize,
    pub drop_last: bool,
}

/// Inputs and targets of a step.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// `[n, channels, frames, bands]`.
    pub inputs: Vec<f32>,
    /// `[n, classes]`.
    pub targets: Vec<f32>,
}

impl Batches<'_> {
    /// Steps of an epoch.
    pub const fn steps(&self) -> usize {
        if self.drop_last { self.samples.len() / self.batch } else { self.samples.len().div_ceil(self.batch) }
    }

    /// Clips of the largest batch.
    pub fn most(&self) -> usize {
        self.batch.min(self.samples.len())
    }

    /// The order of an epoch.
    pub fn order(&self, epoch: u32) -> Vec<usize> {
        Stream::new(self.seed, "order").at(epoch, 0).permutation(self.samples.len())
    }

    /// The batch of a step of an epoch that has the given order.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape.
    pub fn batch(&self, epoch: u32, order: &[usize], step: usize) -> Result<Batch, StageError> {
        let first = step * self.batch;
        let chosen = &order[first..(first + self.batch).min(order.len())];
        let shape = FrameShape { channels: self.input.channels, bands: self.input.bands };
        let starts = Stream::new(self.seed, "patch");
        let mut inputs = vec![0.0; chosen.len() * self.input.len()];
        let mut targets = vec![0.0; chosen.len() * self.classes];
        for (i, &sample) in chosen.iter().enumerate() {
            let position = self.samples.positions[sample];
            let row = self.rows.row(position)?;
            let named = |message: String| {
                StageError::failed(format!("clip `{}`: {message}", &self.rows.ids()[position]))
            };
            let frames = shape.frames(row).map_err(named)?;
            let room = frames.saturating_sub(self.input.frames);
            let start = starts.at(epoch, sample as u64).index(room + 1);
            let patch = &mut inputs[i * self.input.len()..(i + 1) * self.input.len()];
            patch::cut(row, shape, start, self.standardisation, patch);
            self.samples.present[sample].iter().for_each(|&class| targets[i * self.classes + class] = 1.0);
        }
        Ok(Batch { inputs, targets })
    }
}
