//! The folder that everything lives in, and the names of the files in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use crate::fault::Faults;
use crate::file_lock::unstable;
use crate::folder::{DENIED, FILES, LOGS, WORK, WRITERS, sharded};
use crate::hashing::{HashingHook, HashingWatch};
use crate::mark::WriterMark;
use crate::mode::{Mode, create_root};
use crate::touched::Touched;
use crate::volume::{self, Known};
use crate::warning::{WarningHook, Warnings};
use crate::{CacheError, Digest, FileRef, FileStat, Traffic};

/// The version of the folder as a whole; buckets carry their own.
const VERSION: u32 = 1;
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of sndpipe and may be deleted.\n\
    # For information about cache directory tags see https://bford.info/cachedir/\n";

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
    /// Group and permissions of everything that is written.
    pub(crate) mode: Mode,
    /// The mark of this process, or why there can be none: then nothing can be written.
    pub(crate) mark: Result<WriterMark, ReadOnly>,
    /// What is metered now.
    pub(crate) at_work: Mutex<Vec<std::sync::Weak<Traffic>>>,
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
    /// Why not all processes see the locks of the file system, where that is known.
    pub(crate) lone_locks: OnceLock<std::io::Error>,
}

impl Store {
    /// Opens a cache folder, creating it if need be, and removes what killed processes left half-written.
    ///
    /// A folder that this process may not write is opened all the same: what is in it can be read, and whoever writes gets the error.
    ///
    /// # Errors
    /// [`CacheError::Unusable`] if the folder can be neither created nor read, or was made by a newer version;
    /// [`CacheError::Full`] if there is no space for even an empty file.
    pub fn open(dir: &Path) -> Result<Store, CacheError> {
        let dir = std::path::absolute(dir).map_err(|source| unusable(dir, source))?;
        let failed = |source| match CacheError::writing(&dir, 0, source) {
            CacheError::Io { path, source } => CacheError::Unusable { path, source },
            other => other,
        };
        let made = prepare(&dir).and_then(|()| {
            let mode = Mode::of(&dir)?;
            Ok((mode, WriterMark::create(&dir, mode)?))
        });
        let (mode, mark) = match made {
            Ok((mode, mark)) => (mode, Ok(mark)),
            Err(error) => {
                let reason = ReadOnly::because(&dir, &error).ok_or_else(|| failed(error))?;
                (Mode::of(&dir).unwrap_or_default(), Err(reason))
            }
        };
        let lone_locks = OnceLock::new();
        if let Some(why) = volume::lone_locks(&dir) {
            lone_locks.get_or_init(|| why);
        } else if mark.as_ref().is_ok_and(|mark| !mark.is_stable) {
            lone_locks.get_or_init(unstable);
        }
        let store = Store {
            inner: Arc::new(Inner {
                dir,
                warnings: Warnings::default(),
                faults: Faults::default(),
                mode,
                mark,
                at_work: Mutex::default(),
                touched: Mutex::default(),
                generation: AtomicU64::new(0),
                hashed: AtomicU64::new(0),
                hashing: HashingWatch::default(),
                distrusts_digests: AtomicBool::new(false),
                volumes: Known::default(),
                lone_locks,
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

    /// Sets what is called, once for each damaged entry; without a hook warnings go to `tracing`.
    pub fn on_warning(&self, hook: WarningHook) {
        self.inner.warnings.set(hook);
    }

    /// Sets what is told how far the hashing of source files is.
    pub fn on_hashing(&self, hook: HashingHook) {
        self.inner.hashing.set(hook);
    }

    /// Says once that an entry is treated as absent.
    pub(crate) fn warn(&self, path: &Path, what: impl Into<String>) {
        self.tell(path, what, true);
    }

    /// Says once that something is not as it should be.
    pub(crate) fn tell(&self, path: &Path, what: impl Into<String>, absent: bool) {
        self.inner.warnings.tell(path, what, absent);
    }

    /// Returns where the log of a key is written; the parent folder exists on return.
    pub fn log_path(&self, key: &Digest) -> PathBuf {
        let path = sharded(&self.inner.dir, LOGS, &format!("{key}.log"));
        if let Some(parent) = path.parent().filter(|parent| self.is_writable() && !parent.exists())
            && let Err(error) = self.create_folder(parent)
        {
            tracing::warn!("{error}");
        }
        path
    }

    /// Whether anything can be written at all.
    pub fn is_writable(&self) -> bool {
        self.inner.mark.is_ok()
    }

    /// Why nothing can be written, if nothing can.
    pub(crate) fn writable(&self) -> Result<&WriterMark, CacheError> {
        self.inner.mark.as_ref().map_err(|reason| unusable(&reason.path, reason.error()))
    }

    /// Creates the folder in which a stage keeps what must survive an interruption.
    ///
    /// # Errors
    /// As for every write: full or unusable.
    pub fn work_dir(&self, key: &Digest) -> Result<PathBuf, CacheError> {
        let path = self.inner.dir.join(WORK).join(key.to_hex());
        self.writable()?;
        // One that somebody else keeps to themselves is of no use.
        if let Err(error) = fs_err::read_dir(&path) {
            self.set_aside(&path, &error);
        }
        self.create_folder(&path).map_err(|source| CacheError::writing(&path, 0, source))?;
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
            // Parts of it may belong to somebody else.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let _ = self.move_aside(&path);
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => tracing::warn!("{error}"),
            _ => {}
        }
    }

    /// Returns where a file of an artefact lies.
    pub fn file_path(&self, file: &FileRef) -> PathBuf {
        sharded(&self.inner.dir, FILES, &format!("{}.{}", file.id, file.extension))
    }

    /// Says whether a file is there with its length, for this user to read; if it is not as it should be, that is warned about.
    pub(crate) fn has_file(&self, file: &FileRef) -> bool {
        self.file_stat(file).is_some()
    }

    /// Returns the version of a file that is there with its length, for this user to read.
    pub(crate) fn file_stat(&self, file: &FileRef) -> Option<FileStat> {
        let path = self.file_path(file);
        let meta = fs_err::metadata(&path).ok()?;
        if !meta.is_file() || meta.len() != file.bytes {
            self.warn(&path, format!("it has {} bytes instead of {}", meta.len(), file.bytes));
            return None;
        }
        if !is_readable(&path, &meta) {
            self.warn(&path, DENIED);
            return None;
        }
        Some(FileStat::of(&meta))
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
        // It is made again, if it can be.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(error),
    }
    create_root(dir)?;
    let mode = Mode::of(dir)?;
    let write = |name: &str, text: &str| {
        let mut file = fs_err::File::create(dir.join(name))?;
        mode.give(file.file());
        file.write_all(text.as_bytes())
    };
    write("CACHEDIR.TAG", CACHEDIR_TAG)?;
    write(".gitignore", "*\n")?;
    // One that cannot be read cannot be written, either.
    let _ = fs_err::remove_file(&version);
    write("version", &version_text(VERSION))
}

/// Why a cache can only be read.
pub(crate) struct ReadOnly {
    path: PathBuf,
    kind: std::io::ErrorKind,
    message: String,
}

impl ReadOnly {
    /// The reason, if the error is one that only keeps from writing.
    fn because(dir: &Path, error: &std::io::Error) -> Option<ReadOnly> {
        use std::io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
        let kind = error.kind();
        let readable = match fs_err::read_dir(dir) {
            Ok(_) => true,
            // An empty cache that cannot be made; what can be read is nothing.
            Err(error) => error.kind() == NotFound,
        };
        let only = matches!(kind, PermissionDenied | ReadOnlyFilesystem) && readable;
        only.then(|| ReadOnly { path: dir.to_owned(), kind, message: error.to_string() })
    }

    pub(crate) fn error(&self) -> std::io::Error {
        std::io::Error::new(self.kind, self.message.clone())
    }
}

/// Says whether this process may read a file. Most files say so themselves.
fn is_readable(path: &Path, meta: &std::fs::Metadata) -> bool {
    const ALL: u32 = 0o444;
    std::os::unix::fs::MetadataExt::mode(meta) & ALL == ALL
        || rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok()
}

/// The number with its checksum, so that a flipped bit is no other version.
fn version_text(version: u32) -> String {
    let number = version.to_string();
    format!("{number} {}\n", &Digest::of(number.as_bytes()).to_hex()[..16])
}
