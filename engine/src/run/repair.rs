//! Results that are recorded but gone or damaged, and are needed: they are made again.

use std::collections::BTreeSet;

use sndpipe_cache::{CacheError, Digest};

use super::scheduler::Run;
use super::state::{State, Task};
use crate::cell::InstanceId;
use crate::event::{Event, Outcome};
use crate::key::{Face, KeyParts};
use crate::plan::is_present;
use crate::resolve::key_parts;

/// How often an instance is tried again after an input of it, or its result, turned out to be damaged.
const REPAIRS: u32 = 3;

impl Run<'_> {
    /// Queues an instance, after those of its inputs that are recorded but gone.
    pub(super) fn must_run(&mut self, id: InstanceId, parts: KeyParts, reason: String) {
        let mut next = vec![(id, parts, reason)];
        while let Some((id, parts, reason)) = next.pop() {
            let mut gone = BTreeSet::new();
            for item in self.graph.instances[id].inputs.iter().flat_map(|input| &input.items) {
                let face = self.faces[item.from].as_ref().and_then(|faces| faces.get(item.output));
                if face.is_none_or(|face| !is_present(self.store, face)) {
                    gone.insert(item.from);
                }
            }
            if gone.is_empty() {
                self.states.go(id, State::Ready(Box::new(Task { parts, reason, elsewhere: None })));
                continue;
            }
            self.states.go(id, State::Rebuilding(gone.len()));
            for producer in gone {
                let first = !self.rebuilding.contains_key(&producer);
                self.rebuilding.entry(producer).or_default().push(id);
                if first && let Ok(Some(parts)) = key_parts(self.graph, producer, &self.faces, self.sources) {
                    let reason = format!(
                        "its output is gone from the cache and `{}` needs it",
                        self.graph.instances[id].stage
                    );
                    next.push((producer, parts, reason));
                }
            }
        }
    }

    /// An input was damaged: it is dropped, computed again, and the stage is tried once more.
    pub(super) fn repair(
        &mut self,
        id: InstanceId,
        error: &CacheError,
        artefact: Digest,
        waiters: Vec<InstanceId>,
    ) {
        self.observer.event(&Event::Warning { text: &format!("{error}; computing it again") });
        if let Some(manifest) = self.store.manifest(&artefact) {
            self.store.drop_artefact(&manifest);
        }
        for id in waiters.into_iter().chain([id]) {
            self.try_again(id, &error.to_string());
        }
    }

    /// Looks at every byte of the results that are about to be read; those that are damaged are dropped and made again. Says whether any
    /// is.
    pub(super) fn look_over(&mut self) -> bool {
        let mut damaged = false;
        for id in std::mem::take(&mut self.unread) {
            let Some(faces) = self.faces[id].clone().filter(|_| self.store.is_writable()) else { continue };
            let is_whole = |face: &Face| {
                let manifest = self.store.manifest(&face.id)?;
                let is_whole = self.store.is_whole(&manifest);
                if !is_whole {
                    self.store.drop_artefact(&manifest);
                }
                is_whole.then_some(())
            };
            if faces.iter().map(is_whole).filter(Option::is_none).count() > 0 {
                damaged = true;
                self.unread.insert(id);
                self.try_again(id, "its result is damaged");
            }
        }
        damaged
    }

    /// Looks again for the result of an instance after something damaged was dropped.
    fn try_again(&mut self, id: InstanceId, why: &str) {
        let tries = self.repairs.entry(id).or_default();
        *tries += 1;
        if *tries > REPAIRS {
            let help = "the disk or the memory of this machine may be faulty; `sndpipe cache verify` looks at every file";
            self.unread.remove(&id);
            self.fail(id, Outcome::failed(format!("{why}, {REPAIRS} times in a row"), Some(help.to_owned())));
        } else {
            self.consider(id);
        }
    }
}
