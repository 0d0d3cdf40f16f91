//! What garbage collection keeps, in terms of pipelines, runs and pins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, CacheError, Digest, Policy, Store};

use crate::graph::{Graph, InstanceId};
use crate::history::History;
use crate::job::now_ms;
use crate::plan::{Plan, PlanStatus};
use crate::record::RunRecord;
use crate::resolve::Sources;

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
) -> Result<BTreeSet<Digest>, String> {
    let plan = Plan::new(graph, store, sources, targets, &[])?;
    let history = History::read(store, graph);
    let mut keys = BTreeSet::new();
    for item in &plan.items {
        keys.extend(item.key);
        if item.status != PlanStatus::Cached {
            keys.extend(history.key(&graph.instances[item.id].to_string()));
        }
    }
    Ok(keys)
}

impl Keep {
    /// The policy of a collection: `named` holds what the pipelines on the command line need, if there are any.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub fn policy(&self, store: &Store, named: Option<BTreeSet<Digest>>) -> Result<Policy, CacheError> {
        let Runs { known: runs, unreadable } = Runs::read(store)?;
        let by_runs = self.runs.map(|count| {
            let oldest = count.checked_sub(1).and_then(|last| runs.get(last));
            oldest.map_or(0, |run| run.started_ms)
        });
        let by_age =
            self.age.map(|age| now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
        let since = by_runs.into_iter().chain(by_age).min();
        let mut policy = Policy {
            // Pipelines that are named without anything else are all that is kept; without even these everything is.
            since: since.unwrap_or(if named.is_some() && self.max_bytes.is_none() { u64::MAX } else { 0 }),
            keys: named.unwrap_or_default(),
            max_bytes: self.max_bytes,
            ..Policy::default()
        };
        // A run that was killed has no record, so that what it left is younger than the last run.
        let last = runs.first().map_or(0, |run| run.started_ms);
        policy.unrecorded_since = policy.since.min(last);
        let old = runs.iter().filter(|run| since.is_some_and(|since| run.started_ms < since));
        policy.runs = old.map(|run| run.id.clone()).chain(unreadable).collect();
        for run in &runs {
            for key in run.stages.iter().filter_map(|stage| stage.key) {
                let used = policy.used.entry(key).or_default();
                *used = run.started_ms.max(*used);
            }
        }
        for pin in Pin::all(store)?.into_values() {
            policy.keys.extend(pin.keys);
        }
        Ok(policy)
    }
}

/// Every run record.
#[derive(Default)]
struct Runs {
    /// The latest first.
    known: Vec<RunRecord>,
    /// Names of those that cannot be read.
    unreadable: Vec<String>,
}

impl Runs {
    fn read(store: &Store) -> Result<Self, CacheError> {
        let mut runs = Self::default();
        for name in store.documents(Bucket::Runs)? {
            match RunRecord::read(store, &name) {
                Some(run) => runs.known.push(run),
                None => runs.unreadable.push(name),
            }
        }
        runs.known.sort_by(|a, b| (b.started_ms, &b.id).cmp(&(a.started_ms, &a.id)));
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
