//! Atomic writes: a temporary file in the same folder, synced, renamed, and the folder synced where an entry that is
//! written later relies on it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{CacheError, Digest, FileRef, Store};

/// How long a write must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The bytes are on the disk; a power failure may undo the renaming, as if the write had not happened.
    File,
    /// The renaming is on the disk too.
    Directory,
}

/// Makes the `after`-th write operation from now on, and all that follow, fail; for tests of full disks.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct IoFault {
    /// How many operations (create, write, sync, rename) still succeed.
    pub after: u32,
    /// What the failing ones return.
    pub kind: io::ErrorKind,
}

/// The fault that tests put in, if any.
pub(crate) struct Faults {
    left: AtomicI64,
    kind: std::sync::Mutex<io::ErrorKind>,
    /// How far the clock is ahead, in ns.
    ahead: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            left: AtomicI64::new(i64::MAX),
            kind: std::sync::Mutex::new(io::ErrorKind::StorageFull),
            ahead: AtomicU64::new(0),
        }
    }
}

impl Faults {
    fn check(&self) -> io::Result<()> {
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

impl Store {
    /// Puts a fault into the write operations of this store and its clones, or removes it.
    #[doc(hidden)]
    pub fn inject(&self, fault: Option<IoFault>) {
        let faults = &self.inner.faults;
        if let Some(fault) = fault {
            *faults.kind.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = fault.kind;
        }
        faults.left.store(fault.map_or(i64::MAX, |fault| i64::from(fault.after)), Ordering::Relaxed);
    }

    /// Puts the store's clock ahead, so that tests need not wait for files to age.
    #[doc(hidden)]
    pub fn put_clock_ahead(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.inner.faults.ahead.store(ns, Ordering::Relaxed);
    }

    /// Returns the time since 1970.
    pub(crate) fn now(&self) -> Duration {
        let ahead = Duration::from_nanos(self.inner.faults.ahead.load(Ordering::Relaxed));
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + ahead
    }

    /// Writes a file whole or not at all.
    pub(crate) fn write_file(
        &self,
        path: &Path,
        parts: &[&[u8]],
        durability: Durability,
    ) -> Result<(), CacheError> {
        // The temporary file is gone by now: what is free is what there was before.
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        self.try_write(path, parts, durability).map_err(|source| CacheError::writing(path, bytes, source))?;
        self.count_written(bytes);
        self.unwarn(path);
        Ok(())
    }

    fn try_write(&self, path: &Path, parts: &[&[u8]], durability: Durability) -> io::Result<()> {
        let faults = &self.inner.faults;
        let folder = path.parent().unwrap_or(&self.inner.dir);
        faults.check()?;
        let mut temp = match self.temp_file(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_folder(folder)?;
                self.temp_file(folder)?
            }
            other => other?,
        };
        for part in parts {
            if let Err(error) = faults.check() {
                // As a disk does that fills up: a part arrives.
                temp.write_all(&part[..part.len() / 2])?;
                return Err(error);
            }
            temp.write_all(part)?;
        }
        faults.check()?;
        temp.as_file().sync_data()?;
        faults.check()?;
        temp.persist(path).map_err(|error| error.error)?;
        if durability == Durability::Directory {
            sync_folder(folder)?;
        }
        Ok(())
    }

    fn temp_file(&self, folder: &Path) -> io::Result<tempfile::NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(self.inner.mark.temp_prefix());
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
        builder.tempfile_in(folder)
    }

    /// Writes a file into the working folder of a key, whole or not at all; checkpoints are made of such.
    ///
    /// # Errors
    /// Full or unusable.
    pub fn put_work(&self, key: &Digest, name: &str, parts: &[&[u8]]) -> Result<PathBuf, CacheError> {
        let path = self.work_dir(key)?.join(name);
        self.write_file(&path, parts, Durability::File)?;
        Ok(path)
    }

    /// Stores bytes under their hash; a file of that name and length is kept. It is held before it is looked for.
    pub(crate) fn put_file(&self, bytes: &[u8], extension: &str) -> Result<FileRef, CacheError> {
        let file =
            FileRef { id: Digest::of(bytes), bytes: bytes.len() as u64, extension: extension.to_owned() };
        self.hold(&[file.id])?;
        if !self.has_file(&file) {
            self.write_file(&self.file_path(&file), &[bytes], Durability::Directory)?;
        }
        Ok(file)
    }
}

/// Creates a folder with those above it; their names survive a power failure.
fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    fs_err::create_dir_all(folder)?;
    missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder)
}

/// Waits until the names in a folder are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}
