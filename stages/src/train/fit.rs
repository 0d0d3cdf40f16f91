//! The loop over epochs and steps.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use sndpipe_engine::{StageError, StageIo};
use sndpipe_nn::{Moment, NnError, PlateauSpec, ScheduleSpec, Trainer, TrainerSpec};

use super::batches::{Batch, Batches};
use super::checkpoint::{self, Best, Checkpoint, State};
use super::history::{Bits, History};
use super::init::{self, Init};
use super::loader::Loader;
use super::params::{Select, TrainParams};
use super::validate::{Measures, Validation};
use crate::model::{OutputKind, failed};

/// A checkpoint is written after at most this long. When it is written never changes what the training gives.
const SAVE_AFTER: Duration = Duration::from_secs(20);

/// The file with the weights before the step in which numbers left their range.
const LAST_GOOD: &str = "last-good.safetensors";

/// The way out where numbers leave their range.
const DIVERGED: &str = "lower `rate`, set `clip_norm`, warm up, or look for features that are not finite";

/// A training with everything that it reads.
pub(crate) struct Fit<'a, 'io> {
    pub params: &'a TrainParams,
    pub io: &'a StageIo<'io>,
    pub batches: Batches<'a>,
    /// Threads that make batches.
    pub workers: usize,
    pub validation: Option<Validation<'a>>,
    /// The test subset, for a curve and nothing else.
    pub test: Option<Validation<'a>>,
    pub spec: TrainerSpec,
    /// The model that the training starts from.
    pub init: Option<Init>,
    /// What is saved beside the weights.
    pub card: Value,
    /// Where checkpoints go.
    pub dir: PathBuf,
    pub fingerprint: String,
}

/// What a training gives.
pub(crate) struct Fitted {
    /// The model's bytes.
    pub weights: Vec<u8>,
    /// Every epoch's numbers.
    pub history: History,
    /// Epochs that were trained.
    pub epochs: u32,
    /// The epoch whose weights these are.
    pub chosen: u32,
}

impl Fit<'_, '_> {
    /// Trains to the end, from a checkpoint where there is one. An interruption leaves a checkpoint.
    pub fn run(&self) -> Result<Fitted, StageError> {
        let mut at = self.start()?;
        let memory = at.trainer.memory(self.batches.most()).map_err(|error| failed(&error))?;
        self.io.memory(memory)?;
        at.trainer.check_memory(self.batches.most()).map_err(|error| failed(&error))?;
        let result = self.train(&mut at);
        if matches!(result, Err(StageError::Interrupted)) {
            self.save(&mut at)?;
        }
        result?;
        let last = at.state.epoch;
        let (weights, chosen) = match (at.best_weights, at.state.best) {
            (Some(weights), Some(best)) => (weights, best.epoch),
            _ => (at.trainer.save_weights(&self.card).map_err(|error| failed(&error))?, last),
        };
        Ok(Fitted { weights, history: at.state.history, epochs: last, chosen })
    }

    fn start(&self) -> Result<Checkpoint, StageError> {
        match checkpoint::read(&self.dir, &self.fingerprint) {
            // The loss is set anew for each epoch.
            Ok(Some(found))
                if *found.trainer.spec()
                    == (TrainerSpec { loss: found.trainer.spec().loss, ..self.spec.clone() }) =>
            {
                (1..=found.state.epoch)
                    .for_each(|epoch| self.io.log(&self.line(&found.state.history, epoch)));
                let step = if found.state.step > 0 {
                    format!(" and {} steps", found.state.step)
                } else {
                    String::new()
                };
                self.io.log(&format!("goes on after {} epochs{step}", found.state.epoch));
                return Ok(found);
            }
            Ok(Some(_)) => self.io.log("a checkpoint was ignored: it belongs to another network"),
            Ok(None) => {}
            Err(reason) => self.io.log(&format!("a checkpoint was ignored: {reason}")),
        }
        let trainer = init::trainer(&self.spec, self.params, self.init.as_ref())?;
        Ok(Checkpoint { trainer, state: State::new(self.fingerprint.clone()), best_weights: None })
    }

