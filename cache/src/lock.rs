//! Locks that die with their process, and the marks by which a killed writer's temporary files are found.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use crate::heart::Heart;
use crate::mode::Mode;
use crate::owner::{self, Life};
use crate::store::{LOCKS, WRITERS};
use crate::write::Ability;
use crate::{CacheError, Digest, Hasher, Store};

/// Every temporary file's name starts with this, then the writer's token.
pub(crate) const TEMP_PREFIX: &str = ".tmp-";

/// A file that was locked may turn out to be another than the one that its path leads to, for somebody has tidied up; not so often.
pub(crate) const TRIES: u32 = 100;

/// Why locks do not count where a file has another number each time it is asked for, as with some file systems in user space.
pub(crate) fn unstable() -> io::Error {
    io::Error::other("its files do not keep their numbers")
}

/// Holds the lock of a key until it is dropped or the process ends, however it ends.
///
/// Its file stays: who removes a file that others may be about to lock lets two of them have the lock. A garbage collection takes it away.
#[derive(Debug)]
pub struct KeyLock {
    // The lock belongs to the open file. `None` where there are no locks.
    _file: Option<std::fs::File>,
}

/// What came of trying to lock a file.
#[derive(Debug)]
pub(crate) enum Tried {
    /// Nobody else has it, as far as this host can see.
    Locked,
    /// Somebody has it.
    Busy,
    /// The file system has no locks.
    Without(io::Error),
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

/// Says whether a folder of a cache is a bucket: they carry a version.
pub(crate) fn is_bucket(name: &str) -> bool {
    name.rsplit_once("-v").is_some_and(|(_, version)| version.parse::<u32>().is_ok())
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

/// A locked file that exists as long as a process that may write: proof of life, and of a writable cache. What the
/// process uses is written into it ([`Store::hold`]).
pub(crate) struct WriterMark {
    pub(crate) token: String,
    prefix: String,
    path: PathBuf,
    dir: PathBuf,
    /// Whether the files of the cache keep their numbers.
    pub(crate) is_stable: bool,
    _heart: Heart,
    pub(crate) file: std::fs::File,
    pub(crate) held: std::sync::Mutex<crate::hold::Held>,
}

impl WriterMark {
    pub(crate) fn create(dir: &Path, mode: Mode) -> io::Result<WriterMark> {
        let folder = dir.join(WRITERS);
        mode.create_folder(&folder)?;
        for tries in 1.. {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let token = owner::token(now.as_nanos());
            let path = folder.join(&token);
            let made = open_to_lock(&path, mode).and_then(|file| Ok((try_lock_file(&file)?, file)));
            let (tried, file) = made.inspect_err(|_| owner::forget(&token))?;
            // A sweep may have come between creating and locking.
            let is_stable = is_same_file(&path, &file);
            if !matches!(tried, Tried::Busy) && (is_stable || tries == TRIES && path.exists()) {
                return Ok(WriterMark {
                    prefix: format!("{TEMP_PREFIX}{token}-"),
                    token,
                    _heart: Heart::of(&path, owner::BEAT),
                    is_stable,
                    path,
                    dir: dir.to_owned(),
                    file,
                    held: std::sync::Mutex::default(),
                });
            }
            owner::forget(&token);
            if tries == TRIES {
                break;
            }
        }
        Err(unstable())
    }

    pub(crate) fn temp_prefix(&self) -> &str {
        &self.prefix
    }

    /// Gives the mark the present time of the file system.
    fn beat(&self) -> io::Result<()> {
        touch(&self.file)
    }

    /// Says whether no collection is at work that must still read the marks. One on a host with locks of its own touches the file of its
    /// lock as long as it lasts.
    fn may_be_removed(&self) -> bool {
        let path = self.dir.join(LOCKS).join(SESSION);
        let file = match fs_err::File::open(&path) {
            Ok(file) => file.into_parts().0,
            // There never was one.
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        };
        if matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)) {
            return false;
        }
        let now = self.beat().and_then(|()| self.file.metadata()?.modified());
        let touched = file.metadata().and_then(|meta| meta.modified());
        match (now, touched) {
            (Ok(now), Ok(touched)) => now.duration_since(touched).map_or(true, |age| age >= owner::PAUSE),
            _ => true,
        }
    }
}

impl Drop for WriterMark {
    fn drop(&mut self) {
        owner::forget(&self.token);
        // A collection under way must know what this process has just recorded; the mark is removed after it.
        if self.may_be_removed() {
            let _ = fs_err::remove_file(&self.path);
        }
    }
}

/// The lock that a garbage collection holds from its beginning to its end. While it does, no mark is removed.
pub(crate) const SESSION: &str = "collection";

/// Gives a file the present time of the file system.
pub(crate) fn touch(file: &std::fs::File) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &NOW)?)
}

const PRESENT: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
/// The present time of the file system.
pub(crate) const NOW: Timestamps = Timestamps { last_access: PRESENT, last_modification: PRESENT };

/// Locks a file that nobody has locked; `None` if somebody has, or it is gone.
pub(crate) fn lock_if_free(path: &Path) -> Option<std::fs::File> {
    let file = fs_err::OpenOptions::new().read(true).write(true).open(path).ok()?.into_parts().0;
    (matches!(try_lock_file(&file).ok()?, Tried::Locked) && is_same_file(path, &file)).then_some(file)
}

fn open_to_lock(path: &Path, mode: Mode) -> io::Result<std::fs::File> {
    // Some file systems lock shared only what can be read and exclusively only what can be written.
    let file = fs_err::OpenOptions::new().create(true).read(true).append(true).open(path)?.into_parts().0;
    mode.give(&file);
    Ok(file)
}

fn try_lock_file(file: &std::fs::File) -> io::Result<Tried> {
    match file.try_lock() {
        Ok(()) => Ok(Tried::Locked),
        Err(std::fs::TryLockError::WouldBlock) => Ok(Tried::Busy),
        Err(std::fs::TryLockError::Error(error)) if without_locks(&error) => Ok(Tried::Without(error)),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Says that a file system has no locks: Lustre without `flock`, NFS without its lock daemon, some in user space.
pub(crate) fn without_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unable = [Errno::NOSYS, Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::INVAL, Errno::BADF];
    error.raw_os_error().is_some_and(|number| unable.contains(&Errno::from_raw_os_error(number)))
}

/// Says whether the path still leads to the open file.
fn is_same_file(path: &Path, file: &std::fs::File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs_err::metadata(path), file.metadata()) {
        (Ok(there), Ok(here)) => there.ino() == here.ino() && there.dev() == here.dev(),
        _ => false,
    }
}
