//! What is remembered of the instances of a pipeline from run to run.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, CacheError, Digest, Store};

use crate::graph::Graph;
use crate::known::Known;
use crate::record::hold;

/// The key that each instance of a pipeline last had, and what it led to.
///
/// Keys are what `explain` compares with. Results only save reading: they count as long as the files that they were read from
/// are the same files, by size, times and inode. There may be a hundred thousand: what was stored stays as it lies in the document, and
/// a result is taken out when somebody asks for it.
#[derive(Debug, Clone, Default)]
pub struct History {
    bytes: Vec<u8>,
    /// What the bytes hold, sorted by name.
    stored: Vec<Stored>,
    /// What was learnt since, by name: `model[fold=1]`.
    learnt: BTreeMap<String, (Digest, Option<Known>)>,
    /// How many of the stored are forgotten.
    forgotten: usize,
}

#[derive(Debug, Clone)]
struct Stored {
    name: Range<usize>,
    key: Digest,
    /// Empty: none.
    result: Range<usize>,
    /// Something newer was learnt, or the instance is gone.
    is_forgotten: bool,
}

/// Told apart from other documents by its beginning.
const FORMAT: &str = "history 4";

#[derive(Serialize, Deserialize)]
struct Document<'d> {
    format: &'d str,
    /// By name: the key, and the result as bytes.
    #[serde(borrow)]
    entries: Vec<(&'d str, Digest, &'d [u8])>,
}

impl<'d> Document<'d> {
    fn read(bytes: &'d [u8]) -> Option<Self> {
        postcard::from_bytes::<Self>(bytes).ok().filter(|document| document.format == FORMAT)
    }
}

impl History {
    fn name(graph: &Graph) -> String {
        graph.document(FORMAT)
    }

    /// The history of a pipeline; empty if it never ran.
    #[must_use]
    pub fn read(store: &Store, graph: &Graph) -> Self {
        let bytes = store.document(Bucket::Pipelines, &Self::name(graph)).ok().flatten();
        bytes.and_then(Self::of).unwrap_or_default()
    }

    fn of(bytes: Vec<u8>) -> Option<Self> {
        let start = bytes.as_ptr().addr();
        let place = |part: &[u8]| {
            let from = part.as_ptr().addr().saturating_sub(start);
            if part.is_empty() { 0..0 } else { from..from + part.len() }
        };
        let entries = Document::read(&bytes)?.entries;
        let stored = |(name, key, result): (&str, Digest, &[u8])| Stored {
            name: place(name.as_bytes()),
            key,
            result: place(result),
            is_forgotten: false,
        };
        let mut stored: Vec<Stored> = entries.into_iter().map(stored).collect();
        stored.sort_by(|one, other| bytes[one.name.clone()].cmp(&bytes[other.name.clone()]));
        Some(Self { bytes, stored, learnt: BTreeMap::new(), forgotten: 0 })
    }

