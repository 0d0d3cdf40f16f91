//! Handing instances to threads, each key once among all processes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Scope;

use sndpipe_cache::{CacheError, KeyLock};

use super::Run;
use super::passing::keep;
use crate::device::Device;
use crate::event::Event;
use crate::graph::InstanceId;
use crate::io::Surroundings;
use crate::job::{Done, Job};
use crate::plan::is_present;
use crate::record::Record;

impl<'a> Run<'a> {
    pub(super) fn uses_accelerator(&self, id: InstanceId) -> bool {
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
        let mut later = BTreeSet::new();
        while self.running.saturating_sub(around.gate.waiting()) < self.options.jobs.max(1)
            && let Some(id) = self.ready.pop_first()
        {
            let accelerated = self.uses_accelerator(id);
            if accelerated && self.accelerator_busy {
                later.insert(id);
                continue;
            }
            let Some(key) = self.keys[id] else { continue };
            if let Some(waiters) = self.in_flight.get_mut(&key) {
                waiters.push(id);
                continue;
            }
            if self.elsewhere.get(&id).is_some_and(|(holder, _)| self.store.is_busy(holder)) {
                self.locked.insert(id);
                continue;
            }
            let Some(lock) = self.store.try_lock(&key)? else {
                self.announce(id, false);
                self.locked.insert(id);
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
                self.pending.remove(&id);
                self.cached(id, outputs);
                continue;
            }
            let Some((parts, reason)) = self.pending.get(&id).cloned() else { continue };
            let inputs = Job::inputs(self.graph, id, &self.faces);
            let earlier = self.elsewhere.get(&id).map(|(_, computed)| *computed);
            let sources = self.sources.of(id).map(Arc::clone);
            let (forced, passing) = (self.forced.contains(&id), !self.keeps(id));
            let computed = earlier.unwrap_or(0);
            let job = Job { id, key, parts, inputs, sources, computed, forced, passing };
            self.in_flight.insert(key, Vec::new());
            self.running += 1;
            self.meter.start(id);
            self.accelerator_busy |= accelerated;
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
        self.ready.append(&mut later);
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
