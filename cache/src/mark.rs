//! The mark of a process that may write: proof of life, of a writable cache, and of what it uses.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::file_lock::{SESSION, TRIES, Tried, is_same_file, open_to_lock, touch, try_lock_file, unstable};
use crate::folder::{LOCKS, TEMP_PREFIX, WRITERS};
use crate::heart::Heart;
use crate::mode::Mode;
use crate::owner;

/// A locked file that exists as long as a process that may write: proof of life, and of a writable cache. What the
/// process uses is written into it ([`Store::hold`](crate::Store::hold)).
pub(crate) struct WriterMark {
    pub(crate) token: String,
    prefix: String,
    path: PathBuf,
    dir: PathBuf,
    /// Whether the files of the cache keep their numbers.
    pub(crate) is_stable: bool,
    _heart: Heart,
    pub(crate) file: std::fs::File,
    pub(crate) held: std::sync::Mutex<Held>,
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
    pub(crate) fn beat(&self) -> io::Result<()> {
        touch(&self.file)
    }

    /// Says whether no collection is at work that must still read the marks. One on a host with locks of its own touches the file of its
    /// lock as long as it lasts.
    pub(crate) fn may_be_removed(&self) -> bool {
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

/// What a process has published.
#[derive(Default)]
pub(crate) struct Held {
    /// Opened when it is first needed; `None` inside if it is somebody else's.
    pub(crate) gate: Option<Option<File>>,
    /// How much of the mark is whole.
    pub(crate) bytes: u64,
}
