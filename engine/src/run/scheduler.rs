//! The scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use sndpipe_cache::{CacheError, Digest, KeyLock, Store};

use super::options::RunOptions;
use super::passing::{Passing, Search, keep};
use super::report::RunReport;
use super::state::{State, States};
use crate::cell::InstanceId;
use crate::event::{Observer, Outcome};
use crate::graph::{Graph, Instance};
use crate::history::History;
use crate::io::Surroundings;
use crate::job::Done;
use crate::key::Faces;
use crate::resolve::{Sources, changes, key_parts};
use crate::survey::{Finding, Lookout, Survey, asked};
use crate::usage::Meter;

/// The scheduler: what a run knows while it lasts.
pub(super) struct Run<'a> {
    pub graph: &'a Graph,
    pub store: &'a Store,
    pub sources: &'a Sources,
    pub options: &'a RunOptions<'a>,
    pub observer: &'a dyn Observer,
    pub history: History,
    /// When the history may be written again, and whether it has changed since it was.
    pub history_due: (Instant, bool),
    /// What was known before anything ran; each finding is taken once, later looks go to the cache.
    pub survey: Survey,
    /// Instances whose outputs are those of the survey, so that it is right about their readers.
    pub as_surveyed: Vec<bool>,
    pub needed: Vec<bool>,
    /// What must be there in the end, not only recorded.
    pub asked: Vec<bool>,
    pub readers: Vec<Vec<InstanceId>>,
    /// Of each instance, for readers that are still to come.
    pub awaited: Vec<Search>,
    pub states: States,
    pub faces: Vec<Option<Faces>>,
    pub keys: Vec<Option<Digest>>,
    pub outcomes: BTreeMap<InstanceId, Outcome>,
    /// Said to be waited for.
    pub announced: BTreeSet<InstanceId>,
    /// Key -> the instance that computes it.
    pub in_flight: BTreeMap<Digest, InstanceId>,
    /// Instance whose output is gone -> instances that wait until it is there again.
    pub rebuilding: BTreeMap<InstanceId, Vec<InstanceId>>,
    pub repairs: BTreeMap<InstanceId, u32>,
    /// Results that are read when the run has ended, and were not looked at yet.
    pub unread: BTreeSet<InstanceId>,
    pub forced: BTreeSet<InstanceId>,
    pub passing: Passing,
    pub meter: Meter,
    pub stop: bool,
}

impl<'a> Run<'a> {
    pub fn new(
        graph: &'a Graph,
        store: &'a Store,
        sources: &'a Sources,
        options: &'a RunOptions<'a>,
        observer: &'a dyn Observer,
    ) -> Self {
        let count = graph.instances.len();
        let unsettled = |instance: &Instance| {
            let inputs = instance.inputs.iter().flat_map(|input| &input.items);
            inputs.map(|item| item.from).collect::<BTreeSet<_>>().len()
        };
        let states = graph.instances.iter().map(|instance| State::Waiting(unsettled(instance)));
        let needed = graph.needed(&options.targets);
        let readers = graph.readers();
        let asked = asked(&readers, &options.targets, &needed);
        let forced: BTreeSet<InstanceId> = options.force.iter().copied().collect();
        let mut history = History::read(store, graph);
        let lookout = Lookout { graph, store, sources, history: &history, asked: &asked, check: true };
        let mut survey = Survey::new(&lookout, &needed, |id| forced.contains(&id));
        let learnt = std::mem::take(&mut survey.learnt);
        for &id in &survey.passing {
            keep(store, survey.keys[id].as_ref());
        }
        let history_due = (Instant::now(), !learnt.is_empty());
        for (id, known) in learnt {
            if let Some(key) = survey.keys[id] {
                history.learn(graph.instances[id].to_string(), key, Some(known));
            }
        }
        Self {
            graph,
            store,
            sources,
            options,
            observer,
            history,
            history_due,
            survey,
            as_surveyed: vec![false; count],
            needed,
            asked,
            readers,
            awaited: vec![Search::default(); count],
            states: States::new(states.collect()),
            faces: vec![None; count],
            keys: vec![None; count],
            outcomes: BTreeMap::new(),
            announced: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            rebuilding: BTreeMap::new(),
            repairs: BTreeMap::new(),
            unread: options.read.iter().copied().collect(),
            forced,
            passing: Passing::new(),
            meter: Meter::new(),
            stop: false,
        }
    }

