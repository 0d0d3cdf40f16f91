//! Everything that lies in the cache, listed once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::prelude::*;

use super::policy::{Named, Names};
use crate::artefact::parse_manifest;
use crate::document::document_length;
use crate::file_lock::lock_if_free;
use crate::folder::{ARTEFACTS, FILES, LOCKS, LOGS, RETIRED, ROWS, WORK, list, list_sharded};
use crate::row_file::{RowFile, map_key};
use crate::stats::{bytes_below, manifest_id};
use crate::{Bucket, CacheError, Digest, Manifest, Store};

/// A file, or a folder with everything in it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub path: PathBuf,
    pub bytes: u64,
    /// When it was last written, in ms since 1970.
    pub written: u64,
}

/// One commit to a row map.
pub(super) struct Commit {
    pub entry: Entry,
    /// How many of its rows lie in which shard.
    pub shards: BTreeMap<Digest, u64>,
}

impl Commit {
    /// A commit that was read; `None` if its file went meanwhile.
    pub fn of(path: &Path, file: &RowFile) -> Option<Commit> {
        let mut shards: BTreeMap<Digest, u64> = file.shards.iter().map(|shard| (shard.id, 0)).collect();
        for entry in &file.entries {
            let shard = file.shards.get(entry.shard as usize);
            if let Some(rows) = shard.and_then(|shard| shards.get_mut(&shard.id)) {
                *rows += 1;
            }
        }
        Some(Commit { entry: stat(path)?, shards })
    }
}

/// Everything in the cache, by what names it.
#[derive(Default)]
pub(super) struct Inventory {
    /// Key -> its record and what the record names.
    pub records: BTreeMap<Digest, (Entry, Vec<Digest>)>,
    /// Keys whose results only pass through.
    pub passing: BTreeSet<Digest>,
    pub artefacts: BTreeMap<Digest, (Entry, Manifest)>,
    /// Content of a file -> the files, which differ in their extensions.
    pub files: BTreeMap<Digest, Vec<Entry>>,
    /// Key of a row map -> its commits.
    pub maps: BTreeMap<Digest, Vec<Commit>>,
    pub sources: BTreeMap<Digest, Entry>,
    pub logs: BTreeMap<Digest, Entry>,
    pub work: BTreeMap<Digest, Entry>,
    pub runs: BTreeMap<String, Entry>,
    /// Documents and commits that cannot be read.
    pub damaged: Vec<Entry>,
    /// Keys with their locks and the claims of rows that nobody has.
    pub locks: Vec<(Digest, Entry)>,
    /// Temporary files of processes that are gone, and what nobody can read any more.
    pub strays: Vec<Entry>,
    /// Bytes of everything in the folder.
    pub total: u64,
}

impl Inventory {
    /// Lists records, artefacts, row maps and files: what names what.
    pub fn of_results(store: &Store, names: Names<'_>) -> Result<Inventory, CacheError> {
        let dir = &store.inner.dir;
        let mut all = Inventory::default();
        for (entry, found) in read(list_sharded(&dir.join(Bucket::Records.folder()))?, |path, bytes| {
            let name = file_name(path);
            let length = document_length(Bucket::Records.folder(), name, bytes)?;
            Some((name.parse().ok()?, names(&bytes[..length])?))
        })? {
            match found {
                Some((key, Named { ids, passing })) => {
                    all.records.insert(key, (entry, ids));
                    all.passing.extend(passing.then_some(key));
                }
                None => all.damaged.push(entry),
            }
        }
        for (entry, found) in read(list_sharded(&dir.join(ARTEFACTS))?, |path, bytes| {
            let id = manifest_id(path)?;
            let length = document_length(ARTEFACTS, &id.to_hex(), bytes)?;
            parse_manifest(&id, &bytes[..length])
        })? {
            match found {
                Some(manifest) => drop(all.artefacts.insert(manifest.id, (entry, manifest))),
                None => all.damaged.push(entry),
            }
        }
        for (entry, found) in read(list_sharded(&dir.join(ROWS))?, |path, bytes| {
            Some((map_key(path.parent()?)?, Commit::of(path, &RowFile::decode(path, bytes)?)?))
        })? {
            match found {
                Some((key, commit)) => all.maps.entry(key).or_default().push(commit),
                None => all.damaged.push(entry),
            }
        }
        for path in list_sharded(&dir.join(FILES))? {
            if let (Some(id), Some(entry)) = (digest_before(&path, '.'), stat(&path)) {
                all.files.entry(id).or_default().push(entry);
            }
        }
        Ok(all)
    }

