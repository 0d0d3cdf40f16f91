//! `keep: false`: results that only pass through, and when their artefacts go.
//!
//! A record says whether its outputs are kept (`passing`): it passes as long as every pipeline that had it says `keep: false`. To let go of artefacts
//! everything that may name them is read, so results that are done with are gathered: while stages run a small share of the time goes into it,
//! and at the end the rest goes at once.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sndpipe_cache::{Bucket, CacheError, Collection, Digest, Hasher, Release, Store};

use crate::cell::InstanceId;
use crate::graph::Graph;
use crate::history::History;
use crate::keep::Pin;
use crate::key::Faces;
use crate::record::{Record, RunRecord};

/// The share of the time that letting go may take while stages run: one in so many.
const SHARE: u32 = 20;

/// Results that only pass through and that a run is done with.
pub(super) struct Passing {
    /// Instances whose readers are done and whose outputs may still be there.
    done: BTreeSet<InstanceId>,
    /// When to look next, and whether there is anything new.
    due: (Instant, bool),
}

/// Where the last search for something that is left among many ended: there the next one begins, so that all of them together look at
/// each about once, and not at all those that are done with for each that is.
#[derive(Clone, Default)]
pub(super) struct Search(Cell<usize>);

impl Search {
    pub fn is_any_left(&self, count: usize, is_left: impl Fn(usize) -> bool) -> bool {
        let from = self.0.get().min(count);
        // One that was passed may be left again.
        let found = (from..count).chain(0..from).find(|&at| is_left(at));
        self.0.set(found.unwrap_or(0));
        found.is_some()
    }
}

/// What a run knows when it lets go.
pub(super) struct Around<'a> {
    pub graph: &'a Graph,
    pub store: &'a Store,
    pub faces: &'a [Option<Faces>],
    pub keys: &'a [Option<Digest>],
    /// Whether outputs of an instance are still needed: asked for, or an instance waits for them.
    pub needed: &'a dyn Fn(InstanceId) -> bool,
    /// Whether the outputs of an instance are kept.
    pub keeps: &'a dyn Fn(InstanceId) -> bool,
}

impl Passing {
    pub fn new() -> Self {
        Self { done: BTreeSet::new(), due: (Instant::now(), false) }
    }

    /// Nothing that is known now waits for the outputs of an instance.
    pub fn add(&mut self, id: InstanceId) {
        self.due.1 |= self.done.insert(id);
    }

    /// Whether it is time to let go, with stages running.
    pub fn is_due(&self) -> bool {
        self.due.1 && Instant::now() >= self.due.0
    }

