//! Locks of files, as far as a file system has them.

use std::io;
use std::path::Path;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use crate::mode::Mode;

/// A file that was locked may turn out to be another than the one that its path leads to, for somebody has tidied up; not so often.
pub(crate) const TRIES: u32 = 100;

/// Why locks do not count where a file has another number each time it is asked for, as with some file systems in user space.
pub(crate) fn unstable() -> io::Error {
    io::Error::other("its files do not keep their numbers")
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

pub(crate) fn open_to_lock(path: &Path, mode: Mode) -> io::Result<std::fs::File> {
    // Some file systems lock shared only what can be read and exclusively only what can be written.
    let file = fs_err::OpenOptions::new().create(true).read(true).append(true).open(path)?.into_parts().0;
    mode.give(&file);
    Ok(file)
}

pub(crate) fn try_lock_file(file: &std::fs::File) -> io::Result<Tried> {
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
pub(crate) fn is_same_file(path: &Path, file: &std::fs::File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs_err::metadata(path), file.metadata()) {
        (Ok(there), Ok(here)) => there.ino() == here.ino() && there.dev() == here.dev(),
        _ => false,
    }
}