    /// The keys that other pipelines last had. Documents that are no history of this program's are passed over.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub(crate) fn keys_of_others(store: &Store, graph: &Graph) -> Result<Vec<Digest>, CacheError> {
        let own = Self::name(graph);
        let mut keys = Vec::new();
        for name in store.documents(Bucket::Pipelines)?.into_iter().filter(|name| *name != own) {
            let bytes = store.document(Bucket::Pipelines, &name)?.unwrap_or_default();
            keys.extend(
                Document::read(&bytes).into_iter().flat_map(|other| other.entries).map(|entry| entry.1),
            );
        }
        Ok(keys)
    }

    /// Stores it.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub fn write(&self, store: &Store, graph: &Graph) -> Result<(), CacheError> {
        let invalid = |error: postcard::Error| CacheError::Invalid {
            what: format!("the history of a pipeline cannot be written: {error}"),
        };
        let mut results = Vec::with_capacity(self.learnt.len());
        for (_, known) in self.learnt.values() {
            let bytes = known.as_ref().map(postcard::to_allocvec).transpose();
            results.push(bytes.map_err(invalid)?.unwrap_or_default());
        }
        let learnt = self.learnt.iter().zip(&results);
        let learnt = learnt.map(|((name, (key, _)), result)| (name.as_str(), *key, result.as_slice()));
        let stored = self.stored.iter().filter(|stored| !stored.is_forgotten);
        let stored =
            stored.map(|stored| (self.name_of(stored), stored.key, &self.bytes[stored.result.clone()]));
        let mut entries: Vec<_> = stored.chain(learnt).collect();
        entries.sort_unstable_by_key(|entry| entry.0);
        let bytes = postcard::to_allocvec(&Document { format: FORMAT, entries }).map_err(invalid)?;
        store.put_document(Bucket::Pipelines, &Self::name(graph), &bytes)
    }

    fn name_of(&self, stored: &Stored) -> &str {
        std::str::from_utf8(&self.bytes[stored.name.clone()]).unwrap_or_default()
    }

    fn find(&self, instance: &str) -> Option<usize> {
        let name = |stored: &Stored| self.bytes[stored.name.clone()].cmp(instance.as_bytes());
        self.stored.binary_search_by(name).ok().filter(|&at| !self.stored[at].is_forgotten)
    }

    /// Holds every key that is remembered, before anything is looked for: at once, for there may be many.
    pub(crate) fn hold(&self, store: &Store) {
        let stored = self.stored.iter().filter(|stored| !stored.is_forgotten).map(|stored| stored.key);
        let keys: Vec<Digest> = stored.chain(self.learnt.values().map(|(key, _)| *key)).collect();
        hold(store, &keys);
    }

    /// The key that an instance had when it was last up to date.
    #[must_use]
    pub fn key(&self, instance: &str) -> Option<&Digest> {
        let learnt = self.learnt.get(instance).map(|(key, _)| key);
        learnt.or_else(|| self.find(instance).map(|at| &self.stored[at].key))
    }

    /// Remembers the key of an instance and, where they are known, its outputs.
    pub(crate) fn learn(&mut self, instance: String, key: Digest, result: Option<Known>) {
        if let Some(at) = self.find(&instance) {
            self.stored[at].is_forgotten = true;
            self.forgotten += 1;
        }
        self.learnt.insert(instance, (key, result));
    }

    /// Forgets instances that the pipeline no longer has; says whether there were any.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) -> bool {
        let before = self.len();
        for at in 0..self.stored.len() {
            let stored = &self.stored[at];
            if !stored.is_forgotten && !is_there(self.name_of(stored)) {
                self.stored[at].is_forgotten = true;
                self.forgotten += 1;
            }
        }
        self.learnt.retain(|name, _| is_there(name));
        self.len() < before
    }

    /// How many instances are remembered.
    pub(crate) fn len(&self) -> usize {
        self.stored.len() - self.forgotten + self.learnt.len()
    }

    /// The result of a key, if it is remembered and its record is still the file that it was read from.
    pub(crate) fn recall(&self, store: &Store, instance: &str, key: &Digest) -> Option<Known> {
        let known = match self.learnt.get(instance) {
            Some((last, known)) => known.clone().filter(|_| last == key),
            None => {
                let stored = &self.stored[self.find(instance)?];
                let bytes = Some(&self.bytes[stored.result.clone()]).filter(|_| stored.key == *key);
                bytes.filter(|bytes| !bytes.is_empty()).and_then(|bytes| postcard::from_bytes(bytes).ok())
            }
        };
        known.filter(|known: &Known| known.is_current(store, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(history: &History, names: &[&str]) -> Vec<Option<u8>> {
        names.iter().map(|name| history.key(name).map(|key| key.as_bytes()[0])).collect()
    }

    #[test]
    fn what_is_learnt_counts_before_what_was_stored() {
        let key = |byte: u8| Digest([byte; 32]);
        let entries = vec![("a", key(1), &[][..]), ("c", key(3), &[][..]), ("b[x=1]", key(2), &[][..])];
        let bytes = postcard::to_allocvec(&Document { format: FORMAT, entries }).unwrap();
        let mut history = History::of(bytes.clone()).unwrap();
        let names = ["a", "b[x=1]", "c", "d"];
        assert_eq!((keys(&history, &names), history.len()), (vec![Some(1), Some(2), Some(3), None], 3));
        history.learn("d".to_owned(), key(4), None);
        history.learn("a".to_owned(), key(5), None);
        history.learn("a".to_owned(), key(6), None);
        assert_eq!((keys(&history, &names), history.len()), (vec![Some(6), Some(2), Some(3), Some(4)], 4));
        assert!(history.keep(|name| name != "c" && name != "d"));
        assert!(!history.keep(|name| name != "c" && name != "d"));
        assert_eq!((keys(&history, &names), history.len()), (vec![Some(6), Some(2), None, None], 2));
        // Another document is none.
        assert!(History::of(bytes[1..].to_vec()).is_none());
    }
}
