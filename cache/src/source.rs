//! Digests of source files, remembered by what the file system says of them.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{CacheError, Digest, Store};

/// A file this much younger than its hashing may change again within one tick of the clock: not remembered.
const YOUNG: Duration = Duration::from_millis(100);
const CHUNK: usize = 256 << 10;

/// What identifies a version of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Length in bytes.
    pub size: u64,
    /// Last modification, ns since 1970.
    pub mtime: i64,
    /// Last change of content or metadata, ns since 1970; programs cannot set it.
    pub ctime: i64,
    /// The number of the file in its file system.
    pub inode: u64,
    /// The file system.
    pub device: u64,
}

/// A file's content, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// The path as it was given.
    pub path: PathBuf,
    /// BLAKE3 of the bytes.
    pub digest: Digest,
    /// The version of the file that has these bytes.
    pub stat: FileStat,
}

impl FileStat {
    /// Returns the present version of a file.
    ///
    /// # Errors
    /// Whatever the system says; the path is in the message.
    pub fn of_file(path: &Path) -> std::io::Result<FileStat> {
        Ok(FileStat::of(&fs_err::metadata(path)?))
    }

    pub(crate) fn of(meta: &Metadata) -> FileStat {
        use std::os::unix::fs::MetadataExt;
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        FileStat {
            size: meta.size(),
            mtime: ns(meta.mtime(), meta.mtime_nsec()),
            ctime: ns(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
        }
    }
}

impl Store {
    /// Returns the digests of files, in order, reading only those that are not remembered in their present version.
    ///
    /// Files are hashed in parallel on the current rayon pool. What was hashed is remembered by folder.
    ///
    /// # Errors
    /// By file: [`CacheError::Io`] if it is missing, unreadable or not a file, [`CacheError::Changing`] if it is
    /// being written to.
    pub fn digests(&self, paths: &[PathBuf]) -> Vec<Result<FileDigest, CacheError>> {
        let absolute: Vec<Option<PathBuf>> =
            paths.iter().map(|path| std::path::absolute(path).ok()).collect();
        let mut folders: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
        for (i, path) in absolute.iter().enumerate() {
            if let Some(folder) = path.as_deref().and_then(Path::parent) {
                folders.entry(folder).or_default().push(i);
            }
        }
        let memos: BTreeMap<&Path, crate::memo::Memo> =
            folders.keys().map(|&folder| (folder, self.memo(folder))).collect();
        let results: Vec<(Result<FileDigest, CacheError>, bool)> = paths
            .par_iter()
            .zip(&absolute)
            .with_min_len(16)
            .map_init(Vec::new, |buffer, (path, absolute)| {
                let memo = absolute
                    .as_deref()
                    .and_then(|path| Some((memos.get(path.parent()?)?, path.file_name()?)));
                digest(self, path, memo, buffer)
            })
            .collect();
        for (folder, members) in folders {
            let fresh: Vec<_> = members
                .into_iter()
                .filter_map(|i| match &results[i] {
                    (Ok(file), true) => Some((absolute[i].as_deref()?.file_name()?, file.stat, file.digest)),
                    _ => None,
                })
                .collect();
            if !fresh.is_empty() {
                self.remember(folder, &fresh);
            }
        }
        results.into_iter().map(|(result, _)| result).collect()
    }

    /// Returns how many source files this store and its clones have read.
    pub fn files_hashed(&self) -> u64 {
        self.inner.hashed.load(Ordering::Relaxed)
    }

    /// Looks at files again and returns which of them, by index, have another content now or are gone.
    ///
    /// A file whose version is the same is not read.
    pub fn recheck(&self, seen: &[FileDigest]) -> Vec<usize> {
        let changed: Vec<bool> = seen
            .par_iter()
            .with_min_len(16)
            .map_init(Vec::new, |buffer, file| match fs_err::metadata(&file.path) {
                Ok(meta) if FileStat::of(&meta) == file.stat => false,
                Ok(_) => !hash_file(self, &file.path, buffer).is_ok_and(|(now, _)| now.digest == file.digest),
                Err(_) => true,
            })
            .collect();
        changed.iter().enumerate().filter_map(|(i, changed)| changed.then_some(i)).collect()
    }
}

/// Returns the digest of a file and whether it is worth remembering.
fn digest(
    store: &Store,
    path: &Path,
    memo: Option<(&crate::memo::Memo, &std::ffi::OsStr)>,
    buffer: &mut Vec<u8>,
) -> (Result<FileDigest, CacheError>, bool) {
    let meta = match fs_err::metadata(path) {
        Ok(meta) => meta,
        Err(source) => return (Err(CacheError::reading(path, source)), false),
    };
    if !meta.is_file() {
        let source = std::io::Error::other("it is not a file");
        return (Err(CacheError::reading(path, source)), false);
    }
    let stat = FileStat::of(&meta);
    if let Some(digest) = memo.and_then(|(memo, name)| memo.get(name, &stat)) {
        return (Ok(FileDigest { path: path.to_owned(), digest, stat }), false);
    }
    match hash_file(store, path, buffer) {
        Ok((file, old)) => (Ok(file), old),
        Err(error) => (Err(error), false),
    }
}

/// Hashes a file that does not change meanwhile; says whether it is old enough to be remembered.
fn hash_file(store: &Store, path: &Path, buffer: &mut Vec<u8>) -> Result<(FileDigest, bool), CacheError> {
    let reading = |source| CacheError::reading(path, source);
    store.inner.hashed.fetch_add(1, Ordering::Relaxed);
    buffer.resize(CHUNK, 0);
    for _ in 0..3 {
        let now = store.now();
        let mut file = fs_err::File::open(path).map_err(reading)?;
        let before = FileStat::of(&file.metadata().map_err(reading)?);
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        loop {
            match file.read(buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    length += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(reading(source)),
            }
        }
        let after = FileStat::of(&file.metadata().map_err(reading)?);
        if before == after && length == before.size {
            let newest = i128::from(before.mtime.max(before.ctime));
            let age = i128::try_from(now.as_nanos()).unwrap_or(0) - newest;
            let old = age >= YOUNG.as_nanos() as i128;
            let digest = Digest(*hasher.finalize().as_bytes());
            return Ok((FileDigest { path: path.to_owned(), digest, stat: before }, old));
        }
    }
    Err(CacheError::Changing { path: path.to_owned() })
}
