//! A training without labels.

use sndpipe_artefacts::Standardisation;
use sndpipe_engine::StageError;
use sndpipe_nn::{NnError, Pretrainer, PretrainerSpec};

use super::pairs::{PairBatch, Pairs};
use super::params::PretrainParams;
use super::watch::Watch;
use crate::model::failed;
use crate::train::{Course, Step, Task, Watched};

/// A training without labels, with everything that it reads.
pub(super) struct Unlabelled<'a> {
    pub params: &'a PretrainParams,
    pub pairs: Pairs<'a>,
    pub standardisation: &'a Standardisation,
    pub spec: PretrainerSpec,
    /// What is looked at on the way.
    pub watch: Option<Watch<'a>>,
}

impl Unlabelled<'_> {
    /// Fails where batches cannot be made of the clips.
    pub fn check_batches(&self) -> Result<(), StageError> {
        let (batch, count) = (self.params.batch, self.pairs.len());
        let what = if self.params.samplers.is_empty() {
            format!("the training subset of {count}")
        } else {
            format!("the training subset of {count} pairs")
        };
        if self.params.drop_last && count < batch {
            return Err(StageError::failed(format!("a batch of {batch} is larger than {what}"))
                .help("take a smaller `batch`, or `drop_last: false`"));
        }
        if !self.params.drop_last && count % batch == 1 {
            let message = format!(
                "the last batch of {batch} of {what} would have one clip, with none to compare it with"
            );
            return Err(StageError::failed(message).help("take another `batch`, or `drop_last: true`"));
        }
        Ok(())
    }
}

impl Task for Unlabelled<'_> {
    type Learner = Pretrainer;
    type Batch = PairBatch;

    fn course(&self) -> Course<'_> {
        let params = self.params;
        Course {
            epochs: params.epochs,
            rate: params.rate,
            schedule: &params.schedule,
            warm_up: params.warm_up,
            judged: None,
        }
    }

    fn steps(&self) -> usize {
        let (batch, count) = (self.params.batch, self.pairs.len());
        if self.params.drop_last { count / batch } else { count.div_ceil(batch) }
    }

    fn most(&self) -> usize {
        self.params.batch.min(self.pairs.len())
    }

    fn order(&self, epoch: u32) -> Vec<usize> {
        self.pairs.order(epoch)
    }

    fn batch(&self, epoch: u32, order: &[usize], step: usize) -> Result<PairBatch, StageError> {
        let first = step * self.params.batch;
        let items = &order[first..(first + self.params.batch).min(order.len())];
        self.pairs.batch(epoch, items, self.standardisation)
    }

    fn start(&self) -> Result<Pretrainer, StageError> {
        Pretrainer::new(self.spec.clone()).map_err(|error| failed(&error))
    }

    fn continues(&self, pretrainer: &Pretrainer) -> bool {
        *pretrainer.spec() == self.spec
    }

    fn measured(&self) -> Vec<&'static str> {
        let each = self.spec.objectives.iter().map(|objective| objective.method.name());
        let several = self.spec.objectives.len() > 1;
        std::iter::once("loss").chain(each.filter(|_| several)).collect()
    }

    fn step(&self, pretrainer: &mut Pretrainer, batch: &PairBatch, rate: f64) -> Result<Step, NnError> {
        let alike = |one: usize, other: usize| self.pairs.alike(batch.clips[one], batch.clips[other]);
        let report = pretrainer.step_alike(&batch.inputs, &batch.clips, &alike, rate)?;
        let samples = batch.clips.len();
        let losses = std::iter::once(report.loss).chain(report.losses);
        Ok(Step { samples, sums: losses.map(|loss| f64::from(loss) * samples as f64).collect() })
    }

    fn watch(
        &self,
        pretrainer: &Pretrainer,
        epoch: u32,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Vec<Watched>, StageError> {
        let Some(watch) = &self.watch else { return Ok(Vec::new()) };
        watch.look(pretrainer, (epoch, self.params.epochs), tick)
    }

    fn watching(&self, pretrainer: &Pretrainer) -> u64 {
        self.watch.as_ref().map_or(0, |watch| watch.memory(pretrainer))
    }
}