    fn save(&self, at: &mut Checkpoint) -> Result<(), StageError> {
        checkpoint::write(self.io, &mut at.trainer, &at.state, at.best_weights.as_deref())
    }

    /// Everything in `at` changes together after a step and after an epoch, so that it can be saved wherever this returns.
    fn train(&self, at: &mut Checkpoint) -> Result<(), StageError> {
        let steps = self.batches.steps();
        let next = at.state.epoch as usize * steps + at.state.step;
        std::thread::scope(|scope| {
            let loader = Loader::start(scope, &self.batches, next, self.params.epochs, self.workers);
            self.train_on(at, loader)
        })
    }

    fn train_on(&self, at: &mut Checkpoint, mut loader: Loader) -> Result<(), StageError> {
        let steps = self.batches.steps();
        let (mut saved, mut shown) = (Instant::now(), None::<Instant>);
        let mut note = String::new();
        while at.state.epoch < self.params.epochs && !at.state.stopped {
            let epoch = at.state.epoch;
            at.trainer.set_loss(self.params.loss_in(epoch).spec()).map_err(|error| failed(&error))?;
            while at.state.step < steps {
                self.io.tick()?;
                if saved.elapsed() >= SAVE_AFTER {
                    self.save(at)?;
                    saved = Instant::now();
                }
                if shown.is_none_or(|shown| shown.elapsed() >= Duration::from_millis(200)) {
                    let at = format!("step {}/{steps}{note}", at.state.step + 1);
                    self.io.progress(u64::from(epoch), u64::from(self.params.epochs), "epochs", at);
                    shown = Some(Instant::now());
                }
                self.step(at, &loader.next()?)?;
            }
            self.end_epoch(at)?;
            let line = self.line(&at.state.history, epoch + 1);
            self.io.log(&line);
            note = line.split_once(": ").map_or(String::new(), |(_, numbers)| format!(", {numbers}"));
            self.io.progress(
                u64::from(epoch) + 1,
                u64::from(self.params.epochs),
                "epochs",
                note.trim_start_matches(", "),
            );
        }
        Ok(())
    }

    /// What the schedule waits for, where it waits for a plateau.
    fn plateau(&self) -> Option<PlateauSpec> {
        self.params.schedule.plateau(self.params.watched().falls())
    }

    /// The learning rate of a step of the epoch that a state is in.
    fn rate(&self, state: &State, step: usize) -> f64 {
        let schedule: ScheduleSpec = self.params.schedule.spec(self.params.warm_up);
        let moment = Moment {
            epoch: u64::from(state.epoch),
            step: step as u64,
            steps_per_epoch: self.batches.steps() as u64,
            epochs: u64::from(self.params.epochs),
        };
        let scale = self.plateau().map_or(1.0, |spec| state.plateau.scale(&spec));
        scale * schedule.rate(self.params.rate, moment)
    }

    fn step(&self, at: &mut Checkpoint, batch: &Batch) -> Result<(), StageError> {
        let (epoch, step) = (at.state.epoch, at.state.step);
        let rate = self.rate(&at.state, step);
        let (trainer, inputs, targets) = (&mut at.trainer, &batch.inputs, &batch.targets);
        let report = if !batch.mask.is_empty() {
            trainer.step_masked(inputs, targets, &batch.mask, rate)
        } else if !batch.clean.is_empty() {
            trainer.step_selective(inputs, targets, &batch.clean, rate)
        } else {
            trainer.step(inputs, targets, rate)
        };
        let report = report.map_err(|error| self.explain(&error, &at.trainer, epoch, step))?;
        let samples = batch.inputs.len() / self.spec.input.len();
        at.state.loss = Bits::new(at.state.loss.get() + f64::from(report.loss) * samples as f64);
        at.state.correct += report.correct;
        at.state.seen += samples;
        at.state.step += 1;
        Ok(())
    }

