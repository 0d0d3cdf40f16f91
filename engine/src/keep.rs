//! What garbage collection keeps, in terms of pipelines, runs and pins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, CacheError, Digest, Policy, Store};

use crate::cell::InstanceId;
use crate::graph::Graph;
use crate::history::History;
use crate::job::now_ms;
use crate::plan::{Plan, PlanStatus};
use crate::record::RunRecord;
use crate::resolve::Sources;
use crate::survey::asked;

/// What a collection keeps beside named pipelines and pins.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// What so many latest runs used; at least 1.
    pub runs: Option<usize>,
    /// What was used or written within this time.
    pub age: Option<Duration>,
    /// As much as fits into so many bytes.
    pub max_bytes: Option<u64>,
}

/// What a pipeline needs of the cache.
#[derive(Debug, Clone, Default)]
pub struct Needed {
    /// Keys whose results it needs.
    pub keys: BTreeSet<Digest>,
    /// Keys of results that only pass through: their records are enough.
    pub passing: BTreeSet<Digest>,
}

impl Needed {
    /// Adds what another pipeline needs.
    pub fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.passing.extend(other.passing);
    }
}

/// The keys that some instances of a pipeline and all that they need would find, and the last key of each that would run: with
/// the result of that one go rows that the next run can use again.
///
/// # Errors
/// A message if an input lacks a column that a stage reads.
pub fn keys_needed(
    graph: &Graph,
    store: &Store,
    sources: &Sources,
    targets: &[InstanceId],
) -> Result<Needed, String> {
    let plan = Plan::new(graph, store, sources, targets, &[])?;
    let history = History::read(store, graph);
    let asked = asked(&graph.readers(), targets, &graph.needed(targets));
    let mut needed = Needed::default();
    let current = plan.is_current();
    for item in &plan.items {
        // What still has to run may read it.
        let keeps = !current || graph.instances[item.id].keep || asked[item.id];
        let keys = if keeps { &mut needed.keys } else { &mut needed.passing };
        keys.extend(item.key);
        if item.status != PlanStatus::Cached {
            keys.extend(history.key(&graph.instances[item.id].to_string()));
        }
    }
    Ok(needed)
}

impl Keep {
    /// The policy of a collection: `named` holds what the pipelines on the command line need, if there are any.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub fn policy(&self, store: &Store, named: Option<Needed>) -> Result<Policy, CacheError> {
        let Runs { known: runs, unreadable } = Runs::read(store)?;
        let now = now_ms();
        // The latest runs are kept by their numbers: the clock of one may have been wrong.
        let latest = self.runs.map_or(0, |count| count.min(runs.len()));
        // What was written after the last run that is not kept belongs to later ones, recorded or killed.
        let by_runs = self.runs.map(|_| {
            let ended = runs[latest..].iter().map(|run| run.ended).filter(|ended| *ended <= now);
            ended.max().map_or(0, |ended| ended + 1)
        });
        let by_age =
            self.age.map(|age| now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
        let since = by_runs.into_iter().chain(by_age).min();
        let only = named.is_some() && self.max_bytes.is_none();
        let named = named.unwrap_or_default();
        let keys = |run: &Run| run.record.stages.iter().filter_map(|stage| stage.key).collect::<Vec<_>>();
        let mut policy = Policy {
            // Pipelines that are named without anything else are all that is kept; without even these everything is.
            since: since.unwrap_or(if only { u64::MAX } else { 0 }),
            keys: named.keys,
            records: named.passing,
            recent: runs[..latest].iter().flat_map(keys).collect(),
            max_bytes: self.max_bytes,
            ..Policy::default()
        };
        // A run that was killed has no record, so that what it left is younger than the last run. A time that is still to come says nothing.
        let last = runs.first().map_or(0, |run| run.started);
        policy.unrecorded_since = policy.since.min(if last > now { 0 } else { last });
        let old = runs[latest..].iter().filter(|run| match (self.runs, by_age) {
            (_, Some(since)) => run.started < since,
            (runs, None) => runs.is_some(),
        });
        policy.runs = old.map(|run| run.record.id.clone()).chain(unreadable).collect();
        for run in &runs {
            for key in keys(run) {
                let used = policy.used.entry(key).or_default();
                *used = run.started.max(*used);
            }
        }
        for pin in Pin::all(store)?.into_values() {
            policy.keys.extend(pin.keys);
        }
        Ok(policy)
    }
}

/// A run that is known.
struct Run {
    record: RunRecord,
    /// When it began, in ms since 1970: by its own clock, but not after its record was written.
    started: u64,
    /// When its record was written, by the clock of the file system.
    ended: u64,
}

/// Every run record.
#[derive(Default)]
struct Runs {
    /// The latest first.
    known: Vec<Run>,
    /// Names of those that cannot be read.
    unreadable: Vec<String>,
}

impl Runs {
    fn read(store: &Store) -> Result<Self, CacheError> {
        let mut runs = Self::default();
        for name in RunRecord::names(store)? {
            let Some(record) = RunRecord::read(store, &name) else {
                runs.unreadable.push(name);
                continue;
            };
            let written = store.document_stat(Bucket::Runs, &name).map(|stat| stat.mtime / 1_000_000);
            let ended = written.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(record.started_ms);
            runs.known.push(Run { started: record.started_ms.min(ended), ended, record });
        }
        Ok(runs)
    }
}

/// Results that stay until they are unpinned, whatever becomes of the pipeline file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pin {
    /// The pipeline file, for people.
    pub file: String,
    /// The stages that were named, for people; none: all.
    pub stages: Vec<String>,
    /// The keys of their results.
    pub keys: BTreeSet<Digest>,
}

impl Pin {
    /// Stores the pin under a name; one of that name is replaced.
    ///
    /// # Errors
    /// [`CacheError::Invalid`] for a name that is no plain file name; full or unusable.
    pub fn write(&self, store: &Store, name: &str) -> Result<(), CacheError> {
        let bytes = serde_json::to_vec(self).map_err(|error| CacheError::Invalid {
            what: format!("a pin cannot be written as JSON: {error}"),
        })?;
        store.put_document(Bucket::Pins, name, &bytes)
    }

    /// All pins by name.
    ///
    /// # Errors
    /// [`CacheError::Invalid`] naming a pin that cannot be read: what it kept is not known. [`CacheError`] if the cache cannot be listed.
    pub fn all(store: &Store) -> Result<BTreeMap<String, Self>, CacheError> {
        let mut pins = BTreeMap::new();
        for name in store.documents(Bucket::Pins)? {
            let bytes = store.document(Bucket::Pins, &name)?;
            let pin = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
                CacheError::Invalid { what: format!(
                    "the pin `{name}` is damaged, so what it keeps is not known; pin it again, or `sndpipe cache unpin {name}`"
                ) }
            })?;
            pins.insert(name, pin);
        }
        Ok(pins)
    }
}
