//! The scheduler: runs what is missing, in parallel, each key once.

mod dispatch;
mod outcome;
mod passing;
mod recording;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use sndpipe_cache::{CacheError, Digest, Holder, KeyLock, Store};

use self::passing::{Passing, Search, keep};
use self::recording::run_id;
use crate::device::Device;
use crate::event::{Event, Observer, Outcome};
use crate::gate::Gate;
use crate::graph::{Graph, InstanceId};
use crate::history::History;
use crate::io::Surroundings;
use crate::job::{Done, now_ms};
use crate::key::{Faces, KeyParts};
use crate::resolve::{Sources, changes, key_parts};
use crate::survey::{Finding, Lookout, Survey, asked};
use crate::usage::Meter;

/// How to run.
pub struct RunOptions<'a> {
    /// What to bring up to date; empty: everything.
    pub targets: Vec<InstanceId>,
    /// Instances that run even if their result is there.
    pub force: Vec<InstanceId>,
    /// Instances whose results are read when the run has ended: what is damaged of them is made again before.
    pub read: Vec<InstanceId>,
    /// CPU slots.
    pub jobs: usize,
    /// Bytes of memory that stages may ask for together.
    pub memory: u64,
    /// Where stages that want an accelerator run.
    pub device: Device,
    /// Whether the first failure stops the run.
    pub fail_fast: bool,
    /// `--set`, for the record of the run.
    pub overrides: Vec<(String, String)>,
    /// Set from outside to stop the run.
    pub cancel: &'a AtomicBool,
}

/// How a run ended.
pub struct RunReport {
    /// The run's id.
    pub id: String,
    /// One outcome for each instance that was looked at.
    pub outcomes: BTreeMap<InstanceId, Outcome>,
    /// The outputs of each instance that is up to date now.
    pub faces: Vec<Option<Faces>>,
    /// Keys, where inputs were known.
    pub keys: Vec<Option<Digest>>,
    /// Wall time.
    pub wall: Duration,
}

impl RunReport {
    /// How many instances ended so.
    #[must_use]
    pub fn count(&self, matches: fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| matches(outcome)).count()
    }

    /// Whether everything that was asked for is up to date.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcomes.values().all(|outcome| matches!(outcome, Outcome::Ran { .. } | Outcome::Cached { .. }))
    }
}

/// Runs what is missing.
///
/// # Errors
/// [`CacheError`] where the cache became unusable or full; everything that had been recorded stays.
pub fn run(
    graph: &Graph,
    store: &Store,
    sources: &Sources,
    options: &RunOptions<'_>,
    observer: &dyn Observer,
) -> Result<RunReport, CacheError> {
    let gate = Gate::new(options.memory, options.jobs);
    let around = Surroundings {
        store,
        inputs: store,
        files: &sources.files,
        cancel: options.cancel,
        observer,
        device: options.device,
        threads: options.jobs,
        gate: &gate,
    };
    let started = (Instant::now(), run_id(store, now_ms())?);
    let mut run = Run::new(graph, store, sources, options, observer);
    observer.event(&Event::Begin { stages: run.needed.iter().filter(|&&needed| needed).count() });
    let result = std::thread::scope(|scope| run.drive(scope, &around));
    run.finish(started, result)
}

struct Run<'a> {
    graph: &'a Graph,
    store: &'a Store,
    sources: &'a Sources,
    options: &'a RunOptions<'a>,
    observer: &'a dyn Observer,
    history: History,
    /// When the history may be written again, and whether it has changed since it was.
    history_due: (Instant, bool),
    /// What was known before anything ran; each finding is taken once, later looks go to the cache.
    survey: Survey,
    /// Instances whose outputs are those of the survey, so that it is right about their readers.
    as_surveyed: Vec<bool>,
    needed: Vec<bool>,
    /// What must be there in the end, not only recorded.
    asked: Vec<bool>,
    readers: Vec<Vec<InstanceId>>,
    /// Of each instance, for readers that are still to come.
    awaited: Vec<Search>,
    /// Instances with all inputs known, to be considered.
    due: BTreeSet<InstanceId>,
    /// Inputs that are not settled yet.
    unsettled: Vec<usize>,
    faces: Vec<Option<Faces>>,
    keys: Vec<Option<Digest>>,
    outcomes: BTreeMap<InstanceId, Outcome>,
    /// Must run, inputs present, waiting for a slot.
    ready: BTreeSet<InstanceId>,
    /// Being computed by another process.
    locked: BTreeSet<InstanceId>,
    /// Who computes rows of it elsewhere, and how many this run has computed.
    elsewhere: BTreeMap<InstanceId, (Holder, u64)>,
    /// Said to be waited for.
    announced: BTreeSet<InstanceId>,
    /// What each ready instance would run with.
    pending: BTreeMap<InstanceId, (KeyParts, String)>,
    /// Key -> the instance that computes it and those that wait for it.
    in_flight: BTreeMap<Digest, Vec<InstanceId>>,
    /// Instance whose output is gone -> instances that wait until it is there again.
    rebuilding: BTreeMap<InstanceId, Vec<InstanceId>>,
    waiting_for_rebuild: BTreeMap<InstanceId, usize>,
    repairs: BTreeMap<InstanceId, u32>,
    /// Results that are read when the run has ended, and were not looked at yet.
    unread: BTreeSet<InstanceId>,
    forced: BTreeSet<InstanceId>,
    passing: Passing,
    running: usize,
    meter: Meter,
    accelerator_busy: bool,
    stop: bool,
}