    /// Lists the cache; `names` gives what a record names.
    pub fn new(store: &Store, names: Names<'_>) -> Result<Inventory, CacheError> {
        let dir = &store.inner.dir;
        let mut all = Inventory::of_results(store, names)?;
        all.total = store.total_bytes()?;
        for path in list_sharded(&dir.join(Bucket::Sources.folder()))? {
            if let (Some(id), Some(entry)) = (digest_before(&path, '.'), stat(&path)) {
                all.sources.insert(id, entry);
            }
        }
        for path in list_sharded(&dir.join(LOGS))? {
            if let (Some(key), Some(entry)) = (digest_before(&path, '.'), stat(&path)) {
                all.logs.insert(key, entry);
            }
        }
        for path in list(&dir.join(WORK))? {
            if let (Some(key), Some(mut entry)) = (digest_before(&path, '.'), stat(&path)) {
                entry.bytes = bytes_below(&path)?;
                for inner in list(&path)? {
                    entry.written = entry.written.max(stat(&inner).map_or(0, |inner| inner.written));
                }
                all.work.insert(key, entry);
            }
        }
        for path in list_sharded(&dir.join(Bucket::Runs.folder()))? {
            if let Some(entry) = stat(&path) {
                all.runs.insert(file_name(&path).to_owned(), entry);
            }
        }
        // Locks whose names begin with no key are never removed.
        for path in list(&dir.join(LOCKS))? {
            if let (Some(key), Some(_free)) = (digest_before(&path, '.'), lock_if_free(&path)) {
                all.locks.extend(stat(&path).map(|entry| (key, entry)));
            }
        }
        let temps = store.temps().into_iter().filter(|path| !store.has_owner(path));
        all.strays = temps.filter_map(|path| stat(&path)).collect();
        // The count above is one of finished files.
        all.total += all.strays.iter().map(|temp| temp.bytes).sum::<u64>();
        for bucket in RETIRED {
            all.strays.extend(list_sharded(&dir.join(bucket))?.iter().filter_map(|path| stat(path)));
        }
        Ok(all)
    }
}

/// Reads files in parallel; one that went meanwhile is left out.
fn read<T: Send>(
    paths: Vec<PathBuf>,
    parse: impl Fn(&Path, &[u8]) -> Option<T> + Sync,
) -> Result<Vec<(Entry, Option<T>)>, CacheError> {
    let read = |path: &PathBuf| {
        let Some(entry) = stat(path) else { return Ok(None) };
        match fs_err::read(path) {
            Ok(bytes) => Ok(Some((entry, parse(path, &bytes)))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CacheError::reading(path, source)),
        }
    };
    paths.par_iter().filter_map(|path| read(path).transpose()).collect()
}

fn stat(path: &Path) -> Option<Entry> {
    let meta = fs_err::metadata(path).ok()?;
    let written = meta.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let written = u64::try_from(written.as_millis()).unwrap_or(u64::MAX);
    Some(Entry { path: path.to_owned(), bytes: meta.len(), written })
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Returns the digest that a name is or begins with.
fn digest_before(path: &Path, end: char) -> Option<Digest> {
    file_name(path).split(end).next()?.parse().ok()
}
