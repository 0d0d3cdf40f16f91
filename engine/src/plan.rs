//! What a run would do, without doing it.

use std::borrow::Cow;

use sndpipe_cache::{Digest, Store};

use crate::cell::InstanceId;
use crate::graph::Graph;
use crate::history::History;
use crate::key::{Face, Faces, KeyParts};
use crate::resolve::{Sources, changes, key_parts};
use crate::survey::{Lookout, Survey, asked, each};

/// What a run would do with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The changes that reach it, a few of many; empty where it is cached.
    pub reasons: Vec<String>,
    /// The key, where the inputs are known.
    pub key: Option<Digest>,
    /// What the key of a target is made of, where the inputs are known.
    pub parts: Option<KeyParts>,
    /// The outputs, where they are known.
    pub faces: Option<Faces>,
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
        let needed = graph.needed(targets);
        let readers = graph.readers();
        let asked = asked(&readers, targets, &needed);
        let (targets, forced) = (sorted(targets), sorted(force));
        let is_forced = |id: InstanceId| forced.binary_search(&id).is_ok();
        let history = History::read(store, graph);
        let lookout = Lookout { graph, store, sources, history: &history, asked: &asked, check: false };
        let survey = Survey::new(&lookout, &needed, is_forced);
        if let Some(message) = survey.mistakes.into_values().next() {
            return Err(message);
        }
        let explain = |id: InstanceId| -> Result<PlanItem, String> {
            let (key, known) = (survey.keys[id], survey.faces[id].is_some());
            let status = match key {
                None => PlanStatus::Maybe,
                Some(_) if known => PlanStatus::Cached,
                Some(_) => PlanStatus::WouldRun,
            };
            let mut item = PlanItem { id, status, reasons: Vec::new(), key, parts: None, faces: None };
            let is_target = targets.binary_search(&id).is_ok();
            if (status == PlanStatus::WouldRun || is_target)
                && let Some(key) = key
                && let Some(parts) = key_parts(graph, id, &survey.faces, sources)?
            {
                if is_forced(id) {
                    item.reasons = vec!["forced".to_owned()];
                } else if !known {
                    let files = sources.of(id).map(|files| &files[..]);
                    let name = graph.instances[id].to_string();
                    item.reasons = changes(store, &history, &name, &key, &parts, files);
                }
                item.parts = Some(parts).filter(|_| is_target);
            }
            Ok(item)
        };
        let ids: Vec<InstanceId> = (0..graph.instances.len()).filter(|&id| needed[id]).collect();
        let mut items: Vec<Option<PlanItem>> = graph.instances.iter().map(|_| None).collect();
        for item in each(&ids, |&id| explain(id)) {
            let mut item = item?;
            let id = item.id;
            if item.status == PlanStatus::Maybe {
                item.reasons = upstream_reasons(graph, id, &items);
            }
            items[id] = Some(item);
        }
        for (item, faces) in items.iter_mut().zip(survey.faces) {
            if let Some(item) = item {
                item.faces = faces;
            }
        }
        rebuild_missing(graph, store, &readers, &asked, &survey.gone, &mut items);
        Ok(Self { items: items.into_iter().flatten().collect() })
    }

    /// The plan of an instance.
    #[must_use]
    pub fn item(&self, id: InstanceId) -> Option<&PlanItem> {
        self.items.binary_search_by_key(&id, |item| item.id).ok().map(|at| &self.items[at])
    }

    /// Whether nothing would run.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.items.iter().all(|item| item.status == PlanStatus::Cached)
    }
}

/// Whether the files of every output are there.
pub(crate) fn is_present(store: &Store, face: &Face) -> bool {
    store.manifest(&face.id).is_some_and(|manifest| store.is_present(&manifest))
}

fn sorted(ids: &[InstanceId]) -> Vec<InstanceId> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// What reaches an instance through its inputs.
fn upstream_reasons(graph: &Graph, id: InstanceId, items: &[Option<PlanItem>]) -> Vec<String> {
    /// So many tell what happened; a table may gather ten thousand changed cells.
    const MOST: usize = 8;
    const MORE: &str = "and more";
    let mut reasons: Vec<String> = Vec::new();
    let mut more = false;
    for input in graph.instances[id].inputs.iter().flat_map(|input| &input.items) {
        let Some(item) = items[input.from].as_ref().filter(|item| item.status != PlanStatus::Cached) else {
            continue;
        };
        let upstream = &graph.instances[input.from].stage;
        for reason in &item.reasons {
            let reason = match item.status {
                PlanStatus::WouldRun => Cow::Owned(format!("{upstream}: {reason}")),
                _ => Cow::Borrowed(reason.as_str()),
            };
            if reason == MORE || reasons.len() == MOST {
                more |= !reasons.iter().any(|known| *known == reason);
            } else if !reasons.iter().any(|known| *known == reason) {
                reasons.push(reason.into_owned());
            }
        }
        if more && reasons.len() == MOST {
            break;
        }
    }
    reasons.extend(more.then(|| MORE.to_owned()));
    reasons
}

/// A result that is recorded but whose files are gone is rebuilt if it was asked for or a stage that runs reads it.
fn rebuild_missing(
    graph: &Graph,
    store: &Store,
    readers: &[Vec<InstanceId>],
    asked: &[bool],
    gone: &[bool],
    items: &mut [Option<PlanItem>],
) {
    for id in (0..graph.instances.len()).rev() {
        let Some(item) = items[id].as_ref().filter(|item| item.status == PlanStatus::Cached) else {
            continue;
        };
        let by = readers[id]
            .iter()
            .filter_map(|&reader| items[reader].as_ref())
            .find(|reader| reader.status != PlanStatus::Cached);
        let (status, reason) = match by {
            _ if asked[id] && gone[id] => {
                (PlanStatus::WouldRun, "its output is gone from the cache".to_owned())
            }
            Some(reader)
                if !asked[id]
                    && item.faces.as_deref().into_iter().flatten().any(|face| !is_present(store, face)) =>
            {
                let needs = &graph.instances[reader.id].stage;
                (reader.status, format!("its output is gone from the cache and `{needs}` needs it"))
            }
            _ => continue,
        };
        if let Some(item) = &mut items[id] {
            item.status = status;
            item.reasons = vec![reason];
        }
    }
}
