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
    /// Whether the record says that the outputs only pass through. Of such a result nothing is remembered.
    #[serde(skip)]
    pub passing: bool,
}

/// Where an artefact lies: the version of its manifest's file, and what that names, each with its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    manifest: FileStat,
    files: Vec<FileRef>,
    versions: Vec<FileStat>,
}

impl Place {
    /// Looks for the files of an artefact. They are written before their manifest: one that is newer was touched since, and so was one
    /// that is another than `before`. With `check` its content is looked at then; an artefact that is damaged is dropped.
    fn find(store: &Store, id: &Digest, before: Option<&Self>, check: bool) -> Option<Self> {
        let manifest = store.manifest_stat(id)?;
        let found = store.manifest(id)?;
        let versions = store.file_stats(found.files())?;
        let newer = versions.iter().any(|version| version.mtime > manifest.mtime);
        let touched = before.map_or(newer, |before| before.versions != versions);
        if check && touched && !store.is_whole(&found) {
            store.drop_artefact(&found);
            return None;
        }
        Some(Self { manifest, files: found.files().cloned().collect(), versions })
    }

    /// Whether the files are there as they were; `None` if one was touched.
    fn is_same(&self, store: &Store) -> Option<bool> {
        let Some(versions) = store.file_stats(&self.files) else { return Some(false) };
        (versions == self.versions).then_some(true)
    }
}

impl History {
    fn name(graph: &Graph) -> String {
        graph.document("history 3")
    }

    /// The history of a pipeline; empty if it never ran.
    #[must_use]
    pub fn read(store: &Store, graph: &Graph) -> Self {
        let bytes = store.document(Bucket::Pipelines, &Self::name(graph)).ok().flatten();
        bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default()
    }

    /// The keys that other pipelines last had. Documents that are no history of this program's are passed over.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub(crate) fn keys_of_others(store: &Store, graph: &Graph) -> Result<Vec<Digest>, CacheError> {
        let own = Self::name(graph);
        let mut keys = Vec::new();
        for name in store.documents(Bucket::Pipelines)?.into_iter().filter(|name| *name != own) {
            let bytes = store.document(Bucket::Pipelines, &name)?;
            if let Some(other) = bytes.and_then(|bytes| postcard::from_bytes::<Self>(&bytes).ok()) {
                keys.extend(other.instances.into_values().map(|last| last.key));
            }
        }
        Ok(keys)
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
        let (outputs, passing) = Record::read_outputs(store, key)?;
        Some(Self { record, outputs, places: None, passing })
    }

    /// The outputs that were just recorded under a key whose lock is held.
    pub fn written(store: &Store, key: &Digest, outputs: Faces) -> Option<Self> {
        Some(Self { record: version(store, key)?, outputs, places: None, passing: false })
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
        if !known {
            return None;
        }
        let there: Option<Vec<bool>> = places.iter().map(|place| place.is_same(store)).collect();
        there.map(|there| there.iter().all(|there| *there))
    }

    /// Looks up where the outputs lie and says whether they do; nothing is remembered of outputs that are gone. With `check` the content
    /// of files that were touched is looked at.
    pub fn locate(&mut self, store: &Store, check: bool) -> bool {
        let before = self.places.take().unwrap_or_default();
        let place = |(at, face): (usize, &Face)| Place::find(store, &face.id, before.get(at), check);
        self.places = self.outputs.iter().enumerate().map(place).collect();
        self.places.is_some()
    }
}

fn version(store: &Store, key: &Digest) -> Option<FileStat> {
    store.document_stat(Bucket::Records, &key.to_hex())
}
