//! The scheduler: runs what is missing, in parallel, each key once.

mod passing;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::Scope;
use std::time::{Duration, Instant};

use sndpipe_cache::{CacheError, Digest, Holder, KeyLock, Store};

use self::passing::{Passing, keep};
use self::recording::run_id;
use crate::device::Device;
use crate::event::{Event, Observer, Outcome};
use crate::gate::Gate;
use crate::graph::{Graph, InstanceId};
use crate::history::{History, Known};
use crate::io::Surroundings;
use crate::job::{Done, Finished, Job, now_ms};
use crate::key::{Face, Faces, KeyParts};
use crate::plan::is_present;
use crate::record::Record;
use crate::resolve::{Sources, changes, key_parts};
use crate::stage::StageError;
use crate::survey::{Finding, Lookout, Survey, asked};
use crate::usage::Meter;

/// How often a stage is tried again after an input turned out to be damaged.
const REPAIRS: u32 = 3;

/// How to run.
pub struct RunOptions<'a> {
    /// What to bring up to date; empty: everything.
    pub targets: Vec<InstanceId>,
    /// Instances that run even if their result is there.
    pub force: Vec<InstanceId>,
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
                break;
            }
            // A stage that only waits may have left its slot, a lock of another process may be free: nobody tells.
            let polls = !self.locked.is_empty() || (around.gate.waiting() > 0 && !self.ready.is_empty());
            let wait = if polls { Duration::from_millis(50) } else { Duration::from_secs(1) };
            match receive.recv_timeout(wait) {
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
                Err(RecvTimeoutError::Timeout) => {
                    self.meter.share_out();
                    self.store.beat();
                    let again = std::mem::take(&mut self.locked);
                    self.ready.extend(again);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        broken.map_or(Ok(()), Err)
    }

    fn is_cancelled(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
    }

    fn uses_accelerator(&self, id: InstanceId) -> bool {
        self.options.device != Device::Cpu && self.graph.instances[id].bound.wants_accelerator()
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

    /// Queues an instance, after those of its inputs that are recorded but gone.
    fn must_run(&mut self, id: InstanceId, parts: KeyParts, reason: String) {
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
                self.pending.insert(id, (parts, reason));
                self.ready.insert(id);
                continue;
            }
            self.waiting_for_rebuild.insert(id, gone.len());
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

    fn dispatch<'scope>(
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
    fn announce(&mut self, id: InstanceId, rows: bool) {
        if self.announced.insert(id) {
            tracing::info!("`{}` is computed by another process", self.graph.instances[id]);
            self.observer.event(&Event::Waiting { id, rows });
        }
    }

    fn done(&mut self, done: Done) -> Result<(), CacheError> {
        let Done { id, key, wall, usage, log, result } = done;
        let usage = self.meter.end(id, usage);
        tracing::info!("`{}` ended after {wall:?}: {usage:?}", self.graph.instances[id]);
        let waiters = self.in_flight.remove(&key).unwrap_or_default();
        if let Err(StageError::Elsewhere { holder, computed }) = result {
            self.announce(id, true);
            let before = self.elsewhere.get(&id).map_or(0, |(_, before)| *before);
            self.elsewhere.insert(id, (holder, before + computed));
            self.locked.insert(id);
            self.ready.extend(waiters);
            return Ok(());
        }
        let pending = self.pending.remove(&id);
        let reason = pending.as_ref().map_or_else(String::new, |(_, reason)| reason.clone());
        match result {
            Ok(Finished { faces, rows, remarks }) => {
                self.forced.remove(&id);
                self.warn_if_different(id, &faces);
                self.remember(id, &faces);
                self.settle(id, faces.clone(), Outcome::Ran { wall, rows, reason, remarks, usage });
                for waiter in waiters {
                    self.pending.remove(&waiter);
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

    /// An input was damaged: it is dropped, computed again, and the stage is tried once more.
    fn repair(&mut self, id: InstanceId, error: &CacheError, artefact: Digest, waiters: Vec<InstanceId>) {
        self.observer.event(&Event::Warning { text: &format!("{error}; computing it again") });
        if let Some(manifest) = self.store.manifest(&artefact) {
            self.store.drop_artefact(&manifest);
        }
        for id in waiters.into_iter().chain([id]) {
            let tries = self.repairs.entry(id).or_default();
            *tries += 1;
            if *tries > REPAIRS {
                let help = "the disk or the memory of this machine may be faulty; `sndpipe cache verify` looks at every file";
                let message = format!("{error}, {REPAIRS} times in a row");
                self.fail(id, Outcome::failed(message, Some(help.to_owned())));
            } else {
                self.pending.remove(&id);
                self.consider(id);
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

    fn learn(&mut self, id: InstanceId, key: Digest, known: Option<Known>) {
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

    fn cached(&mut self, id: InstanceId, faces: Faces) {
        tracing::debug!("`{}` is cached", self.graph.instances[id]);
        let (skipped, remarked) = faces.first().map_or((0, 0), |face| (face.skipped, face.remarked));
        self.settle(id, faces, Outcome::Cached { skipped, remarked });
    }

    /// The outputs of the instance are known; its readers may follow.
    fn settle(&mut self, id: InstanceId, faces: Faces, outcome: Outcome) {
        let again = self.faces[id].is_some();
        self.faces[id] = Some(faces);
        self.end(id, outcome);
        if let Some(waiting) = self.rebuilding.remove(&id) {
            for reader in waiting {
                if let Some(left) = self.waiting_for_rebuild.get_mut(&reader) {
                    *left -= 1;
                    if *left == 0 {
                        self.waiting_for_rebuild.remove(&reader);
                        self.due.insert(reader);
                    }
                }
            }
        }
        if !again {
            for &reader in &self.readers[id] {
                self.unsettled[reader] -= 1;
                if self.needed[reader] && self.unsettled[reader] == 0 && !self.outcomes.contains_key(&reader)
                {
                    self.due.insert(reader);
                }
            }
        }
        self.pass(id);
    }

    fn fail(&mut self, id: InstanceId, outcome: Outcome) {
        self.pending.remove(&id);
        self.end(id, outcome);
        if self.options.fail_fast {
            self.stop = true;
            self.options.cancel.store(true, Ordering::Relaxed);
        }
        let because = self.graph.instances[id].to_string();
        let mut stack = self.readers[id].clone();
        stack.extend(self.rebuilding.remove(&id).unwrap_or_default());
        while let Some(reader) = stack.pop() {
            if self.needed[reader] && !self.outcomes.contains_key(&reader) {
                self.end(reader, Outcome::Skipped { because: because.clone() });
                stack.extend(self.readers[reader].iter().copied());
            }
        }
    }

    fn end(&mut self, id: InstanceId, outcome: Outcome) {
        self.elsewhere.remove(&id);
        self.observer.event(&Event::Finished { id, outcome: &outcome, key: self.keys[id] });
        self.outcomes.insert(id, outcome);
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
