//! The loop over epochs and steps.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use sndpipe_cache::Digest;
use sndpipe_engine::{StageError, StageIo, canonical};
use sndpipe_nn::{Moment, NnError, PlateauSpec, ScheduleSpec};

use super::checkpoint::{self, Best, Checkpoint, State};
use super::history::{Bits, History};
use super::loader::Loader;
use super::params::Select;
use super::task::{Judged, Learner as _, Task, Watched};
use super::validate::Measures;
use crate::model::failed;

/// A checkpoint is written after at most this long. When it is written never changes what the training gives.
const SAVE_AFTER: Duration = Duration::from_secs(20);

/// The file with the weights before the step in which numbers left their range.
const LAST_GOOD: &str = "last-good.safetensors";

/// The way out where numbers leave their range.
const DIVERGED: &str = "lower `rate`, set `clip_norm`, warm up, or look for features that are not finite";

/// Most threads that make batches: more would only wait for the network.
const MOST_WORKERS: usize = 4;

/// How many threads make batches.
pub(crate) fn workers() -> usize {
    rayon::current_num_threads().min(MOST_WORKERS)
}

/// What a checkpoint must agree on: the version of the stage, its parameters and the content of its inputs.
pub(crate) fn fingerprint(
    version: u32,
    params: &impl Serialize,
    io: &StageIo<'_>,
    ports: &[&str],
) -> Result<String, StageError> {
    let params = serde_json::to_value(params).map_err(|error| StageError::failed(error.to_string()))?;
    let mut inputs = Vec::new();
    for port in ports.iter().filter(|port| io.has(port)) {
        inputs.push(io.manifest(port)?.id.to_string());
    }
    let all = json!({ "version": version, "params": params, "inputs": inputs });
    Ok(Digest::of(canonical(&all).as_bytes()).to_string())
}

/// A training with its surroundings.
pub(crate) struct Fit<'a, 'io, T> {
    pub task: T,
    pub io: &'a StageIo<'io>,
    /// Threads that make batches.
    pub workers: usize,
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

impl<T: Task> Fit<'_, '_, T> {
    /// Trains to the end, from a checkpoint where there is one. An interruption leaves a checkpoint.
    pub fn run(&self) -> Result<Fitted, StageError> {
        let mut at = self.start()?;
        let memory = at.learner.memory(self.task.most()).map_err(|error| failed(&error))?;
        self.io.memory(memory + self.task.watching(&at.learner))?;
        at.learner.check_memory(self.task.most()).map_err(|error| failed(&error))?;
        let result = self.train(&mut at);
        if matches!(result, Err(StageError::Interrupted)) {
            self.save(&mut at)?;
        }
        result?;
        let last = at.state.epoch;
        let (weights, chosen) = match (at.best_weights, at.state.best) {
            (Some(weights), Some(best)) => (weights, best.epoch),
            _ => (at.learner.save_weights(&self.card).map_err(|error| failed(&error))?, last),
        };
        Ok(Fitted { weights, history: at.state.history, epochs: last, chosen })
    }

