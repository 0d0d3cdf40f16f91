//! What is remembered of the instances of a pipeline from run to run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, CacheError, Digest, FileRef, FileStat, Store};

use crate::graph::Graph;
use crate::key::{Face, Faces};
use crate::record::{Record, hold};

/// The key that each instance of a pipeline last had, and what it led to.
///
/// Keys are what `explain` compares with. Results only save reading: they count as long as the files that they were read from
/// are the same files, by size, times and inode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// By name: `model[fold=1]`.
    instances: BTreeMap<String, Last>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    key: Digest,
    result: Option<Known>,
}

/// The result that a record names, with the version of the record's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    record: FileStat,
    pub outputs: Faces,
    /// The files of the outputs, where somebody asked for them.
    pub places: Option<Vec<Place>>,
}

/// Where an artefact lies: the version of its manifest's file, and what that names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    manifest: FileStat,
    files: Vec<FileRef>,
}

impl History {
    fn name(graph: &Graph) -> String {
        Digest::of(format!("history 2\n{}\n{}", graph.name, graph.source.name()).as_bytes()).to_string()
    }

    /// The history of a pipeline; empty if it never ran.
    #[must_use]
    pub fn read(store: &Store, graph: &Graph) -> Self {
        let bytes = store.document(Bucket::Pipelines, &Self::name(graph)).ok().flatten();
        bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default()
    }

    /// Stores it.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub fn write(&self, store: &Store, graph: &Graph) -> Result<(), CacheError> {
        let bytes = postcard::to_allocvec(self).map_err(|error| CacheError::Invalid {
            what: format!("the history of a pipeline cannot be written: {error}"),
        })?;
        store.put_document(Bucket::Pipelines, &Self::name(graph), &bytes)
    }

    /// Holds every key that is remembered, before anything is looked for: at once, for there may be many.
    pub(crate) fn hold(&self, store: &Store) {
        let keys: Vec<Digest> = self.instances.values().map(|last| last.key).collect();
        hold(store, &keys);
    }

    /// The key that an instance had when it was last up to date.
    #[must_use]
    pub fn key(&self, instance: &str) -> Option<&Digest> {
        self.instances.get(instance).map(|last| &last.key)
    }

    /// Remembers the key of an instance and, where they are known, its outputs.
    pub(crate) fn learn(&mut self, instance: String, key: Digest, result: Option<Known>) {
        self.instances.insert(instance, Last { key, result });
    }

    /// Forgets instances that the pipeline no longer has; says whether there were any.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) -> bool {
        let before = self.instances.len();
        self.instances.retain(|name, _| is_there(name));
        self.instances.len() < before
    }

    /// How many instances are remembered.
    pub(crate) fn len(&self) -> usize {
        self.instances.len()
    }

    /// The result of a key, if it is remembered and its record is still the file that it was read from.
    pub(crate) fn recall(&self, store: &Store, instance: &str, key: &Digest) -> Option<&Known> {
        let last = self.instances.get(instance).filter(|last| last.key == *key)?;
        last.result.as_ref().filter(|known| known.is_current(store, key))
    }
}

impl Known {
    /// Reads the outputs of a key's record. The version is looked up first: a record that is replaced meanwhile is read again.
    pub fn read(store: &Store, key: &Digest) -> Option<Self> {
        let record = version(store, key)?;
        let outputs = Record::read_outputs(store, key)?;
        Some(Self { record, outputs, places: None })
    }

    /// The outputs that were just recorded under a key whose lock is held.
    pub fn written(store: &Store, key: &Digest, outputs: Faces) -> Option<Self> {
        Some(Self { record: version(store, key)?, outputs, places: None })
    }

    fn is_current(&self, store: &Store, key: &Digest) -> bool {
        version(store, key).as_ref() == Some(&self.record)
    }

    /// Whether the files of every output are there, by what is remembered of them; `None` if that says nothing.
    pub fn is_present(&self, store: &Store) -> Option<bool> {
        let places = self.places.as_ref()?;
        let same =
            |(face, place): (&Face, &Place)| store.manifest_stat(&face.id).as_ref() == Some(&place.manifest);
        let known = places.len() == self.outputs.len() && self.outputs.iter().zip(places).all(same);
        known.then(|| places.iter().all(|place| store.has_files(&place.files)))
    }

    /// Looks up where the outputs lie and says whether they do; nothing is remembered of outputs that are gone.
    pub fn locate(&mut self, store: &Store) -> bool {
        let place = |face: &Face| {
            let version = store.manifest_stat(&face.id)?;
            let manifest = store.manifest(&face.id).filter(|manifest| store.is_present(manifest))?;
            Some(Place { manifest: version, files: manifest.files().cloned().collect() })
        };
        self.places = self.outputs.iter().map(place).collect();
        self.places.is_some()
    }
}

fn version(store: &Store, key: &Digest) -> Option<FileStat> {
    store.document_stat(Bucket::Records, &key.to_hex())
}
