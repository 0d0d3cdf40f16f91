//! What the cache holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::folder::{ARTEFACTS, FILES, LOCKS, ROWS, WRITERS, list};
use crate::row_file::RowFile;
use crate::{Bucket, CacheError, Digest, Manifest, Store};

/// What the artefacts of one kind amount to; a file that several share counts for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct KindStats {
    /// Number of artefacts.
    pub artefacts: u64,
    /// Rows of all of them.
    pub rows: u64,
    /// Distinct files.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

/// What the cache holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// By artefact kind.
    pub kinds: BTreeMap<String, KindStats>,
    /// Files that neither an artefact nor a row map names.
    pub orphan_files: u64,
    /// Bytes of these files.
    pub orphan_bytes: u64,
    /// Number of records of stages.
    pub records: u64,
    /// Number of run records.
    pub runs: u64,
    /// Number of commits to row maps.
    pub row_files: u64,
    /// Bytes of everything in the folder, without what marks running processes.
    pub total_bytes: u64,
}

impl Store {
    /// Counts what the cache holds.
    ///
    /// # Errors
    /// [`CacheError::Io`] if a folder cannot be read.
    pub fn stats(&self) -> Result<Stats, CacheError> {
        let mut stats = Stats {
            records: self.documents(Bucket::Records)?.len() as u64,
            runs: self.documents(Bucket::Runs)?.len() as u64,
            total_bytes: self.total_bytes()?,
            ..Stats::default()
        };
        let mut named = BTreeSet::new();
        let mut seen: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
        for manifest in self.manifests()? {
            let files = seen.entry(manifest.kind.clone()).or_default();
            let kind = stats.kinds.entry(manifest.kind.clone()).or_default();
            kind.artefacts += 1;
            kind.rows += manifest.rows;
            for file in manifest.files() {
                let path = self.file_path(file);
                if files.insert(path.clone()) {
                    kind.files += 1;
                    kind.bytes += file.bytes;
                }
                named.insert(path);
            }
        }
        for path in self.list_readable(ROWS)? {
            stats.row_files += 1;
            if let Some(file) = fs_err::read(&path).ok().and_then(|bytes| RowFile::decode(&path, &bytes)) {
                named.extend(file.shards.iter().map(|shard| self.file_path(shard)));
            }
        }
        for path in self.list_readable(FILES)? {
            if !named.contains(&path) {
                stats.orphan_files += 1;
                stats.orphan_bytes += fs_err::metadata(&path).map_or(0, |meta| meta.len());
            }
        }
        Ok(stats)
    }

    /// Counts the bytes of everything but the marks and locks of running processes.
    pub(crate) fn total_bytes(&self) -> Result<u64, CacheError> {
        let dir = &self.inner.dir;
        let passing = [dir.join(WRITERS), dir.join(LOCKS)];
        bytes_of(list(dir)?.into_iter().filter(|path| !passing.contains(path)))
    }

    /// Reads all manifests that are whole, sorted by id.
    ///
    /// # Errors
    /// [`CacheError::Io`] if a folder cannot be read.
    pub fn manifests(&self) -> Result<Vec<Manifest>, CacheError> {
        let paths = self.list_readable(ARTEFACTS)?;
        Ok(paths.iter().filter_map(|path| self.manifest(&manifest_id(path)?)).collect())
    }
}

/// Returns the id in the name of a manifest.
pub(crate) fn manifest_id(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()
}

pub(crate) fn bytes_below(folder: &Path) -> Result<u64, CacheError> {
    bytes_of(list(folder)?.into_iter())
}

fn bytes_of(paths: impl Iterator<Item = PathBuf>) -> Result<u64, CacheError> {
    let mut total = 0;
    for path in paths {
        let Ok(meta) = fs_err::symlink_metadata(&path) else { continue };
        if !meta.is_dir() {
            total += meta.len();
            continue;
        }
        total += match bytes_below(&path) {
            // What this user may not see is not counted.
            Err(CacheError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => 0,
            below => below?,
        };
    }
    Ok(total)
}