    /// Lets go of what is done with, unless another process does so now.
    pub fn let_go(&mut self, around: &Around<'_>) {
        let started = Instant::now();
        let released = match around.store.collection() {
            Ok(Some(collection)) => self.release(around, collection),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        tell(released);
        self.done.retain(|&id| (around.needed)(id) || there(around, id).is_some());
        self.due = (Instant::now() + Duration::from_secs(1).max(started.elapsed() * SHARE), false);
    }

    /// Lets go of everything that is left. A run in which nothing ran looks only at what the last one has not seen.
    pub fn finish(&self, around: &Around<'_>, ran: bool) {
        let left = self.there(around);
        if left.is_empty() || !ran && seen(around) == Some(fingerprint(&left)) {
            return;
        }
        // It begins before anything is read of what others keep: until it is over what they hold counts, even if they end.
        match around.store.collection() {
            Ok(Some(collection)) => {
                tell(pass_on(around, &collection, &left));
                tell(self.release(around, collection));
            }
            // The next run tries again.
            Ok(None) => return,
            Err(error) => tell(Err(error)),
        }
        let left = self.there(around);
        if !left.is_empty()
            && let Err(error) =
                around.store.put_document(Bucket::Pipelines, &name(around.graph), &fingerprint(&left).0)
        {
            tracing::debug!("{error}");
        }
    }

    /// What is done with and still lies in the cache: each key with the first output that does.
    fn there(&self, around: &Around<'_>) -> BTreeSet<(Digest, Digest)> {
        let keys = around.keys;
        let kept = (0..keys.len()).filter(|&id| !self.done.is_empty() && (around.keeps)(id));
        let kept: BTreeSet<Digest> = kept.filter_map(|id| keys[id]).collect();
        let done = self.done.iter().filter(|id| !(around.needed)(**id));
        let done = done.filter(|&&id| keys[id].is_some_and(|key| !kept.contains(&key)));
        done.filter_map(|&id| Some((keys[id]?, there(around, id)?))).collect()
    }

    fn release(&self, around: &Around<'_>, collection: Collection<'_>) -> Result<(), CacheError> {
        let Around { store, faces, .. } = around;
        let keys: BTreeSet<Digest> = self.there(around).into_iter().map(|(key, _)| key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let needed = (0..faces.len()).filter(|&id| (around.needed)(id));
        let needed = needed.filter_map(|id| faces[id].as_deref()).flatten().map(|face| face.id).collect();
        let pinned = Pin::all(store)?.into_values().flat_map(|pin| pin.keys).collect();
        let freed = collection.release(&Release { keys, pinned, needed }, &Record::names)?;
        tracing::info!("{} bytes of results that only pass through went", freed.bytes());
        Ok(())
    }
}

/// Notes that results pass through which this pipeline alone has kept until now.
fn pass_on(
    around: &Around<'_>,
    collection: &Collection<'_>,
    left: &BTreeSet<(Digest, Digest)>,
) -> Result<(), CacheError> {
    let Around { graph, store, .. } = around;
    let kept = |key: &Digest| matches!(Record::read_outputs(store, key), Some((_, false)));
    let mut keys: BTreeSet<Digest> = left.iter().map(|(key, _)| *key).filter(kept).collect();
    if keys.is_empty() {
        return Ok(());
    }
    for key in History::keys_of_others(store, graph)? {
        keys.remove(&key);
    }
    let path = graph.source.path().display().to_string();
    for run in RunRecord::all(store)? {
        if (&run.pipeline, &run.path) != (&graph.name, &path) {
            run.stages.iter().filter_map(|stage| stage.key).for_each(|key| {
                keys.remove(&key);
            });
        }
    }
    Record::pass(store, collection, &keys)
}

/// Results that stay take room, and the next run tries again.
fn tell(released: Result<(), CacheError>) {
    if let Err(error) = released {
        tracing::info!("results that only pass through stay: {error}");
    }
}

/// The first output of an instance that lies in the cache.
fn there(around: &Around<'_>, id: InstanceId) -> Option<Digest> {
    let mut ids = around.faces[id].as_deref()?.iter().map(|face| face.id);
    ids.find(|id| around.store.manifest_stat(id).is_some())
}

/// What the last run of the pipeline could not let go of.
fn seen(around: &Around<'_>) -> Option<Digest> {
    let bytes = around.store.document(Bucket::Pipelines, &name(around.graph)).ok()??;
    bytes.try_into().ok().map(Digest)
}

fn fingerprint(left: &BTreeSet<(Digest, Digest)>) -> Digest {
    let mut hasher = Hasher::new("passing");
    for (key, artefact) in left {
        hasher.digest(key).digest(artefact);
    }
    hasher.finish()
}

fn name(graph: &Graph) -> String {
    graph.document("passing 2")
}

/// Notes that a result which only passed through until now is kept.
pub(super) fn keep(store: &Store, key: Option<&Digest>) {
    if let Some(key) = key.filter(|_| store.is_writable())
        && let Err(error) = Record::keep(store, key)
    {
        tracing::warn!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_together_look_at_each_about_once() {
        const COUNT: usize = 1000;
        for step in [1, 7, COUNT - 1] {
            let (search, looks, mut left) = (Search::default(), Cell::new(0), vec![true; COUNT]);
            for turn in 1..=COUNT {
                left[turn * step % COUNT] = false;
                let is_left = |at: usize| {
                    looks.set(looks.get() + 1);
                    left[at]
                };
                assert_eq!(search.is_any_left(COUNT, is_left), turn < COUNT);
            }
            assert!(looks.get() <= 4 * COUNT, "{} looks with a step of {step}", looks.get());
            left[3] = true;
            assert!(search.is_any_left(COUNT, |at| left[at]), "one is left again");
        }
    }
}
