//! Handing instances to threads, each key once among all processes.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Scope;

use sndpipe_cache::{CacheError, KeyLock};

use super::passing::keep;
use super::scheduler::Run;
use super::state::State;
use crate::cell::InstanceId;
use crate::device::Device;
use crate::event::Event;
use crate::io::Surroundings;
use crate::job::{Done, Job};
use crate::plan::is_present;
use crate::record::Record;

impl<'a> Run<'a> {
    fn uses_accelerator(&self, id: InstanceId) -> bool {
        self.options.device != Device::Cpu && self.graph.instances[id].bound.wants_accelerator()
    }

    pub(super) fn dispatch<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        around: &'scope Surroundings<'scope>,
        send: &Sender<(Done, KeyLock)>,
    ) -> Result<(), CacheError>
    where
        'a: 'scope,
    {
        let mut next = 0;
        let mut accelerator_busy = self.in_flight.values().any(|&id| self.uses_accelerator(id));
        while self.states.running().saturating_sub(around.gate.waiting()) < self.options.jobs.max(1)
            && let Some(id) = self.states.ready(next)
        {
            next = id + 1;
            let accelerated = self.uses_accelerator(id);
            if accelerated && accelerator_busy {
                continue;
            }
            let (Some(key), Some(task)) = (self.keys[id], self.states.of(id).task()) else {
                self.states.go(id, State::Ended);
                continue;
            };
            if let Some(&first) = self.in_flight.get(&key) {
                self.states.pass(id, State::Following);
                self.states.follow(first, id);
                continue;
            }
            let earlier = task.elsewhere.as_ref().map(|(_, computed)| *computed);
            if task.elsewhere.as_ref().is_some_and(|(holder, _)| self.store.is_busy(holder)) {
                self.states.pass(id, State::Locked);
                continue;
            }
            let Some(lock) = self.store.try_lock(&key)? else {
                self.announce(id, false);
                self.states.pass(id, State::Locked);
                continue;
            };
            // Another process may have finished it between our look and our lock.
            if !self.forced.contains(&id)
                && let Some((outputs, passing)) = Record::read_outputs(self.store, &key)
                && outputs.iter().all(|face| is_present(self.store, face))
            {
                if passing && self.keeps(id) {
                    keep(self.store, Some(&key));
                }
                drop(lock);
                self.cached(id, outputs);
                continue;
            }
            let inputs = Job::inputs(self.graph, id, &self.faces);
            let sources = self.sources.of(id).map(Arc::clone);
            let (forced, passing) = (self.forced.contains(&id), !self.keeps(id));
            let computed = earlier.unwrap_or(0);
            let Some(task) = self.states.of(id).task() else { continue };
            let (parts, reason) = (task.parts.clone(), task.reason.clone());
            let job = Job { id, key, parts, inputs, sources, computed, forced, passing };
            self.in_flight.insert(key, id);
            self.states.pass(id, |task| State::Running(task, Vec::new()));
            self.meter.start(id);
            accelerator_busy |= accelerated;
            if earlier.is_none() {
                tracing::info!("`{}` starts: {reason}", self.graph.instances[id]);
                self.observer.event(&Event::Started { id, reason: &reason });
            }
            let (send, graph) = (send.clone(), self.graph);
            scope.spawn(move || {
                let done = job.run(graph, around);
                // The receiver outlives every job.
                let _ = send.send((done, lock));
            });
        }
        Ok(())
    }

    /// Says once that an instance waits for another process, or for some of its rows.
    pub(super) fn announce(&mut self, id: InstanceId, rows: bool) {
        if self.announced.insert(id) {
            tracing::info!("`{}` is computed by another process", self.graph.instances[id]);
            self.observer.event(&Event::Waiting { id, rows });
        }
    }
}
