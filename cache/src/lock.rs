//! Locks that die with their process, and the marks by which a killed writer's temporary files are found.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::store::{LOCKS, WRITERS};
use crate::{CacheError, Digest, Store};

/// Every temporary file's name starts with this, then the writer's token.
pub(crate) const TEMP_PREFIX: &str = ".tmp-";

/// Holds the lock of a key until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct KeyLock {
    path: PathBuf,
    // The lock belongs to the open file.
    _file: std::fs::File,
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Still locked here: whoever opened the file before sees after locking that it is gone, and tries again.
        let _ = fs_err::remove_file(&self.path);
    }
}

impl Store {
    /// Takes the lock of a key if nobody holds it.
    ///
    /// Locks only save double work; two computations of one key write the same files.
    ///
    /// # Errors
    /// Full or unusable, as for every write.
    pub fn try_lock(&self, key: &Digest) -> Result<Option<KeyLock>, CacheError> {
        let folder = self.inner.dir.join(LOCKS);
        let path = folder.join(key.to_hex());
        let writing = |source| CacheError::writing(&path, source);
        loop {
            let file = match open_to_lock(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs_err::create_dir_all(&folder).map_err(writing)?;
                    open_to_lock(&path).map_err(writing)?
                }
                other => other.map_err(writing)?,
            };
            if !try_lock_file(&file).map_err(writing)? {
                return Ok(None);
            }
            if is_same_file(&path, &file) {
                return Ok(Some(KeyLock { path, _file: file }));
            }
        }
    }

    /// Removes temporary files of processes that no longer live.
    pub(crate) fn sweep(&self) {
        let Ok(marks) = fs_err::read_dir(self.inner.dir.join(WRITERS)) else { return };
        let mut dead = Vec::new();
        for mark in marks.flatten() {
            let Ok(name) = mark.file_name().into_string() else { continue };
            if name == self.inner.mark.token {
                continue;
            }
            if let Ok(file) = open_to_lock(&mark.path())
                && matches!(try_lock_file(&file), Ok(true))
            {
                dead.push((name, file, mark.path()));
            }
        }
        if dead.is_empty() {
            return;
        }
        let is_dead = |name: &str| {
            name.strip_prefix(TEMP_PREFIX).is_some_and(|rest| {
                dead.iter()
                    .any(|(token, ..)| rest.strip_prefix(token).is_some_and(|rest| rest.starts_with('-')))
            })
        };
        remove_temps(&self.inner.dir, 0, &is_dead);
        for (_, _file, path) in &dead {
            let _ = fs_err::remove_file(path);
        }
    }
}

/// Removes the temporary files that `is_dead` names or that are older than an hour and nobody's.
fn remove_temps(folder: &Path, depth: usize, is_dead: &dyn Fn(&str) -> bool) {
    const HOUR: Duration = Duration::from_secs(3600);
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && depth < 2 {
            if depth > 0 || name.ends_with("-v1") && name != crate::store::WORK {
                remove_temps(&entry.path(), depth + 1, is_dead);
            }
        } else if kind.is_file() && name.starts_with(TEMP_PREFIX) {
            let age = entry
                .metadata()
                .and_then(|meta| meta.modified())
                .map(|time| SystemTime::now().duration_since(time));
            let old = matches!(age, Ok(Ok(age)) if age > HOUR);
            if old || is_dead(&name) {
                let _ = fs_err::remove_file(entry.path());
            }
        }
    }
}

/// A locked file that exists as long as a process that may write: proof of life, and of a writable cache.
pub(crate) struct WriterMark {
    token: String,
    prefix: String,
    path: PathBuf,
    _file: std::fs::File,
}

impl WriterMark {
    pub(crate) fn create(folder: &Path) -> io::Result<WriterMark> {
        static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        fs_err::create_dir_all(folder)?;
        loop {
            let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let token = format!("{}-{serial}-{:x}", std::process::id(), now.as_nanos());
            let path = folder.join(&token);
            let file = open_to_lock(&path)?;
            // A sweep may have come between creating and locking.
            if try_lock_file(&file)? && is_same_file(&path, &file) {
                return Ok(WriterMark { prefix: format!("{TEMP_PREFIX}{token}-"), token, path, _file: file });
            }
        }
    }

    pub(crate) fn temp_prefix(&self) -> &str {
        &self.prefix
    }
}

impl Drop for WriterMark {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}

pub(crate) fn open_to_lock(path: &Path) -> io::Result<std::fs::File> {
    Ok(fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path)?.into_parts().0)
}

pub(crate) fn try_lock_file(file: &std::fs::File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Says whether the path still leads to the open file.
pub(crate) fn is_same_file(path: &Path, file: &std::fs::File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs_err::metadata(path), file.metadata()) {
        (Ok(there), Ok(here)) => there.ino() == here.ino() && there.dev() == here.dev(),
        _ => false,
    }
}