    pub fn drive<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        around: &'scope Surroundings<'scope>,
    ) -> Result<(), CacheError>
    where
        'a: 'scope,
    {
        let (send, receive) = mpsc::channel::<(Done, KeyLock)>();
        for id in (0..self.graph.instances.len()).filter(|&id| self.needed[id]) {
            if matches!(self.states.of(id), State::Waiting(0)) {
                self.states.go(id, State::Due);
            }
        }
        let mut broken = None;
        let mut looked = Instant::now();
        loop {
            while let Some(id) = self.states.due() {
                self.consider(id);
            }
            if broken.is_none()
                && !self.stop
                && !self.is_cancelled()
                && let Err(error) = self.dispatch(scope, around, &send)
            {
                self.options.cancel.store(true, Ordering::Relaxed);
                broken = Some(error);
            }
            if self.states.due().is_some() {
                continue;
            }
            let stopping = broken.is_some() || self.stop || self.is_cancelled();
            if self.states.running() == 0 && (self.states.is_idle() || stopping) {
                if !stopping && self.look_over() {
                    continue;
                }
                break;
            }
            // A stage that only waits may have left its slot, a lock of another process may be free: nobody tells.
            let waits = around.gate.waiting() > 0 && self.states.ready(0).is_some();
            let polls = self.states.is_locked() || waits;
            let pause = if polls { Duration::from_millis(50) } else { Duration::from_secs(1) };
            match receive.recv_timeout(pause.saturating_sub(looked.elapsed())) {
                Ok((done, lock)) => {
                    if let Err(error) = self.done(done) {
                        self.options.cancel.store(true, Ordering::Relaxed);
                        broken.get_or_insert(error);
                    }
                    drop(lock);
                    if self.passing.is_due() && self.states.running() > 0 {
                        self.let_go(None);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // However much there is to do between.
            if looked.elapsed() >= pause {
                looked = Instant::now();
                self.meter.share_out();
                self.states.unlock();
            }
        }
        broken.map_or(Ok(()), Err)
    }

    fn is_cancelled(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
    }

    /// All inputs of the instance are known: is its result there?
    pub fn consider(&mut self, id: InstanceId) {
        self.states.go(id, State::Ended);
        let finding = match self.find(id) {
            Ok(Some(finding)) => finding,
            Ok(None) => return,
            Err(message) => return self.fail(id, Outcome::failed(message, None)),
        };
        let Finding { key, outputs, gone, learnt, passing } = finding;
        self.keys[id] = Some(key);
        if passing {
            keep(self.store, Some(&key));
        }
        if let Some(known) = learnt {
            self.learn(id, key, Some(known));
        }
        let forced = self.forced.contains(&id);
        if let Some(outputs) = outputs.filter(|_| !forced && !gone) {
            return self.cached(id, outputs);
        }
        self.as_surveyed[id] = false;
        let Ok(Some(parts)) = key_parts(self.graph, id, &self.faces, self.sources) else { return };
        let files = self.sources.of(id).map(|files| &files[..]);
        let reason = if forced {
            "forced".to_owned()
        } else {
            changes(self.store, &self.history, &self.graph.instances[id].to_string(), &key, &parts, files)
                .join("; ")
        };
        self.must_run(id, parts, reason);
    }

    /// What the survey found about an instance, where its inputs are those that the survey saw; else what is found now.
    fn find(&mut self, id: InstanceId) -> Result<Option<Finding>, String> {
        let mut inputs = self.graph.instances[id].inputs.iter().flat_map(|input| &input.items);
        if let Some(key) = self.survey.keys[id].take()
            && inputs.all(|item| self.as_surveyed[item.from])
        {
            self.as_surveyed[id] = true;
            let (outputs, gone) = (self.survey.faces[id].take(), self.survey.gone[id]);
            return Ok(Some(Finding { key, outputs, gone, learnt: None, passing: false }));
        }
        self.lookout().look(id, &self.faces)
    }

    pub fn lookout(&self) -> Lookout<'_> {
        let Self { graph, store, sources, history, asked, .. } = self;
        Lookout { graph, store, sources, history, asked, check: true }
    }

    pub fn finish(
        mut self,
        started: (Instant, (u64, String)),
        result: Result<(), CacheError>,
    ) -> Result<RunReport, CacheError> {
        let wall = started.0.elapsed();
        for id in 0..self.graph.instances.len() {
            if self.needed[id] && !self.outcomes.contains_key(&id) {
                self.outcomes.insert(id, Outcome::Interrupted);
            }
        }
        let run_id = self.record_run(started.1, wall);
        result?;
        let ran = self.outcomes.values().any(|outcome| matches!(outcome, Outcome::Ran { .. }));
        self.let_go(Some(ran));
        let run_id = run_id?;
        let Self { outcomes, faces, keys, .. } = self;
        Ok(RunReport { id: run_id, outcomes, faces, keys, wall })
    }
}
