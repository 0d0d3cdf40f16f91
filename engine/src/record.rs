//! What is stored under a key, and the history of a pipeline and its runs.

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, CacheError, Digest, Store};

use crate::event::RowCounts;
use crate::graph::{Axes, Graph};
use crate::key::{Face, KeyParts};
use crate::scan::SourceFile;
use crate::usage::Usage;

/// The result of a stage: what it was made of and which artefacts it gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// What the key is made of.
    pub parts: KeyParts,
    /// The outputs in the order of the stage.
    pub outputs: Vec<Face>,
    /// Facts about the run that change no content.
    pub provenance: Provenance,
}

/// Holds keys before their records are read. On a disk that is full reading goes on without: what is gone by then is made again.
fn hold(store: &Store, keys: &[Digest]) {
    if let Err(error) = store.hold(keys) {
        tracing::debug!("{error}");
    }
}

fn invalid(what: &str, error: &serde_json::Error) -> CacheError {
    CacheError::Invalid { what: format!("{what} cannot be written as JSON: {error}") }
}

/// Facts about the run that made a result.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Milliseconds since 1970.
    pub finished_ms: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Version of sndpipe.
    pub version: String,
    /// Machine.
    pub host: String,
    /// Device that was asked for.
    pub device: String,
    /// CPU slots.
    pub threads: usize,
    /// Rows of a stage that maps clips.
    pub rows: RowCounts,
    /// What the stage noted.
    pub notes: BTreeMap<String, String>,
}

impl Record {
    /// Reads the record of a key; a damaged one is absent. The key is held from here on, with what the record names.
    #[must_use]
    pub fn read(store: &Store, key: &Digest) -> Option<Self> {
        hold(store, &[*key]);
        let bytes = store.document(Bucket::Records, &key.to_string()).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Reads only the outputs of a key's record: what a plan needs of most of them.
    #[must_use]
    pub fn read_outputs(store: &Store, key: &Digest) -> Option<Vec<Face>> {
        hold(store, &[*key]);
        Self::outputs_of_held(store, key)
    }

    fn outputs_of_held(store: &Store, key: &Digest) -> Option<Vec<Face>> {
        #[derive(Deserialize)]
        struct Outputs {
            outputs: Vec<Face>,
        }
        let bytes = store.document(Bucket::Records, &key.to_hex()).ok().flatten()?;
        serde_json::from_slice(&bytes).ok().map(|Outputs { outputs }| outputs)
    }

    /// What garbage collection must know of a record: the artefacts and the list of sources that it names. `None` if it
    /// cannot be read.
    #[must_use]
    pub fn names(bytes: &[u8]) -> Option<Vec<Digest>> {
        #[derive(Deserialize)]
        struct Names {
            parts: Parts,
            outputs: Vec<Output>,
        }
        #[derive(Deserialize)]
        struct Parts {
            sources: Option<List>,
        }
        #[derive(Deserialize)]
        struct List {
            digest: Digest,
        }
        #[derive(Deserialize)]
        struct Output {
            id: Digest,
        }
        let Names { parts, outputs } = serde_json::from_slice(bytes).ok()?;
        Some(
            outputs
                .into_iter()
                .map(|output| output.id)
                .chain(parts.sources.map(|list| list.digest))
                .collect(),
        )
    }

    /// Stores the record: the last write of a stage.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub fn write(&self, store: &Store, key: &Digest) -> Result<(), CacheError> {
        store.hold(&[*key])?;
        let bytes = serde_json::to_vec(self).map_err(|error| invalid("a record", &error))?;
        store.put_document(Bucket::Records, &key.to_string(), &bytes)
    }
}

/// Stores the list of declared files under its digest, for `explain`.
///
/// # Errors
/// [`CacheError`] if the cache cannot be written.
pub fn write_sources(store: &Store, digest: &Digest, files: &[SourceFile]) -> Result<(), CacheError> {
    let list: Vec<(&str, Digest)> =
        files.iter().map(|source| (source.label.as_str(), source.file.digest)).collect();
    let bytes = serde_json::to_vec(&list).map_err(|error| invalid("a list of files", &error))?;
    store.hold(&[*digest])?;
    store.put_document(Bucket::Sources, &digest.to_string(), &bytes)
}