    /// Why a step failed. Where numbers left their range, the weights before the step are kept for whoever looks for the cause.
    fn explain(&self, error: &NnError, trainer: &Trainer, epoch: u32, step: usize) -> StageError {
        let what = match error {
            NnError::NonFiniteLoss { loss, .. } => format!("the loss is {loss}"),
            NnError::NonFiniteGradient { norm, .. } => format!("the norm of the gradient is {norm}"),
            other => return failed(other),
        };
        let place = format!("in epoch {}, step {} of {}", epoch + 1, step + 1, self.batches.steps());
        let file = self.dir.join(LAST_GOOD);
        let saved = trainer.save_weights(&self.card).ok().and_then(|bytes| fs_err::write(&file, bytes).ok());
        let kept =
            saved.map_or(String::new(), |()| format!("; the weights before it are in `{}`", file.display()));
        StageError::failed(format!("{what} {place}{kept}")).help(DIVERGED)
    }

    /// Measures, then brings the state to the next epoch.
    fn end_epoch(&self, at: &mut Checkpoint) -> Result<(), StageError> {
        let tick = || self.io.tick();
        let epoch = at.state.epoch + 1;
        let measure = |subset: &Option<Validation<'_>>| {
            let measures = subset.as_ref().map(|subset| subset.measure(&at.trainer, &tick)).transpose();
            measures.map_err(|error| match error {
                StageError::Failed { message, .. } => {
                    StageError::failed(format!("after epoch {epoch}: {message}")).help(DIVERGED)
                }
                other => other,
            })
        };
        let (measures, test) = (measure(&self.validation)?, measure(&self.test)?);
        let watched = self.params.watched();
        let value = measures.as_ref().and_then(|measures| measures.get(watched));
        if self.params.needs_validation() && value.is_none() {
            return Err(StageError::failed(format!(
                "`{}` is undefined on the validation subset",
                watched.name()
            ))
            .help("watch another metric, or take a validation subset that has every class"));
        }
        let value = value.filter(|_| epoch > self.params.settling());
        let is_best = |best: Option<Best>, value, margin| {
            best.is_none_or(|best: Best| best.beaten_by(value, margin, watched))
        };
        let mut best_weights = None;
        if let Some(value) = value.filter(|&value| is_best(at.state.best, value, 0.0)) {
            at.state.best = Some(Best { epoch, value: Bits::new(value) });
            if self.params.select == Select::Best {
                best_weights = Some(at.trainer.save_weights(&self.card).map_err(|error| failed(&error))?);
            }
        }
        if best_weights.is_some() {
            at.best_weights = best_weights;
        }
        if let (Some(stopping), Some(value)) = (&self.params.early_stopping, value) {
            if is_best(at.state.improved, value, stopping.min_delta) {
                at.state.improved = Some(Best { epoch, value: Bits::new(value) });
            }
            at.state.stopped = at.state.improved.is_some_and(|best| epoch - best.epoch >= stopping.patience);
        }
        let rate = self.rate(&at.state, self.batches.steps() - 1);
        if let (Some(spec), Some(value)) = (self.plateau(), value) {
            at.state.plateau.observe(&spec, value);
        }
        self.record(&mut at.state, epoch, rate, [("val", measures.as_ref()), ("test", test.as_ref())]);
        Ok(())
    }

    fn record(&self, state: &mut State, epoch: u32, rate: f64, measured: [(&str, Option<&Measures>); 2]) {
        let seen = state.seen.max(1) as f64;
        state.history.add(epoch, "train", "loss", Some(state.loss.get() / seen));
        if self.params.loss.output() == OutputKind::Softmax {
            state.history.add(epoch, "train", "patch_accuracy", Some(state.correct as f64 / seen));
        }
        state.history.add(epoch, "train", "rate", Some(rate));
        for (subset, measures) in measured {
            for (metric, value) in measures.into_iter().flat_map(Measures::iter) {
                state.history.add(epoch, subset, metric.name(), value);
            }
        }
        state.epoch = epoch;
        (state.step, state.correct, state.seen, state.loss) = (0, 0, 0, Bits::new(0.0));
    }

    fn line(&self, history: &History, epoch: u32) -> String {
        let digits = self.params.epochs.to_string().len();
        format!("epoch {epoch:digits$}/{}: {}", self.params.epochs, history.line(epoch))
    }
}
