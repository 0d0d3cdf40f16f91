//! Atomic writes: a temporary file in the same folder, synced, renamed, and the folder synced where an entry that is
//! written later relies on it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::fault::{Ability, IoFault};
use crate::folder::DENIED;
use crate::{CacheError, Digest, Durability, FileRef, Store};

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

    /// Takes an ability from the file system of this store and its clones: asking for it gives the error of this number.
    #[doc(hidden)]
    pub fn take_ability(&self, ability: Ability, error: i32) {
        let lacking = &self.inner.faults.lacking;
        lacking.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(ability, error);
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
        self.writable()?;
        // The temporary file is gone by now: what is free is what there was before.
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        self.try_write(path, parts, durability).map_err(|source| CacheError::writing(path, bytes, source))?;
        self.traffic.count_written(bytes);
        self.inner.warnings.forget(path);
        Ok(())
    }

    fn try_write(&self, path: &Path, parts: &[&[u8]], durability: Durability) -> io::Result<()> {
        let faults = &self.inner.faults;
        let folder = path.parent().unwrap_or(&self.inner.dir);
        faults.check()?;
        let mut temp = match self.temp_file(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound || self.set_aside(folder, &error) => {
                self.create_folder(folder)?;
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
            self.sync_folder(folder)?;
        }
        Ok(())
    }

    fn temp_file(&self, folder: &Path) -> io::Result<tempfile::NamedTempFile> {
        let mark = self.inner.mark.as_ref().map_err(|reason| reason.error())?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(mark.temp_prefix());
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
        let temp = builder.tempfile_in(folder)?;
        self.inner.mode.give(temp.as_file());
        Ok(temp)
    }

    /// Creates a folder with those above it; their names survive a power failure.
    pub(crate) fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let new = self.inner.mode.create_folder(folder)?;
        new.iter().filter_map(|folder| folder.parent()).try_for_each(|folder| self.sync_folder(folder))
    }

    /// Gives a folder below a bucket that its owner keeps to themselves another name, so that one can be made in its place; says
    /// whether that was done. What is in it is absent for everybody else anyway.
    pub(crate) fn set_aside(&self, folder: &Path, error: &io::Error) -> bool {
        let below = folder.strip_prefix(&self.inner.dir).map_or(0, |path| path.components().count());
        let hidden = || matches!(fs_err::read_dir(folder), Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
        if error.kind() != io::ErrorKind::PermissionDenied || below < 2 || !hidden() {
            return false;
        }
        let moved = self.move_aside(folder).is_ok();
        if moved {
            self.warn(folder, DENIED);
        }
        moved
    }

    /// Gives a folder the name of a temporary one.
    pub(crate) fn move_aside(&self, folder: &Path) -> io::Result<()> {
        let mark = self.inner.mark.as_ref().map_err(|reason| reason.error())?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        fs_err::rename(folder, folder.with_file_name(format!("{}{name}", mark.temp_prefix())))
    }

    /// Waits until the names in a folder are on the disk, where the file system can.
    pub(crate) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let sync = || {
            self.inner.faults.ask(Ability::SyncFolder)?;
            match fs_err::File::open(folder) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                opened => opened?.file().sync_all(),
            }
        };
        match sync() {
            Err(error) if cannot_sync(&error) => Ok(()),
            other => other,
        }
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

    /// Stores bytes under their hash; a file that has them is kept, one of that name with others is replaced. It is held before it is
    /// looked for.
    pub(crate) fn put_file(&self, bytes: &[u8], extension: &str) -> Result<FileRef, CacheError> {
        let file =
            FileRef { id: Digest::of(bytes), bytes: bytes.len() as u64, extension: extension.to_owned() };
        self.hold(&[file.id])?;
        let path = self.file_path(&file);
        if !self.has_file(&file) || !has_bytes(&path, bytes) {
            self.write_file(&path, &[bytes], Durability::Directory)?;
            self.inner.touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&file.id);
        }
        Ok(file)
    }
}

/// Compares a file with what it should hold.
fn has_bytes(path: &Path, bytes: &[u8]) -> bool {
    use std::io::Read;
    let compare = || -> io::Result<bool> {
        let mut file = fs_err::File::open(path)?;
        let mut buffer = vec![0; bytes.len().clamp(1, 1 << 20)];
        let mut rest = bytes;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(rest.is_empty()),
                Ok(count) => match rest.strip_prefix(&buffer[..count]) {
                    Some(more) => rest = more,
                    None => return Ok(false),
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    compare().unwrap_or(false)
}

/// Says that a file system does not know how to sync a folder: CIFS and some in user space do not.
fn cannot_sync(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unable = [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::NOSYS, Errno::BADF];
    error.raw_os_error().is_some_and(|number| unable.contains(&Errno::from_raw_os_error(number)))
}
