//! The folder that everything lives in, and the names of the files in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use crate::hashing::HashingWatch;
use crate::lock::WriterMark;
use crate::shard::Touched;
use crate::volume::Known;
use crate::warning::Warnings;
use crate::write::Faults;
use crate::{CacheError, Digest, FileRef, Traffic};

/// The version of the folder as a whole; buckets carry their own.
const VERSION: u32 = 1;
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of sndpipe and may be deleted.\n\
    # For information about cache directory tags see https://bford.info/cachedir/\n";

pub(crate) const ARTEFACTS: &str = "artefacts-v1";
pub(crate) const FILES: &str = "files-v1";
pub(crate) const ROWS: &str = "rows-v3";
pub(crate) const DIGESTS: &str = "digests-v3";
/// Buckets of earlier versions: nothing reads them.
pub(crate) const RETIRED: [&str; 4] = ["rows-v1", "rows-v2", "digests-v1", "digests-v2"];
pub(crate) const LOGS: &str = "logs-v1";
pub(crate) const WORK: &str = "work-v1";
pub(crate) const LOCKS: &str = "locks-v1";
pub(crate) const WRITERS: &str = "writers-v1";

/// A cache folder, opened; clones share everything.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    pub(crate) traffic: Arc<Traffic>,
}

pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    pub(crate) warnings: Warnings,
    pub(crate) faults: Faults,
    pub(crate) mark: WriterMark,
    /// Which rows of which shard were compared with their hashes in this process.
    pub(crate) touched: Mutex<BTreeMap<Digest, Arc<Touched>>>,
    /// Raised when files were removed, so that row maps look at theirs again.
    pub(crate) generation: AtomicU64,
    /// How many source files were read.
    pub(crate) hashed: AtomicU64,
    pub(crate) hashing: HashingWatch,
    /// Whether no remembered digest counts.
    pub(crate) distrusts_digests: AtomicBool,
    pub(crate) volumes: Known,
}

impl Store {
    /// Opens a cache folder, creating it if need be, and removes what killed processes left half-written.
    ///
    /// # Errors
    /// [`CacheError::Unusable`] if the folder cannot be created or written, or was made by a newer version;
    /// [`CacheError::Full`] if there is no space for even an empty file.
    pub fn open(dir: &Path) -> Result<Store, CacheError> {
        let dir = std::path::absolute(dir).map_err(|source| unusable(dir, source))?;
        let mark = prepare(&dir).and_then(|()| WriterMark::create(&dir));
        let mark = mark.map_err(|source| match CacheError::writing(&dir, 0, source) {
            CacheError::Io { path, source } => CacheError::Unusable { path, source },
            other => other,
        })?;
        let store = Store {
            inner: Arc::new(Inner {
                dir,
                warnings: Warnings::default(),
                faults: Faults::default(),
                mark,
                touched: Mutex::default(),
                generation: AtomicU64::new(0),
                hashed: AtomicU64::new(0),
                hashing: HashingWatch::default(),
                distrusts_digests: AtomicBool::new(false),
                volumes: Known::default(),
            }),
            traffic: Arc::default(),
        };
        store.sweep();
        Ok(store)
    }

    /// Returns the cache folder as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Returns where the log of a key is written; the parent folder exists on return.
    pub fn log_path(&self, key: &Digest) -> PathBuf {
        let path = sharded(&self.inner.dir, LOGS, &format!("{key}.log"));
        if let Some(parent) = path.parent()
            && let Err(error) = fs_err::create_dir_all(parent)
        {
            tracing::warn!("{error}");
        }
        path
    }

    /// Creates the folder in which a stage keeps what must survive an interruption.
    ///
    /// # Errors
    /// As for every write: full or unusable.
    pub fn work_dir(&self, key: &Digest) -> Result<PathBuf, CacheError> {
        let path = self.inner.dir.join(WORK).join(key.to_hex());
        fs_err::create_dir_all(&path).map_err(|source| CacheError::writing(&path, 0, source))?;
        Ok(path)
    }

    /// Says that the disk is full, if it is: of a write that somebody else tried.
    #[must_use]
    pub fn if_full(&self) -> Option<CacheError> {
        CacheError::if_full(&self.inner.dir)
    }

    /// Removes the working folder of a key, if there is one.
    pub fn remove_work_dir(&self, key: &Digest) {
        let path = self.inner.dir.join(WORK).join(key.to_hex());
        match fs_err::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => tracing::warn!("{error}"),
            _ => {}
        }
    }

    /// Returns where a file of an artefact lies.
    pub fn file_path(&self, file: &FileRef) -> PathBuf {
        sharded(&self.inner.dir, FILES, &format!("{}.{}", file.id, file.extension))
    }

    /// Says whether a file is there with its length; one with another length is warned about.
    pub(crate) fn has_file(&self, file: &FileRef) -> bool {
        let path = self.file_path(file);
        let Ok(meta) = fs_err::metadata(&path) else { return false };
        let whole = meta.is_file() && meta.len() == file.bytes;
        if !whole {
            self.warn(&path, format!("it has {} bytes instead of {}", meta.len(), file.bytes));
        }
        whole
    }
}

fn unusable(path: &Path, source: std::io::Error) -> CacheError {
    CacheError::Unusable { path: path.to_owned(), source }
}

/// Creates the folder with its tags, or checks its version.
fn prepare(dir: &Path) -> std::io::Result<()> {
    let version = dir.join("version");
    match fs_err::read(&version) {
        Ok(found) if found == version_text(VERSION).as_bytes() => return Ok(()),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found[..found.len().min(40)]).into_owned();
            let number = found.split(' ').next().and_then(|number| number.parse().ok());
            if let Some(number) = number.filter(|&number| found == version_text(number)) {
                return Err(std::io::Error::other(format!(
                    "it has format version {number}, this program knows version {VERSION}; name another folder with --cache"
                )));
            }
            // It is damaged, or a process was killed between creating and writing it; or the folder is somebody else's.
            let tagged =
                || fs_err::read(dir.join("CACHEDIR.TAG")).is_ok_and(|tag| tag == CACHEDIR_TAG.as_bytes());
            if !(found.is_empty() || dir.join(WRITERS).is_dir() || tagged()) {
                return Err(std::io::Error::other(
                    "it holds a file `version` that sndpipe has not written; name another folder with --cache",
                ));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs_err::create_dir_all(dir)?;
    fs_err::write(dir.join("CACHEDIR.TAG"), CACHEDIR_TAG)?;
    fs_err::write(dir.join(".gitignore"), "*\n")?;
    fs_err::write(version, version_text(VERSION))
}

/// The number with its checksum, so that a flipped bit is no other version.
fn version_text(version: u32) -> String {
    let number = version.to_string();
    format!("{number} {}\n", &Digest::of(number.as_bytes()).to_hex()[..16])
}

/// Returns `cache/folder/xx/name`, where `xx` spreads the names over 256 folders.
pub(crate) fn sharded(cache: &Path, folder: &str, name: &str) -> PathBuf {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    // One allocation: a plan asks for hundreds of thousands of these.
    let mut path =
        PathBuf::with_capacity(cache.as_os_str().len() + folder.len() + name.len() + "//00/".len());
    path.push(cache);
    path.push(folder);
    match name.get(..2) {
        Some(prefix) if prefix.bytes().all(hex) => path.push(prefix),
        _ => path.push(&Digest::of(name.as_bytes()).to_hex()[..2]),
    }
    path.push(name);
    path
}
