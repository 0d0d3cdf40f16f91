//! What the loop over epochs and steps fits: a training with or without labels.

use serde_json::Value;
use sndpipe_engine::StageError;
use sndpipe_nn::{NnError, Pretrainer, Trainer};

use super::params::{EarlyStopping, Select, WatchedMetric};
use super::schedule::ScheduleParams;
use super::validate::Measures;

/// A training: what is fitted, by which batches, and for how long.
pub(crate) trait Task: Sync {
    /// What is in training.
    type Learner: Learner + Send;
    /// What a step trains on.
    type Batch: Send + Sync;

    /// How long and how fast it is trained.
    fn course(&self) -> Course<'_>;

    /// Steps of an epoch.
    fn steps(&self) -> usize;

    /// Samples of the largest batch, as [`Learner::memory`] counts them.
    fn most(&self) -> usize;

    /// The order of an epoch.
    fn order(&self, epoch: u32) -> Vec<usize>;

    /// The batch of a step of an epoch that has the given order: a function of these alone.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape.
    fn batch(&self, epoch: u32, order: &[usize], step: usize) -> Result<Self::Batch, StageError>;

    /// A new training.
    ///
    /// # Errors
    /// [`StageError`] if the network cannot be built.
    fn start(&self) -> Result<Self::Learner, StageError>;

    /// Whether a training that was interrupted is one of this.
    fn continues(&self, learner: &Self::Learner) -> bool;

    /// Called before the first step of an epoch, and before the first after an interruption.
    ///
    /// # Errors
    /// [`StageError`] if the epoch cannot be.
    fn begin_epoch(&self, _learner: &mut Self::Learner, _epoch: u32) -> Result<(), StageError> {
        Ok(())
    }

    /// What a step measures: the names in the history.
    fn measured(&self) -> Vec<&'static str>;

    /// Takes a step.
    ///
    /// # Errors
    /// [`NnError`], after which nothing has changed.
    fn step(&self, learner: &mut Self::Learner, batch: &Self::Batch, rate: f64) -> Result<Step, NnError>;

    /// Measures after an epoch; none where there is nothing to measure on.
    ///
    /// # Errors
    /// [`StageError`] if a clip cannot be read or the network gives no numbers.
    fn validate(
        &self,
        _learner: &Self::Learner,
        _tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Option<Measures>, StageError> {
        Ok(None)
    }

    /// Measures on the test subset after an epoch, for a curve; none where nobody asked for it. Decides nothing.
    ///
    /// # Errors
    /// As [`Task::validate`].
    fn test(
        &self,
        _learner: &Self::Learner,
        _tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Option<Measures>, StageError> {
        Ok(None)
    }

    /// Looks at the weights after an epoch, counted from 1, in ways of the task's own. Decides nothing.
    ///
    /// # Errors
    /// As [`Task::validate`].
    fn watch(
        &self,
        _learner: &Self::Learner,
        _epoch: u32,
        _tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Vec<Watched>, StageError> {
        Ok(Vec::new())
    }

    /// Bytes that [`watch`](Task::watch) needs beside what a step does.
    fn watching(&self, _learner: &Self::Learner) -> u64 {
        0
    }
}

/// A row of the history: subset, metric and value.
pub(crate) type Watched = (&'static str, &'static str, Option<f64>);

/// What a step has found.
pub(crate) struct Step {
    /// Samples that it was taken on.
    pub samples: usize,
    /// Sums over the samples of what is [`measured`](Task::measured), the loss first.
    pub sums: Vec<f64>,
}

/// How long and how fast something is trained.
pub(crate) struct Course<'a> {
    /// Passes over the training clips.
    pub epochs: u32,
    /// The rate that the schedule starts from.
    pub rate: f64,
    pub schedule: &'a ScheduleParams,
    /// Epochs over which the rate rises.
    pub warm_up: f64,
    /// What is decided by the validation subset; nothing where it is not looked at.
    pub judged: Option<Judged<'a>>,
}

/// What is decided by the validation subset.
pub(crate) struct Judged<'a> {
    pub metric: WatchedMetric,
    /// Whether something depends on it.
    pub needed: bool,
    /// Epochs at the beginning that do not count.
    pub settling: u32,
    pub early_stopping: Option<&'a EarlyStopping>,
    pub select: Select,
}

/// What is in training: weights with everything that their next step depends on.
pub(crate) trait Learner: Sized {
    /// Bytes that a step on so many samples needs.
    fn memory(&self, samples: usize) -> Result<u64, NnError>;

    /// Fails where these are not there.
    fn check_memory(&self, samples: usize) -> Result<(), NnError>;

    /// The model with its card.
    fn save_weights(&self, card: &Value) -> Result<Vec<u8>, NnError>;

    /// Everything, with the caller's state.
    fn checkpoint(&mut self, state: &Value) -> Result<Vec<u8>, NnError>;

    /// Goes on from a checkpoint.
    fn resume(bytes: &[u8]) -> Result<(Self, Value), NnError>;
}

macro_rules! learner {
    ($kind:ident) => {
        impl Learner for $kind {
            fn memory(&self, samples: usize) -> Result<u64, NnError> {
                $kind::memory(self, samples)
            }

            fn check_memory(&self, samples: usize) -> Result<(), NnError> {
                $kind::check_memory(self, samples)
            }

            fn save_weights(&self, card: &Value) -> Result<Vec<u8>, NnError> {
                $kind::save_weights(self, card)
            }

            fn checkpoint(&mut self, state: &Value) -> Result<Vec<u8>, NnError> {
                $kind::checkpoint(self, state)
            }

            fn resume(bytes: &[u8]) -> Result<(Self, Value), NnError> {
                $kind::resume(bytes)
            }
        }
    };
}
learner!(Trainer);
learner!(Pretrainer);
