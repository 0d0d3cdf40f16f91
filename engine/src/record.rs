//! What is stored under a key, and what is stored of a run.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, CacheError, Collection, Digest, KeyLock, Named, Store};

use crate::cell::Axes;
use crate::event::RowCounts;
use crate::key::{Faces, KeyParts};
use crate::scan::SourceFile;
use crate::usage::Usage;

/// The result of a stage: what it was made of and which artefacts it gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// What the key is made of.
    pub parts: KeyParts,
    /// The outputs in the order of the stage.
    pub outputs: Faces,
    /// Facts about the run that change no content.
    pub provenance: Provenance,
    /// Whether the outputs only pass through: no pipeline that had this result keeps it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

/// Holds keys before their records are read. On a disk that is full reading goes on without: what is gone by then is made again.
pub(crate) fn hold(store: &Store, keys: &[Digest]) {
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
        Self::find(store, key)
    }

    fn find(store: &Store, key: &Digest) -> Option<Self> {
        let bytes = store.document(Bucket::Records, &key.to_string()).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Reads only the outputs of a key's record, and whether they only pass through: what a plan needs of most of them.
    #[must_use]
    pub fn read_outputs(store: &Store, key: &Digest) -> Option<(Faces, bool)> {
        hold(store, &[*key]);
        #[derive(Deserialize)]
        struct Outputs {
            outputs: Faces,
            #[serde(default)]
            passing: bool,
        }
        let bytes = store.document(Bucket::Records, &key.to_hex()).ok().flatten()?;
        serde_json::from_slice(&bytes).ok().map(|Outputs { outputs, passing }| (outputs, passing))
    }

    /// Notes in the record of a key that its outputs are kept.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub fn keep(store: &Store, key: &Digest) -> Result<(), CacheError> {
        store.hold(&[*key])?;
        let _alone = Self::lock(store, key)?;
        Self::set_passing(store, key, false)
    }

    /// Notes in the records of keys that their outputs only pass through, but for those that another process uses: it may keep them.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be read or written.
    pub fn pass(
        store: &Store,
        collection: &Collection<'_>,
        keys: &BTreeSet<Digest>,
    ) -> Result<(), CacheError> {
        // Who is about to change a record holds its key, so that nobody does.
        collection.each_unused(keys, |key| Self::set_passing(store, key, true))
    }

    /// The lock that whoever replaces a record has from reading it to writing it.
    pub(crate) fn lock(store: &Store, key: &Digest) -> Result<KeyLock, CacheError> {
        store.lock_briefly("record", key)
    }

    fn set_passing(store: &Store, key: &Digest, passing: bool) -> Result<(), CacheError> {
        match Self::find(store, key) {
            Some(record) if record.passing != passing => Self { passing, ..record }.put(store, key),
            _ => Ok(()),
        }
    }

    /// What garbage collection must know of a record: the artefacts and the list of sources that it names, and whether they only pass
    /// through. `None` if it cannot be read.
    #[must_use]
    pub fn names(bytes: &[u8]) -> Option<Named> {
        #[derive(Deserialize)]
        struct Names {
            parts: Parts,
            outputs: Vec<Output>,
            #[serde(default)]
            passing: bool,
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
        let Names { parts, outputs, passing } = serde_json::from_slice(bytes).ok()?;
        let outputs = outputs.into_iter().map(|output| output.id);
        Some(Named { ids: outputs.chain(parts.sources.map(|list| list.digest)).collect(), passing })
    }

    /// Stores the record: the last write of a stage.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub fn write(&self, store: &Store, key: &Digest) -> Result<(), CacheError> {
        store.hold(&[*key])?;
        self.put(store, key)
    }

    fn put(&self, store: &Store, key: &Digest) -> Result<(), CacheError> {
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
        files.iter().map(|source| (source.label.as_str(), source.digest())).collect();
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

/// One run of a pipeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    /// Time, process and number: `20261121-214703-123-4f2a-17`. Later runs have larger numbers, whatever the clock said.
    pub id: String,
    /// `name:` of the pipeline.
    pub pipeline: String,
    /// The file, as it was named.
    pub file: String,
    /// Where the file lies, links resolved.
    #[serde(default)]
    pub path: String,
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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
    /// Stores the run, whose stages lack those that were cached.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be written.
    pub(crate) fn write(&self, cached: &Cached<'_>, store: &Store) -> Result<(), CacheError> {
        let bytes = serde_json::to_vec(&(self, cached)).map_err(|error| invalid("a run", &error))?;
        store.put_document(Bucket::Runs, &self.id, &bytes)
    }

    /// The ids of all runs, the latest first.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub fn names(store: &Store) -> Result<Vec<String>, CacheError> {
        let mut names = store.documents(Bucket::Runs)?;
        names.sort_by(|a, b| (number(b), b).cmp(&(number(a), a)));
        Ok(names)
    }

    /// The number of the next run.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub(crate) fn next_number(store: &Store) -> Result<u64, CacheError> {
        let names = store.documents(Bucket::Runs)?;
        Ok(names.iter().map(|name| number(name)).max().unwrap_or(0) + 1)
    }

    /// All runs, the latest first; damaged ones are left out.
    ///
    /// # Errors
    /// [`CacheError`] if the cache cannot be listed.
    pub fn all(store: &Store) -> Result<Vec<Self>, CacheError> {
        Ok(Self::names(store)?.iter().filter_map(|name| Self::read(store, name)).collect())
    }

    /// One run.
    #[must_use]
    pub fn read(store: &Store, id: &str) -> Option<Self> {
        let bytes = store.document(Bucket::Runs, id).ok().flatten()?;
        let Ok((mut run, cached)) = serde_json::from_slice::<(Self, Vec<CachedCells<'_>>)>(&bytes) else {
            // As runs were recorded before.
            return serde_json::from_slice(&bytes).ok();
        };
        run.stages.extend(cached.into_iter().flat_map(CachedCells::stages));
        Some(run)
    }
}

