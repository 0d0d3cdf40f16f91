//! Where each instance of a run is, and the one way from there to the next place.

use std::collections::BTreeSet;

use sndpipe_cache::Holder;

use crate::cell::InstanceId;
use crate::key::KeyParts;

/// Where an instance is.
pub(super) enum State {
    /// So many of its inputs are not settled yet.
    Waiting(usize),
    /// All inputs are known: its result is to be looked for.
    Due,
    /// It must run, and so many of its inputs are made again before.
    Rebuilding(usize),
    /// It must run, its inputs are there, it waits for a slot.
    Ready(Box<Task>),
    /// Another process computes it, or rows of it: it is looked at again now and then.
    Locked(Box<Task>),
    /// Another instance of this run computes its key.
    Following(Box<Task>),
    /// It runs; the others get what it gives.
    Running(Box<Task>, Vec<InstanceId>),
    /// Nothing is to be done.
    Ended,
}

/// What an instance runs with.
pub(super) struct Task {
    pub parts: KeyParts,
    pub reason: String,
    /// Who computes rows of it elsewhere, and how many this run has computed.
    pub elsewhere: Option<(Holder, u64)>,
}

impl State {
    /// What it is to run with.
    pub fn task(&self) -> Option<&Task> {
        match self {
            Self::Ready(task) | Self::Locked(task) | Self::Following(task) | Self::Running(task, _) => {
                Some(task)
            }
            Self::Waiting(_) | Self::Due | Self::Rebuilding(_) | Self::Ended => None,
        }
    }

    fn into_task(self) -> Option<Box<Task>> {
        match self {
            Self::Ready(task) | Self::Locked(task) | Self::Following(task) | Self::Running(task, _) => {
                Some(task)
            }
            Self::Waiting(_) | Self::Due | Self::Rebuilding(_) | Self::Ended => None,
        }
    }
}

/// The states of all instances, and in the order of the graph those that something is to be done with.
pub(super) struct States {
    all: Vec<State>,
    due: BTreeSet<InstanceId>,
    ready: BTreeSet<InstanceId>,
    locked: BTreeSet<InstanceId>,
    running: usize,
}

impl States {
    pub fn new(all: Vec<State>) -> Self {
        let (due, ready, locked) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { all, due, ready, locked, running: 0 }
    }

    pub fn of(&self, id: InstanceId) -> &State {
        &self.all[id]
    }

    /// Moves an instance on, and gives the state that it leaves. Nothing else takes it from one place to another.
    pub fn go(&mut self, id: InstanceId, next: State) -> State {
        match self.all[id] {
            State::Due => drop(self.due.remove(&id)),
            State::Ready(_) => drop(self.ready.remove(&id)),
            State::Locked(_) => drop(self.locked.remove(&id)),
            State::Running(..) => self.running -= 1,
            State::Waiting(_) | State::Rebuilding(_) | State::Following(_) | State::Ended => {}
        }
        match next {
            State::Due => drop(self.due.insert(id)),
            State::Ready(_) => drop(self.ready.insert(id)),
            State::Locked(_) => drop(self.locked.insert(id)),
            State::Running(..) => self.running += 1,
            State::Waiting(_) | State::Rebuilding(_) | State::Following(_) | State::Ended => {}
        }
        std::mem::replace(&mut self.all[id], next)
    }

    /// Moves an instance on with the task that it has; one that has none stays.
    pub fn pass(&mut self, id: InstanceId, next: impl FnOnce(Box<Task>) -> State) {
        if self.all[id].task().is_some()
            && let Some(task) = self.go(id, State::Ended).into_task()
        {
            self.go(id, next(task));
        }
    }

    /// A running instance gives what it gives to another one, too.
    pub fn follow(&mut self, running: InstanceId, id: InstanceId) {
        if let State::Running(_, followers) = &mut self.all[running] {
            followers.push(id);
        }
    }

    /// One of what an instance waits for is there now: with the last one it is due.
    pub fn one_less(&mut self, id: InstanceId) {
        let next = match self.all[id] {
            State::Waiting(left @ 2..) => State::Waiting(left - 1),
            State::Rebuilding(left @ 2..) => State::Rebuilding(left - 1),
            State::Waiting(_) | State::Rebuilding(_) => State::Due,
            _ => return,
        };
        self.go(id, next);
    }

    /// The first instance that is due.
    pub fn due(&self) -> Option<InstanceId> {
        self.due.first().copied()
    }

    /// The first instance from here on that waits for a slot.
    pub fn ready(&self, from: InstanceId) -> Option<InstanceId> {
        self.ready.range(from..).next().copied()
    }

    /// Whether nothing waits for a slot or for another process.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.locked.is_empty()
    }

    pub fn is_locked(&self) -> bool {
        !self.locked.is_empty()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// What another process has computed is looked at again.
    pub fn unlock(&mut self) {
        for id in std::mem::take(&mut self.locked) {
            self.pass(id, State::Ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn task() -> Box<Task> {
        let (params, inputs) = (BTreeMap::new(), Vec::new());
        let parts = KeyParts { kind: "toy".to_owned(), version: 1, params, inputs, sources: None };
        Box::new(Task { parts, reason: "never ran".to_owned(), elsewhere: None })
    }

    /// Whatever an instance goes through, it is in the queue of the place where it is and in no other.
    #[test]
    fn an_instance_is_in_one_place() {
        let mut states = States::new(vec![State::Waiting(2), State::Ended]);
        let seen = |states: &States| (states.due(), states.ready(0), states.is_locked(), states.running());
        states.one_less(0);
        assert_eq!(seen(&states), (None, None, false, 0));
        states.one_less(0);
        assert_eq!(seen(&states), (Some(0), None, false, 0));
        states.go(0, State::Rebuilding(1));
        assert_eq!(seen(&states), (None, None, false, 0));
        states.one_less(0);
        states.go(0, State::Ready(task()));
        assert_eq!(seen(&states), (None, Some(0), false, 0));
        assert_eq!((states.ready(1), states.is_idle()), (None, false));
        states.pass(0, State::Locked);
        assert_eq!(seen(&states), (None, None, true, 0));
        states.unlock();
        assert_eq!(seen(&states), (None, Some(0), false, 0));
        states.pass(0, State::Locked);
        states.pass(0, State::Following);
        assert_eq!(seen(&states), (None, None, false, 0));
        states.pass(0, State::Ready);
        states.pass(0, |task| State::Running(task, vec![1]));
        assert_eq!(seen(&states), (None, None, false, 1));
        assert!(matches!(states.go(0, State::Ended), State::Running(_, followers) if followers == [1]));
        assert_eq!(seen(&states), (None, None, false, 0));
        // One that has ended waits for nothing, and has nothing to run with.
        states.one_less(0);
        states.pass(0, State::Ready);
        assert!(matches!(states.of(0), State::Ended) && states.is_idle());
    }
}
