//! What follows from the end of an instance: for its readers, for those that wait, and for what is remembered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sndpipe_cache::{CacheError, Digest};

use super::passing::keep;
use super::scheduler::Run;
use super::state::{State, Task};
use crate::cell::InstanceId;
use crate::error::StageError;
use crate::event::{Event, Outcome};
use crate::job::{Done, Finished};
use crate::key::{Face, Faces};
use crate::known::Known;

impl Run<'_> {
    pub(super) fn done(&mut self, done: Done) -> Result<(), CacheError> {
        let Done { id, key, wall, usage, log, result } = done;
        let usage = self.meter.end(id, usage);
        tracing::info!("`{}` ended after {wall:?}: {usage:?}", self.graph.instances[id]);
        self.in_flight.remove(&key);
        let State::Running(task, mut waiters) = self.states.go(id, State::Ended) else { return Ok(()) };
        waiters.retain(|&waiter| matches!(self.states.of(waiter), State::Following(_)));
        let Task { parts, reason, elsewhere } = *task;
        if let Err(StageError::Elsewhere { holder, computed }) = result {
            self.announce(id, true);
            let before = elsewhere.map_or(0, |(_, before)| before);
            let elsewhere = Some((holder, before + computed));
            self.states.go(id, State::Locked(Box::new(Task { parts, reason, elsewhere })));
            waiters.into_iter().for_each(|waiter| self.states.pass(waiter, State::Ready));
            return Ok(());
        }
        match result {
            Ok(Finished { faces, rows, remarks }) => {
                self.forced.remove(&id);
                self.warn_if_different(id, &faces);
                self.remember(id, &faces);
                self.settle(id, faces.clone(), Outcome::Ran { wall, rows, reason, remarks, usage });
                for waiter in waiters {
                    self.forced.remove(&waiter);
                    if self.keeps(waiter) && !self.keeps(id) {
                        keep(self.store, Some(&key));
                    }
                    self.cached(waiter, faces.clone());
                }
                Ok(())
            }
            Err(StageError::Interrupted | StageError::Elsewhere { .. }) => {
                self.end(id, Outcome::Interrupted);
                Ok(())
            }
            Err(StageError::Cache(error @ CacheError::Damaged { artefact, .. })) => {
                self.repair(id, &error, artefact, waiters);
                Ok(())
            }
            Err(StageError::Cache(error)) => {
                self.end(id, Outcome::Failed { message: error.to_string(), help: None, log, wall, usage });
                Err(error)
            }
            Err(StageError::Failed { message, help } | StageError::Passing { message, help, .. }) => {
                for waiter in waiters {
                    self.fail(waiter, Outcome::failed(&message, help.clone()));
                }
                self.fail(id, Outcome::Failed { message, help, log, wall, usage });
                Ok(())
            }
        }
    }

    /// Keeps what an instance that ran gave, so that a run which is killed later can still be explained. Written once a second, and
    /// less often where writing takes long; an error shows at the next write that matters.
    fn remember(&mut self, id: InstanceId, faces: &Faces) {
        const EVERY: Duration = Duration::from_secs(1);
        /// The share of the time that may go into it: one in so many.
        const SHARE: u32 = 20;
        let Some(key) = self.keys[id] else { return };
        let mut known = Known::written(self.store, &key, Arc::clone(faces)).filter(|_| self.keeps(id));
        if let Some(known) = known.as_mut().filter(|_| self.asked[id]) {
            known.locate(self.store, false);
        }
        self.learn(id, key, known);
        let started = Instant::now();
        if started >= self.history_due.0 {
            let written = self.history.write(self.store, self.graph).is_ok();
            self.history_due = (Instant::now() + EVERY.max(started.elapsed() * SHARE), !written);
        }
    }

    pub(super) fn learn(&mut self, id: InstanceId, key: Digest, known: Option<Known>) {
        self.history.learn(self.graph.instances[id].to_string(), key, known);
        self.history_due.1 = true;
    }

    fn warn_if_different(&self, id: InstanceId, faces: &[Face]) {
        let Some(before) = &self.faces[id] else { return };
        if before.iter().map(|face| face.id).ne(faces.iter().map(|face| face.id)) {
            let text = format!(
                "`{}` gave another result than before from the same inputs: it is not deterministic",
                self.graph.instances[id]
            );
            self.observer.event(&Event::Warning { text: &text });
        }
    }

    pub(super) fn cached(&mut self, id: InstanceId, faces: Faces) {
        tracing::debug!("`{}` is cached", self.graph.instances[id]);
        let (skipped, remarked) = faces.first().map_or((0, 0), |face| (face.skipped, face.remarked));
        self.settle(id, faces, Outcome::Cached { skipped, remarked });
    }

    /// The outputs of the instance are known; its readers may follow.
    pub(super) fn settle(&mut self, id: InstanceId, faces: Faces, outcome: Outcome) {
        let again = self.faces[id].is_some();
        self.faces[id] = Some(faces);
        self.end(id, outcome);
        if let Some(waiting) = self.rebuilding.remove(&id) {
            waiting.into_iter().for_each(|reader| self.states.one_less(reader));
        }
        if !again {
            for &reader in self.readers[id].iter().filter(|&&reader| self.needed[reader]) {
                self.states.one_less(reader);
            }
        }
        self.pass(id);
    }

    pub(super) fn fail(&mut self, id: InstanceId, outcome: Outcome) {
        self.end(id, outcome);
        if self.options.fail_fast {
            self.stop = true;
            self.options.cancel.store(true, Ordering::Relaxed);
        }
        let because = self.graph.instances[id].to_string();
        let mut stack = self.readers[id].clone();
        stack.extend(self.rebuilding.remove(&id).unwrap_or_default());
        while let Some(reader) = stack.pop() {
            let is_left = self.needed[reader] && !self.outcomes.contains_key(&reader);
            if is_left && !matches!(self.states.of(reader), State::Running(..)) {
                self.end(reader, Outcome::Skipped { because: because.clone() });
                stack.extend(self.readers[reader].iter().copied());
            }
        }
    }

    pub(super) fn end(&mut self, id: InstanceId, outcome: Outcome) {
        self.states.go(id, State::Ended);
        self.observer.event(&Event::Finished { id, outcome: &outcome, key: self.keys[id] });
        self.outcomes.insert(id, outcome);
    }
}