/// Reads a list of declared files.
#[must_use]
pub fn read_sources(store: &Store, digest: &Digest) -> Option<BTreeMap<String, Digest>> {
    let bytes = store.document(Bucket::Sources, &digest.to_string()).ok().flatten()?;
    let list: Vec<(String, Digest)> = serde_json::from_slice(&bytes).ok()?;
    Some(list.into_iter().collect())
}

/// The key that each instance of a pipeline last had: what `explain` compares with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct History {
    /// Instance (`model[fold=1]`) -> key.
    pub keys: BTreeMap<String, Digest>,
}

impl History {
    fn name(graph: &Graph) -> String {
        Digest::of(format!("{}\n{}", graph.name, graph.source.name()).as_bytes()).to_string()
    }

    /// The history of a pipeline; empty if it never ran.
    #[must_use]
    pub fn read(store: &Store, graph: &Graph) -> Self {
        let bytes = store.document(Bucket::Pipelines, &Self::name(graph)).ok().flatten();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Reads the outputs that the last keys of these instances led to, on all processors: most likely they are still the keys.
    #[must_use]
    pub(crate) fn recall(
        &self,
        store: &Store,
        graph: &Graph,
        needed: &[bool],
    ) -> BTreeMap<Digest, Vec<Face>> {
        /// A small pipeline is read before the threads of a large machine have started.
        const SMALL: usize = 100;
        let read = |key: &Digest| Some((*key, Record::outputs_of_held(store, key)?));
        let names = graph.instances.iter().zip(needed).filter(|(_, needed)| **needed);
        let keys: BTreeSet<Digest> =
            names.filter_map(|(instance, _)| self.keys.get(&instance.to_string())).copied().collect();
        hold(store, &keys.iter().copied().collect::<Vec<_>>());
        if keys.len() <= SMALL {
            return keys.iter().filter_map(read).collect();
        }
        keys.into_par_iter().filter_map(|key| read(&key)).collect()
    }

    /// Stores it.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub fn write(&self, store: &Store, graph: &Graph) -> Result<(), CacheError> {
        let bytes = serde_json::to_vec(self).map_err(|error| invalid("a history", &error))?;
        store.put_document(Bucket::Pipelines, &Self::name(graph), &bytes)
    }
}

/// One run of a pipeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    /// Sortable by time: `20261121-214703-1a2b`.
    pub id: String,
    /// `name:` of the pipeline.
    pub pipeline: String,
    /// The file.
    pub file: String,
    /// `--set` of the command line.
    pub overrides: Vec<(String, String)>,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Version of sndpipe.
    pub version: String,
    /// Machine.
    pub host: String,
    /// `done`, `failed` or `interrupted`.
    pub status: String,
    /// Every instance that the run looked at.
    pub stages: Vec<RunStage>,
}

/// One instance in a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStage {
    /// The stage.
    pub stage: String,
    /// Its cell.
    pub axes: Axes,
    /// `ran`, `cached`, `failed`, `skipped` or `interrupted`.
    pub status: String,
    /// Its key, where its inputs were known.
    pub key: Option<Digest>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What it took, beside time.
    #[serde(default)]
    pub usage: Usage,
    /// Rows.
    pub rows: RowCounts,
    /// What reached it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last lines that it said before it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl RunRecord {
    /// Stores the run.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub fn write(&self, store: &Store) -> Result<(), CacheError> {
        let bytes = serde_json::to_vec(self).map_err(|error| invalid("a run", &error))?;
        store.put_document(Bucket::Runs, &self.id, &bytes)
    }

    /// All runs, the latest first; damaged ones are left out.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub fn all(store: &Store) -> Result<Vec<Self>, CacheError> {
        let mut names = store.documents(Bucket::Runs)?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names.iter().filter_map(|name| Self::read(store, name)).collect())
    }

    /// One run.
    #[must_use]
    pub fn read(store: &Store, id: &str) -> Option<Self> {
        let bytes = store.document(Bucket::Runs, id).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }
}
