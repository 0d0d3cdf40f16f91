//! `keep: false` in a run: which results nothing waits for any more.

use std::collections::BTreeSet;

use super::passing::{Around, Passing};
use super::scheduler::Run;
use super::state::State;
use crate::cell::InstanceId;
use crate::event::Outcome;

impl Run<'_> {
    /// Whether the outputs of an instance are kept when nothing waits for them any more.
    pub(super) fn keeps(&self, id: InstanceId) -> bool {
        self.lookout().keeps(id)
    }

    /// `keep: false`: notes which inputs of the instance, or whether the instance itself, nothing waits for any more.
    pub(super) fn pass(&mut self, id: InstanceId) {
        let inputs =
            self.graph.instances[id].inputs.iter().flat_map(|input| &input.items).map(|item| item.from);
        let passing: BTreeSet<InstanceId> = inputs.chain([id]).filter(|&id| !self.keeps(id)).collect();
        for id in passing {
            if !self.is_waited_for(id) {
                self.passing.add(id);
            }
        }
    }

    /// Whether an instance that reads the outputs of this one is still to come, or has failed and may be tried again.
    fn is_waited_for(&self, id: InstanceId) -> bool {
        let ended = |reader: &InstanceId| {
            matches!(self.outcomes.get(reader), Some(Outcome::Ran { .. } | Outcome::Cached { .. }))
                && matches!(self.states.of(*reader), State::Ended)
        };
        let readers = &self.readers[id];
        self.awaited[id].is_any_left(readers.len(), |at| self.needed[readers[at]] && !ended(&readers[at]))
    }

    /// Lets go of results that only pass through; `ran` says at the end of the run whether anything did.
    pub(super) fn let_go(&mut self, ran: Option<bool>) {
        if !self.store.is_writable() {
            return;
        }
        let mut passing = std::mem::replace(&mut self.passing, Passing::new());
        let needed = |id: InstanceId| self.faces[id].is_some() && (self.asked[id] || self.is_waited_for(id));
        let Self { graph, store, faces, keys, .. } = &*self;
        let around = Around { graph, store, faces, keys, needed: &needed, keeps: &|id| self.keeps(id) };
        match ran {
            None => passing.let_go(&around),
            Some(ran) => passing.finish(&around, ran),
        }
        self.passing = passing;
    }
}