/// The number at the end of a run's id; runs of earlier versions have none and come first.
fn number(id: &str) -> u64 {
    id.split('-').nth(4).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The status of a stage whose result was there.
const CACHED: &str = "cached";

/// Cells of one stage that were cached, as a run record holds them: next to nothing is to be said of each, and there may be many.
#[derive(Serialize, Deserialize)]
struct CachedCells<'c> {
    stage: Cow<'c, str>,
    axes: Vec<Cow<'c, str>>,
    /// Labels and key of each.
    cells: Vec<(Vec<Cow<'c, str>>, Option<Digest>)>,
}

impl CachedCells<'_> {
    fn stages(self) -> impl Iterator<Item = RunStage> {
        let Self { stage, axes, cells } = self;
        cells.into_iter().map(move |(labels, key)| RunStage {
            stage: stage.to_string(),
            axes: axes.iter().map(ToString::to_string).zip(labels.into_iter().map(Cow::into_owned)).collect(),
            status: CACHED.to_owned(),
            key,
            ..RunStage::default()
        })
    }
}

/// All that was cached in a run, in its order.
#[derive(Default, Serialize)]
pub(crate) struct Cached<'c>(Vec<CachedCells<'c>>);

impl<'c> Cached<'c> {
    pub fn push(&mut self, stage: &'c str, axes: &'c Axes, key: Option<Digest>) {
        let labels = axes.iter().map(|(_, label)| Cow::Borrowed(label.as_str())).collect();
        let same = |last: &&mut CachedCells<'_>| {
            last.stage == stage && last.axes.iter().eq(axes.iter().map(|(axis, _)| axis.as_str()))
        };
        match self.0.last_mut().filter(same) {
            Some(last) => last.cells.push((labels, key)),
            None => self.0.push(CachedCells {
                stage: Cow::Borrowed(stage),
                axes: axes.iter().map(|(axis, _)| Cow::Borrowed(axis.as_str())).collect(),
                cells: vec![(labels, key)],
            }),
        }
    }
}
