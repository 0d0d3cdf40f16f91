//! Locks that die with their process, and the marks by which a killed writer's temporary files are found.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
        let writing = |source| CacheError::writing(&path, 0, source);
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

    /// Removes temporary files of processes that no longer live, and their marks.
    pub(crate) fn sweep(&self) {
        let Ok(marks) = fs_err::read_dir(self.inner.dir.join(WRITERS)) else { return };
        let mut dead = Vec::new();
        for mark in marks.flatten() {
            if mark.file_name().to_str() != Some(&self.inner.mark.token)
                && let Ok(file) = open_to_lock(&mark.path())
                && matches!(try_lock_file(&file), Ok(true))
            {
                dead.push((file, mark.path()));
            }
        }
        if dead.is_empty() {
            return;
        }
        let tokens: BTreeSet<&str> =
            dead.iter().filter_map(|(_, path)| path.file_name().and_then(|name| name.to_str())).collect();
        for temp in self.temps() {
            let owner = temp_owner(&temp);
            if owner.is_some_and(|owner| tokens.contains(owner)) || !self.has_owner(&temp) {
                let _ = fs_err::remove_file(temp);
            }
        }
        // A collection under way still reads them.
        if let Ok(session) = open_session(&self.inner.dir)
            && session.try_lock_shared().is_ok()
        {
            for (_file, path) in &dead {
                let _ = fs_err::remove_file(path);
            }
        }
    }

    /// Lists every temporary file.
    pub(crate) fn temps(&self) -> Vec<PathBuf> {
        let mut temps = Vec::new();
        list_temps(&self.inner.dir, 0, &mut temps);
        temps
    }

    /// Says whether the process that makes a temporary file may still live. Its mark is there before and after all its files.
    pub(crate) fn has_owner(&self, temp: &Path) -> bool {
        temp_owner(temp).is_none_or(|owner| self.inner.dir.join(WRITERS).join(owner).exists())
    }
}

/// Finds the temporary files in the buckets of a cache and their folders.
fn list_temps(folder: &Path, depth: usize, temps: &mut Vec<PathBuf>) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && depth < 2 {
            if depth > 0 || is_bucket(&name) {
                list_temps(&entry.path(), depth + 1, temps);
            }
        } else if kind.is_file() && name.starts_with(TEMP_PREFIX) {
            temps.push(entry.path());
        }
    }
}

/// Says whether a folder of a cache is a bucket: they carry a version.
pub(crate) fn is_bucket(name: &str) -> bool {
    name.rsplit_once("-v").is_some_and(|(_, version)| version.parse::<u32>().is_ok())
}

/// Returns the token in the name of a temporary file: what is before the random end.
fn temp_owner(temp: &Path) -> Option<&str> {
    temp.file_name()?.to_str()?.strip_prefix(TEMP_PREFIX)?.rsplit_once('-').map(|(token, _)| token)
}

/// A locked file that exists as long as a process that may write: proof of life, and of a writable cache. What the
/// process uses is written into it ([`Store::hold`]).
pub(crate) struct WriterMark {
    pub(crate) token: String,
    prefix: String,
    path: PathBuf,
    dir: PathBuf,
    pub(crate) file: std::fs::File,
    pub(crate) held: std::sync::Mutex<crate::hold::Held>,
}

impl WriterMark {
    pub(crate) fn create(dir: &Path) -> io::Result<WriterMark> {
        static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let folder = dir.join(WRITERS);
        fs_err::create_dir_all(&folder)?;
        loop {
            let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let token = format!("{}-{serial}-{:x}", std::process::id(), now.as_nanos());
            let path = folder.join(&token);
            let file = open_to_lock(&path)?;
            // A sweep may have come between creating and locking.
            if try_lock_file(&file)? && is_same_file(&path, &file) {
                return Ok(WriterMark {
                    prefix: format!("{TEMP_PREFIX}{token}-"),
                    token,
                    path,
                    dir: dir.to_owned(),
                    file,
                    held: std::sync::Mutex::default(),
                });
            }
        }
    }

    pub(crate) fn temp_prefix(&self) -> &str {
        &self.prefix
    }
}

impl Drop for WriterMark {
    fn drop(&mut self) {
        // A collection under way must know what this process has just recorded; the mark is removed after it.
        if let Ok(session) = open_session(&self.dir)
            && session.try_lock_shared().is_ok()
        {
            let _ = fs_err::remove_file(&self.path);
        }
    }
}

/// Opens the lock that a garbage collection holds from its beginning to its end. While it does, no mark is removed.
pub(crate) fn open_session(dir: &Path) -> io::Result<std::fs::File> {
    open_named(dir, "collection")
}

/// Opens a lock file that is never removed.
pub(crate) fn open_named(dir: &Path, name: &str) -> io::Result<std::fs::File> {
    let folder = dir.join(LOCKS);
    match open_to_lock(&folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::create_dir_all(&folder)?;
            open_to_lock(&folder.join(name))
        }
        other => other,
    }
}

/// Locks a file that nobody has locked; `None` if somebody has, or it is gone.
pub(crate) fn lock_if_free(path: &Path) -> Option<std::fs::File> {
    let file = fs_err::OpenOptions::new().read(true).write(true).open(path).ok()?.into_parts().0;
    (try_lock_file(&file).ok()? && is_same_file(path, &file)).then_some(file)
}

pub(crate) fn open_to_lock(path: &Path) -> io::Result<std::fs::File> {
    // Some file systems lock shared only what can be read and exclusively only what can be written.
    let file = fs_err::OpenOptions::new().create(true).read(true).append(true).open(path)?;
    Ok(file.into_parts().0)
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
