//! What a run would do, without doing it.

use sndpipe_cache::{Digest, Store};

use crate::graph::{Graph, InstanceId};
use crate::key::{Face, KeyParts};
use crate::record::{History, Record};
use crate::resolve::{Sources, changes, key_parts};

/// What a run would do with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStatus {
    /// Its result is there.
    Cached,
    /// Its inputs are known and no result is there.
    WouldRun,
    /// An input is not known yet; early cutoff may save it.
    Maybe,
}

impl PlanStatus {
    /// The word in plans and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::WouldRun => "would_run",
            Self::Maybe => "maybe",
        }
    }
}

/// The plan of one instance.
#[derive(Debug, Clone)]
pub struct PlanItem {
    /// The instance.
    pub id: InstanceId,
    /// What a run would do.
    pub status: PlanStatus,
    /// The changes that reach it; empty where it is cached.
    pub reasons: Vec<String>,
    /// The key, where the inputs are known.
    pub key: Option<Digest>,
    /// What the key is made of, where the inputs are known.
    pub parts: Option<KeyParts>,
    /// The outputs, where they are known.
    pub faces: Option<Vec<Face>>,
}

/// The plan of a pipeline, in topological order.
pub struct Plan {
    /// One item for each instance that was asked for and what it needs.
    pub items: Vec<PlanItem>,
}

impl Plan {
    /// Plans the instances `targets` (all if empty) and what they need.
    ///
    /// # Errors
    /// A message if an input lacks a column that a stage reads.
    pub fn new(
        graph: &Graph,
        store: &Store,
        sources: &Sources,
        targets: &[InstanceId],
        force: &[InstanceId],
    ) -> Result<Self, String> {
        let needed = needed(graph, targets);
        let history = History::read(store, graph);
        let mut recalled = history.recall(store, graph, &needed);
        let mut faces: Vec<Option<Vec<Face>>> = vec![None; graph.instances.len()];
        let mut items: Vec<Option<PlanItem>> = graph.instances.iter().map(|_| None).collect();
        for id in 0..graph.instances.len() {
            if !needed[id] {
                continue;
            }
            let instance = &graph.instances[id];
            let Some(parts) = key_parts(graph, id, &faces, sources)? else {
                items[id] = Some(PlanItem {
                    id,
                    status: PlanStatus::Maybe,
                    reasons: upstream_reasons(graph, id, &items),
                    key: None,
                    parts: None,
                    faces: None,
                });
                continue;
            };
            let key = parts.key();
            let forced = force.contains(&id);
            let outputs = match forced {
                true => None,
                false => recalled.remove(&key).or_else(|| Record::read_outputs(store, &key)),
            };
            let (status, reasons) = if forced {
                (PlanStatus::WouldRun, vec!["forced".to_owned()])
            } else if outputs.is_some() {
                (PlanStatus::Cached, Vec::new())
            } else {
                let files = sources.of(id).map(|files| &files[..]);
                (PlanStatus::WouldRun, changes(store, &history, &instance.to_string(), &key, &parts, files))
            };
            faces[id].clone_from(&outputs);
            items[id] =
                Some(PlanItem { id, status, reasons, key: Some(key), parts: Some(parts), faces: outputs });
        }
        rebuild_missing(graph, store, targets, &needed, &mut items);
        Ok(Self { items: items.into_iter().flatten().collect() })
    }

    /// Whether nothing would run.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.items.iter().all(|item| item.status == PlanStatus::Cached)
    }
}

/// Marks the targets and everything upstream of them.
pub(crate) fn needed(graph: &Graph, targets: &[InstanceId]) -> Vec<bool> {
    let mut needed = vec![targets.is_empty(); graph.instances.len()];
    for &id in targets {
        needed[id] = true;
    }
    for id in (0..graph.instances.len()).rev() {
        if needed[id] {
            for item in graph.instances[id].inputs.iter().flat_map(|input| &input.items) {
                needed[item.from] = true;
            }
        }
    }
    needed
}

/// Whether the files of every output are there.
pub(crate) fn is_present(store: &Store, face: &Face) -> bool {
    store.manifest(&face.id).is_some_and(|manifest| store.is_present(&manifest))
}

fn upstream_reasons(graph: &Graph, id: InstanceId, items: &[Option<PlanItem>]) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for input in graph.instances[id].inputs.iter().flat_map(|input| &input.items) {
        let Some(item) = &items[input.from] else { continue };
        let upstream = &graph.instances[input.from].stage;
        let new: Vec<String> = match item.status {
            PlanStatus::Cached => Vec::new(),
            PlanStatus::WouldRun => {
                item.reasons.iter().map(|reason| format!("{upstream}: {reason}")).collect()
            }
            PlanStatus::Maybe => item.reasons.clone(),
        };
        for reason in new {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    reasons
}

/// A result that is recorded but whose files are gone is rebuilt if it was asked for or a stage that runs reads it.
fn rebuild_missing(
    graph: &Graph,
    store: &Store,
    targets: &[InstanceId],
    needed: &[bool],
    items: &mut [Option<PlanItem>],
) {
    let readers = graph.readers();
    for id in (0..graph.instances.len()).rev() {
        let Some(item) = &items[id] else { continue };
        if item.status != PlanStatus::Cached {
            continue;
        }
        let last = readers[id].iter().all(|&reader| !needed[reader]);
        let asked = last || targets.contains(&id);
        let by = readers[id]
            .iter()
            .filter_map(|&reader| items[reader].as_ref())
            .find(|reader| reader.status != PlanStatus::Cached);
        if !asked && by.is_none() {
            continue;
        }
        let gone = item.faces.iter().flatten().any(|face| !is_present(store, face));
        if gone {
            let status = if asked {
                PlanStatus::WouldRun
            } else {
                by.map_or(PlanStatus::WouldRun, |reader| reader.status)
            };
            let reason = match by {
                Some(reader) if !asked => format!(
                    "its output is gone from the cache and `{}` needs it",
                    graph.instances[reader.id].stage
                ),
                _ => "its output is gone from the cache".to_owned(),
            };
            if let Some(item) = &mut items[id] {
                item.status = status;
                item.reasons = vec![reason];
            }
        }
    }
}