impl<'a> Run<'a> {
    fn new(
        graph: &'a Graph,
        store: &'a Store,
        sources: &'a Sources,
        options: &'a RunOptions<'a>,
        observer: &'a dyn Observer,
    ) -> Self {
        let count = graph.instances.len();
        let unsettled = graph
            .instances
            .iter()
            .map(|instance| {
                instance
                    .inputs
                    .iter()
                    .flat_map(|input| &input.items)
                    .map(|item| item.from)
                    .collect::<BTreeSet<_>>()
                    .len()
            })
            .collect();
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
            due: BTreeSet::new(),
            unsettled,
            faces: vec![None; count],
            keys: vec![None; count],
            outcomes: BTreeMap::new(),
            ready: BTreeSet::new(),
            locked: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            announced: BTreeSet::new(),
            pending: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            rebuilding: BTreeMap::new(),
            waiting_for_rebuild: BTreeMap::new(),
            repairs: BTreeMap::new(),
            unread: options.read.iter().copied().collect(),
            forced,
            passing: Passing::new(),
            running: 0,
            meter: Meter::new(),
            accelerator_busy: false,
            stop: false,
        }
    }

    fn drive<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        around: &'scope Surroundings<'scope>,
    ) -> Result<(), CacheError>
    where
        'a: 'scope,
    {
        let (send, receive) = mpsc::channel::<(Done, KeyLock)>();
        self.due = (0..self.graph.instances.len())
            .filter(|&id| self.needed[id] && self.unsettled[id] == 0)
            .collect();
        let mut broken = None;
        let mut looked = Instant::now();
        loop {
            while let Some(id) = self.due.pop_first() {
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
            if !self.due.is_empty() {
                continue;
            }
            let idle = self.ready.is_empty() && self.locked.is_empty();
            let stopping = broken.is_some() || self.stop || self.is_cancelled();
            if self.running == 0 && (idle || stopping) {
                if !stopping && self.look_over() {
                    continue;
                }
                break;
            }
            // A stage that only waits may have left its slot, a lock of another process may be free: nobody tells.
            let polls = !self.locked.is_empty() || (around.gate.waiting() > 0 && !self.ready.is_empty());
            let pause = if polls { Duration::from_millis(50) } else { Duration::from_secs(1) };
            match receive.recv_timeout(pause.saturating_sub(looked.elapsed())) {
                Ok((done, lock)) => {
                    self.running -= 1;
                    if self.uses_accelerator(done.id) {
                        self.accelerator_busy = false;
                    }
                    if let Err(error) = self.done(done) {
                        self.options.cancel.store(true, Ordering::Relaxed);
                        broken.get_or_insert(error);
                    }
                    drop(lock);
                    if self.passing.is_due() && self.running > 0 {
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
                self.ready.append(&mut self.locked);
            }
        }
        broken.map_or(Ok(()), Err)
    }

    fn is_cancelled(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
    }

    /// All inputs of the instance are known: is its result there?
    fn consider(&mut self, id: InstanceId) {
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

    fn lookout(&self) -> Lookout<'_> {
        let Self { graph, store, sources, history, asked, .. } = self;
        Lookout { graph, store, sources, history, asked, check: true }
    }

    fn finish(
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
        let Self { history, survey, outcomes, faces, keys, .. } = self;
        // A million small pieces for a large pipeline: nobody waits for them to be freed.
        std::thread::spawn(move || drop((history, survey)));
        Ok(RunReport { id: run_id, outcomes, faces, keys, wall })
    }
}
