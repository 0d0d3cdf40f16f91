//! A training with labels.

use sndpipe_artefacts::OutputKind;
use sndpipe_engine::StageError;
use sndpipe_nn::{NnError, Trainer, TrainerSpec};

use super::batches::{Batch, Batches};
use super::init::{self, Init};
use super::loss::output_of;
use super::params::TrainParams;
use super::task::{Course, Judged, Step, Task};
use super::validate::{Measures, Validation};
use crate::model::failed;

/// A training with labels, with everything that it reads.
pub(crate) struct Labelled<'a> {
    pub params: &'a TrainParams,
    pub batches: Batches<'a>,
    pub validation: Option<Validation<'a>>,
    /// The test subset, for a curve and nothing else.
    pub test: Option<Validation<'a>>,
    pub spec: TrainerSpec,
    /// The model that the training starts from.
    pub init: Option<Init>,
}

impl Task for Labelled<'_> {
    type Learner = Trainer;
    type Batch = Batch;

    fn course(&self) -> Course<'_> {
        let params = self.params;
        Course {
            epochs: params.epochs,
            rate: params.rate,
            schedule: &params.schedule,
            warm_up: params.warm_up,
            judged: Some(Judged {
                metric: params.watched(),
                needed: params.needs_validation(),
                settling: params.settling(),
                early_stopping: params.early_stopping.as_ref(),
                select: params.select,
            }),
        }
    }

    fn steps(&self) -> usize {
        self.batches.steps()
    }

    fn most(&self) -> usize {
        self.batches.most()
    }

    fn order(&self, epoch: u32) -> Vec<usize> {
        self.batches.order(epoch)
    }

    fn batch(&self, epoch: u32, order: &[usize], step: usize) -> Result<Batch, StageError> {
        self.batches.batch(epoch, order, step)
    }

    fn start(&self) -> Result<Trainer, StageError> {
        init::trainer(&self.spec, self.params, self.init.as_ref())
    }

    fn continues(&self, trainer: &Trainer) -> bool {
        // The loss is set anew for each epoch.
        *trainer.spec() == TrainerSpec { loss: trainer.spec().loss, ..self.spec.clone() }
    }

    fn begin_epoch(&self, trainer: &mut Trainer, epoch: u32) -> Result<(), StageError> {
        trainer.set_loss(*self.params.loss_in(epoch)).map_err(|error| failed(&error))
    }

    fn measured(&self) -> Vec<&'static str> {
        match output_of(&self.params.loss) {
            OutputKind::Softmax => vec!["loss", "patch_accuracy"],
            OutputKind::Sigmoid => vec!["loss"],
        }
    }

    fn step(&self, trainer: &mut Trainer, batch: &Batch, rate: f64) -> Result<Step, NnError> {
        let (inputs, targets) = (&batch.inputs, &batch.targets);
        let report = if !batch.mask.is_empty() {
            trainer.step_masked(inputs, targets, &batch.mask, rate)
        } else if !batch.clean.is_empty() {
            trainer.step_selective(inputs, targets, &batch.clean, rate)
        } else {
            trainer.step(inputs, targets, rate)
        }?;
        let samples = inputs.len() / self.spec.input.len();
        Ok(Step { samples, sums: vec![f64::from(report.loss) * samples as f64, report.correct as f64] })
    }

    fn validate(
        &self,
        trainer: &Trainer,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Option<Measures>, StageError> {
        self.validation.as_ref().map(|validation| validation.measure(trainer, tick)).transpose()
    }

    fn test(
        &self,
        trainer: &Trainer,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Option<Measures>, StageError> {
        self.test.as_ref().map(|test| test.measure(trainer, tick)).transpose()
    }
}
