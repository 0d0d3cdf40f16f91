//! The names in a cache folder: its buckets, the files in them, and those that are still being written.

use std::io;
use std::path::{Path, PathBuf};

use crate::{CacheError, Digest};

pub(crate) const ARTEFACTS: &str = "artefacts-v1";
pub(crate) const FILES: &str = "files-v1";
pub(crate) const ROWS: &str = "rows-v3";
pub(crate) const DIGESTS: &str = "digests-v3";
/// Buckets of earlier versions: nothing reads them.
pub(crate) const RETIRED: [&str; 4] = ["rows-v1", "rows-v2", "digests-v1", "digests-v2"];
pub(crate) const LOGS: &str = "logs-v1";
pub(crate) const WORK: &str = "work-v1";
pub(crate) const LOCKS: &str = "locks-v1";
pub(crate) const WRITERS: &str = "writers-v1";

/// Every temporary file's name starts with this, then the writer's token.
pub(crate) const TEMP_PREFIX: &str = ".tmp-";

/// What is wrong with an entry of another user that this one may not read.
pub(crate) const DENIED: &str = "it belongs to somebody who keeps it to themselves";

/// Says whether a folder of a cache is a bucket: they carry a version.
pub(crate) fn is_bucket(name: &str) -> bool {
    name.rsplit_once("-v").is_some_and(|(_, version)| version.parse::<u32>().is_ok())
}

/// Returns `cache/folder/xx/name`, where `xx` spreads the names over 256 folders.
pub(crate) fn sharded(cache: &Path, folder: &str, name: &str) -> PathBuf {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    // One allocation: a plan asks for hundreds of thousands of these.
    let mut path =
        PathBuf::with_capacity(cache.as_os_str().len() + folder.len() + name.len() + "//00/".len());
    path.push(cache);
    path.push(folder);
    match name.get(..2) {
        Some(prefix) if prefix.bytes().all(hex) => path.push(prefix),
        _ => path.push(&Digest::of(name.as_bytes()).to_hex()[..2]),
    }
    path.push(name);
    path
}

/// Lists the files in the folders of a bucket, without temporary ones; a bucket that does not exist is empty.
pub(crate) fn list_sharded(bucket: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let mut files = Vec::new();
    for folder in list(bucket)? {
        files.extend(list(&folder)?);
    }
    files.sort_unstable();
    Ok(files)
}

/// Lists a folder without temporary files, sorted; a folder that does not exist is empty.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let reading = |source| CacheError::reading(folder, source);
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(reading(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(reading)?;
        if !entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
