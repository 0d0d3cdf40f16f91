//! Faults that tests put into a store, in the place of those of disks and file systems.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Makes the `after`-th write operation from now on, and all that follow, fail; for tests of full disks.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct IoFault {
    /// How many operations (create, write, sync, rename) still succeed.
    pub after: u32,
    /// What the failing ones return.
    pub kind: io::ErrorKind,
}

/// What some file systems cannot do.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// Locks that other processes see.
    Lock,
    /// Locks that processes on other hosts see, too.
    LockAcross,
    /// Numbers of files that stay the same.
    Numbers,
    /// Waiting until the names in a folder are on the disk.
    SyncFolder,
}

/// The fault that tests put in, if any.
pub(crate) struct Faults {
    /// What the file system cannot do, with the number of the error that it gives.
    pub(crate) lacking: std::sync::Mutex<std::collections::BTreeMap<Ability, i32>>,
    pub(crate) left: AtomicI64,
    pub(crate) kind: std::sync::Mutex<io::ErrorKind>,
    /// How far the clock is ahead, in ns.
    pub(crate) ahead: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            lacking: std::sync::Mutex::default(),
            left: AtomicI64::new(i64::MAX),
            kind: std::sync::Mutex::new(io::ErrorKind::StorageFull),
            ahead: AtomicU64::new(0),
        }
    }
}

impl Faults {
    pub(crate) fn ask(&self, ability: Ability) -> io::Result<()> {
        let lacking = self.lacking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lacking.get(&ability).map_or(Ok(()), |number| Err(io::Error::from_raw_os_error(*number)))
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        if self.left.load(Ordering::Relaxed) == i64::MAX {
            return Ok(());
        }
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let kind = *self.kind.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Err(io::Error::new(kind, "injected"))
    }
}