    fn start(&self) -> Result<Checkpoint<T::Learner>, StageError> {
        match checkpoint::read::<T::Learner>(&self.dir, &self.fingerprint) {
            Ok(Some(found)) if self.task.continues(&found.learner) => {
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
        let learner = self.task.start()?;
        Ok(Checkpoint { learner, state: State::new(self.fingerprint.clone()), best_weights: None })
    }

    fn save(&self, at: &mut Checkpoint<T::Learner>) -> Result<(), StageError> {
        checkpoint::write(self.io, &mut at.learner, &at.state, at.best_weights.as_deref())
    }

    /// Everything in `at` changes together after a step and after an epoch, so that it can be saved wherever this returns.
    fn train(&self, at: &mut Checkpoint<T::Learner>) -> Result<(), StageError> {
        let steps = self.task.steps();
        let next = at.state.epoch as usize * steps + at.state.step;
        std::thread::scope(|scope| {
            let loader = Loader::start(scope, &self.task, next, self.task.course().epochs, self.workers);
            self.train_on(at, loader)
        })
    }

    fn train_on(
        &self,
        at: &mut Checkpoint<T::Learner>,
        mut loader: Loader<T::Batch>,
    ) -> Result<(), StageError> {
        let (steps, epochs) = (self.task.steps(), self.task.course().epochs);
        let (mut saved, mut shown) = (Instant::now(), None::<Instant>);
        let mut note = String::new();
        let (mut samples, mut stepping) = (0, Duration::ZERO);
        while at.state.epoch < epochs && !at.state.stopped {
            let epoch = at.state.epoch;
            self.task.begin_epoch(&mut at.learner, epoch)?;
            while at.state.step < steps {
                self.io.tick()?;
                if saved.elapsed() >= SAVE_AFTER {
                    self.save(at)?;
                    saved = Instant::now();
                }
                if shown.is_none_or(|shown| shown.elapsed() >= Duration::from_millis(200)) {
                    let at = format!("step {}/{steps}{note}", at.state.step + 1);
                    self.io.progress(u64::from(epoch), u64::from(epochs), "epochs", at);
                    shown = Some(Instant::now());
                }
                let begin = Instant::now();
                samples += self.step(at, &loader.next()?)?;
                stepping += begin.elapsed();
            }
            self.end_epoch(at)?;
            let line = self.line(&at.state.history, epoch + 1);
            self.io.log(&line);
            note = line.split_once(": ").map_or(String::new(), |(_, numbers)| format!(", {numbers}"));
            let done = u64::from(epoch) + 1;
            self.io.progress(done, u64::from(epochs), "epochs", note.trim_start_matches(", "));
        }
        if samples > 0 {
            self.io.log(&loader.pace(samples, stepping));
        }
        Ok(())
    }

    /// What the schedule waits for, where it waits for a plateau.
    fn plateau(&self) -> Option<PlateauSpec> {
        let course = self.task.course();
        course.judged.and_then(|judged| course.schedule.plateau(judged.metric.falls()))
    }

    /// The learning rate of a step of the epoch that a state is in.
    fn rate(&self, state: &State, step: usize) -> f64 {
        let course = self.task.course();
        let schedule: ScheduleSpec = course.schedule.spec(course.warm_up);
        let moment = Moment {
            epoch: u64::from(state.epoch),
            step: step as u64,
            steps_per_epoch: self.task.steps() as u64,
            epochs: u64::from(course.epochs),
        };
        let scale = self.plateau().map_or(1.0, |spec| state.plateau.scale(&spec));
        scale * schedule.rate(course.rate, moment)
    }

    /// Takes a step; gives how many samples it was taken on.
    fn step(&self, at: &mut Checkpoint<T::Learner>, batch: &T::Batch) -> Result<usize, StageError> {
        let (epoch, step) = (at.state.epoch, at.state.step);
        let rate = self.rate(&at.state, step);
        let found = self.io.spread(|| self.task.step(&mut at.learner, batch, rate));
        let found = found.map_err(|error| self.explain(&error, &at.learner, epoch, step))?;
        at.state.sums.resize(found.sums.len(), Bits::default());
        for (sum, found) in at.state.sums.iter_mut().zip(found.sums) {
            *sum = Bits::new(sum.get() + found);
        }
        at.state.seen += found.samples;
        at.state.step += 1;
        Ok(found.samples)
    }

    /// Why a step failed. Where numbers left their range, the weights before the step are kept for whoever looks for the cause.
    fn explain(&self, error: &NnError, learner: &T::Learner, epoch: u32, step: usize) -> StageError {
        let what = match error {
            NnError::NonFiniteLoss { loss, .. } => format!("the loss is {loss}"),
            NnError::NonFiniteGradient { norm, .. } => format!("the norm of the gradient is {norm}"),
            other => return failed(other),
        };
        let place = format!("in epoch {}, step {} of {}", epoch + 1, step + 1, self.task.steps());
        let file = self.dir.join(LAST_GOOD);
        let saved = learner.save_weights(&self.card).ok().and_then(|bytes| fs_err::write(&file, bytes).ok());
        let kept =
            saved.map_or(String::new(), |()| format!("; the weights before it are in `{}`", file.display()));
        StageError::failed(format!("{what} {place}{kept}")).help(DIVERGED)
    }

    /// Measures, then brings the state to the next epoch.
    fn end_epoch(&self, at: &mut Checkpoint<T::Learner>) -> Result<(), StageError> {
        let tick = || self.io.tick();
        let epoch = at.state.epoch + 1;
        let placed = |error| match error {
            StageError::Failed { message, .. } => {
                StageError::failed(format!("after epoch {epoch}: {message}")).help(DIVERGED)
            }
            other => other,
        };
        let measures = self.task.validate(&at.learner, &tick).map_err(placed)?;
        let test = self.task.test(&at.learner, &tick).map_err(placed)?;
        let value = match self.task.course().judged {
            Some(judged) => self.judge(at, epoch, measures.as_ref(), &judged)?,
            None => None,
        };
        let rate = self.rate(&at.state, self.task.steps() - 1);
        if let (Some(spec), Some(value)) = (self.plateau(), value) {
            at.state.plateau.observe(&spec, value);
        }
        let mut found = Vec::new();
        for (subset, measures) in [("val", &measures), ("test", &test)] {
            let rows = measures.iter().flat_map(Measures::iter);
            found.extend(rows.map(|(metric, value)| (subset, metric.name(), value)));
        }
        found.extend(self.task.watch(&at.learner, epoch, &tick).map_err(placed)?);
        self.record(&mut at.state, epoch, rate, &found);
        Ok(())
    }

    /// Decides about an epoch by the validation subset; gives the value that counts, if one does.
    fn judge(
        &self,
        at: &mut Checkpoint<T::Learner>,
        epoch: u32,
        measures: Option<&Measures>,
        judged: &Judged<'_>,
    ) -> Result<Option<f64>, StageError> {
        let watched = judged.metric;
        let value = measures.and_then(|measures| measures.get(watched));
        if judged.needed && value.is_none() {
            return Err(StageError::failed(format!(
                "`{}` is undefined on the validation subset",
                watched.name()
            ))
            .help("watch another metric, or take a validation subset that has every class"));
        }
        let value = value.filter(|_| epoch > judged.settling);
        let is_best = |best: Option<Best>, value, margin| {
            best.is_none_or(|best: Best| best.beaten_by(value, margin, watched))
        };
        if let Some(value) = value.filter(|&value| is_best(at.state.best, value, 0.0)) {
            if judged.select == Select::Best {
                at.best_weights = Some(at.learner.save_weights(&self.card).map_err(|error| failed(&error))?);
            }
            at.state.best = Some(Best { epoch, value: Bits::new(value) });
        }
        if let (Some(stopping), Some(value)) = (judged.early_stopping, value) {
            if is_best(at.state.improved, value, stopping.min_delta) {
                at.state.improved = Some(Best { epoch, value: Bits::new(value) });
            }
            at.state.stopped = at.state.improved.is_some_and(|best| epoch - best.epoch >= stopping.patience);
        }
        Ok(value)
    }

    fn record(&self, state: &mut State, epoch: u32, rate: f64, found: &[Watched]) {
        let seen = state.seen.max(1) as f64;
        for (name, sum) in self.task.measured().into_iter().zip(&state.sums) {
            state.history.add(epoch, "train", name, Some(sum.get() / seen));
        }
        state.history.add(epoch, "train", "rate", Some(rate));
        for &(subset, metric, value) in found {
            state.history.add(epoch, subset, metric, value);
        }
        state.epoch = epoch;
        (state.step, state.seen) = (0, 0);
        state.sums.clear();
    }

    fn line(&self, history: &History, epoch: u32) -> String {
        let epochs = self.task.course().epochs;
        let digits = epochs.to_string().len();
        format!("epoch {epoch:digits$}/{epochs}: {}", history.line(epoch))
    }
}
