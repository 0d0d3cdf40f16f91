//! Locks that die with their process, and the marks by which a killed writer's temporary files are found.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fault::Ability;
use crate::file_lock::{TRIES, Tried, is_same_file, open_to_lock, try_lock_file, unstable};
use crate::folder::{LOCKS, TEMP_PREFIX, WRITERS, is_bucket};
use crate::mark::WriterMark;
use crate::owner::{self, Life};
use crate::{CacheError, Digest, Hasher, Store};

/// Holds the lock of a key until it is dropped or the process ends, however it ends.
///
/// Its file stays: who removes a file that others may be about to lock lets two of them have the lock. A garbage collection takes it away.
#[derive(Debug)]
pub struct KeyLock {
    // The lock belongs to the open file. `None` where there are no locks.
    _file: Option<std::fs::File>,
}

impl Store {
    /// Takes the lock of a key if nobody holds it.
    ///
    /// Locks only save double work; two computations of one key write the same files. Where the file system has none, or the file of the
    /// lock is somebody else's, every wish for one is granted.
    ///
    /// # Errors
    /// Full or unusable, as for every write.
    pub fn try_lock(&self, key: &Digest) -> Result<Option<KeyLock>, CacheError> {
        self.writable()?;
        let path = self.inner.dir.join(LOCKS).join(key.to_hex());
        let writing = |source| CacheError::writing(&path, 0, source);
        for _ in 0..TRIES {
            let file = match self.open_lock(&path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.tell(
                        &path,
                        "it cannot be locked by this user; another process may do the same work",
                        false,
                    );
                    return Ok(Some(KeyLock { _file: None }));
                }
                other => other.map_err(writing)?,
            };
            match self.try_lock_file(&file).map_err(writing)? {
                Tried::Busy => return Ok(None),
                Tried::Locked if self.is_same_file(&path, &file) => {
                    return Ok(Some(KeyLock { _file: Some(file) }));
                }
                Tried::Locked => {}
                Tried::Without(error) => {
                    self.tell_without_locks(&error);
                    // Others on this host may see it.
                    return Ok(Some(KeyLock { _file: Some(file) }));
                }
            }
        }
        self.tell_without_locks(self.inner.lone_locks.get_or_init(unstable));
        Ok(Some(KeyLock { _file: None }))
    }

    /// Takes the lock of a key for something that all do in a moment and one at a time, waiting for whoever has it.
    ///
    /// # Errors
    /// Full or unusable, as for every write.
    pub fn lock_briefly(&self, what: &str, key: &Digest) -> Result<KeyLock, CacheError> {
        const MOMENT: Duration = Duration::from_millis(1);
        let lock = Hasher::new(what).digest(key).finish();
        loop {
            match self.try_lock(&lock)? {
                Some(lock) => return Ok(lock),
                None => std::thread::sleep(MOMENT),
            }
        }
    }

    /// Says once that there are no locks.
    pub(crate) fn tell_without_locks(&self, error: &io::Error) {
        let what = format!(
            "its file system has no locks that all processes see ({error}): those that share the cache may do the same work twice, and `cache gc` is refused"
        );
        self.tell(&self.inner.dir, what, false);
    }

    /// Opens a file of the folder of locks, creating both if need be.
    pub(crate) fn open_lock(&self, path: &Path) -> io::Result<std::fs::File> {
        match open_to_lock(path, self.inner.mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_folder(path.parent().unwrap_or(&self.inner.dir))?;
                open_to_lock(path, self.inner.mode)
            }
            other => other,
        }
    }

    /// Opens a lock file of the whole cache, which is never removed.
    pub(crate) fn open_named(&self, name: &str) -> io::Result<std::fs::File> {
        self.open_lock(&self.inner.dir.join(LOCKS).join(name))
    }

    pub(crate) fn try_lock_file(&self, file: &std::fs::File) -> io::Result<Tried> {
        if let Err(error) = self.inner.faults.ask(Ability::Lock) {
            return Ok(Tried::Without(error));
        }
        let lone = self.inner.lone_locks.get().map(|why| io::Error::other(why.to_string()));
        let lone = lone.or_else(|| self.inner.faults.ask(Ability::LockAcross).err());
        Ok(match (try_lock_file(file)?, lone) {
            (Tried::Locked, Some(why)) => Tried::Without(why),
            (tried, _) => tried,
        })
    }

    /// Says whether the path still leads to the open file.
    pub(crate) fn is_same_file(&self, path: &Path, file: &std::fs::File) -> bool {
        self.inner.faults.ask(Ability::Numbers).is_ok() && is_same_file(path, file)
    }

    /// Says whether the process that made a mark, a claim or a temporary file may still be at work.
    ///
    /// Who has its lock is. Who seems not to have it may have it where this host does not see it: then its process counts, if it ran
    /// here, and else whether its mark was touched within `silence`.
    pub(crate) fn is_at_work(&self, token: &str, silence: Duration) -> bool {
        let path = self.inner.dir.join(WRITERS).join(token);
        let file = match fs_err::OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file.into_parts().0,
            // A mark of another user that cannot be opened says nothing.
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        let locks = match self.try_lock_file(&file) {
            Ok(Tried::Busy) | Err(_) => return true,
            Ok(Tried::Locked) => true,
            Ok(Tried::Without(_)) => false,
        };
        match owner::life(token) {
            Life::Alive => true,
            Life::Gone => false,
            Life::Unknown if locks => false,
            Life::Elsewhere | Life::Unknown => self.is_fresh(&file, silence),
        }
    }

    /// Says whether a mark was touched of late, by the clock of the file system.
    fn is_fresh(&self, mark: &std::fs::File, silence: Duration) -> bool {
        let Ok(mine) = &self.inner.mark else { return true };
        let now = mine.beat().and_then(|()| mine.file.metadata()?.modified());
        match (now, mark.metadata().and_then(|meta| meta.modified())) {
            (Ok(now), Ok(then)) => now.duration_since(then).is_ok_and(|age| age < silence),
            _ => true,
        }
    }

    /// Removes temporary files of processes that no longer live, and their marks.
    pub(crate) fn sweep(&self) {
        if self.inner.mark.is_err() {
            return;
        }
        let Ok(marks) = fs_err::read_dir(self.inner.dir.join(WRITERS)) else { return };
        let names = marks.flatten().filter_map(|mark| mark.file_name().into_string().ok());
        let dead: BTreeSet<String> = names.filter(|token| !self.is_at_work(token, owner::SILENCE)).collect();
        if dead.is_empty() {
            return;
        }
        for temp in self.temps() {
            let owner = temp_owner(&temp);
            if owner.is_some_and(|owner| dead.contains(owner)) || !self.has_owner(&temp) {
                remove_temp(&temp);
            }
        }
        // A collection under way still reads them.
        if self.inner.mark.as_ref().is_ok_and(WriterMark::may_be_removed) {
            for token in &dead {
                let _ = fs_err::remove_file(self.inner.dir.join(WRITERS).join(token));
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
        if name.starts_with(TEMP_PREFIX) {
            temps.push(entry.path());
        } else if kind.is_dir() && (depth == 1 || depth == 0 && is_bucket(&name)) {
            list_temps(&entry.path(), depth + 1, temps);
        }
    }
}

/// Removes a temporary file, or a folder that was set aside.
pub(crate) fn remove_temp(temp: &Path) {
    if fs_err::remove_file(temp).is_err() {
        let _ = fs_err::remove_dir_all(temp);
    }
}

/// Returns the token in the name of a temporary file: what is before the random end.
fn temp_owner(temp: &Path) -> Option<&str> {
    temp.file_name()?.to_str()?.strip_prefix(TEMP_PREFIX)?.rsplit_once('-').map(|(token, _)| token)
}
