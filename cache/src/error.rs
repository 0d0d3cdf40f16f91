//! What can go wrong, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::Digest;

/// Why the cache could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The folder cannot be read or written at all.
    #[error("the cache cannot be used: `{}` is not accessible", path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk or the quota is used up.
    #[error("no space is left for `{}`{}", path.display(), shortage(*needed, *free))]
    Full {
        /// The file that was being written.
        path: PathBuf,
        /// Its length in bytes; 0 where it is not known.
        needed: u64,
        /// How many bytes this user may still write; `None` where a quota is used up, of which the system does not tell the rest.
        free: Option<u64>,
        /// What the system said.
        source: io::Error,
    },
    /// A file of an artefact is missing, cut or changed: drop the artefact and compute it again.
    #[error("`{}` of artefact {artefact} is damaged: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// The artefact that was being read.
        artefact: Digest,
        /// What is wrong with it.
        what: String,
    },
    /// A file outside or inside the cache could not be read.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A source file was written to while it was being hashed.
    #[error("`{}` keeps changing while it is read; wait until it is complete", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// The caller handed over something that cannot be stored or asked for something that is not there.
    #[error("{what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
}

impl CacheError {
    /// Sorts the error of a write of so many bytes by what the caller can do.
    pub(crate) fn writing(path: &Path, needed: u64, source: io::Error) -> CacheError {
        use io::ErrorKind::{
            IsADirectory, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        let kind = source.kind();
        let file = path.to_owned();
        match kind {
            StorageFull => CacheError::Full { path: file, needed, free: free_bytes(path), source },
            QuotaExceeded => CacheError::Full { path: file, needed, free: None, source },
            PermissionDenied | ReadOnlyFilesystem | NotADirectory | IsADirectory => {
                CacheError::Unusable { path: file, source }
            }
            _ => CacheError::Io { path: file, source },
        }
    }

    /// Says that the disk under a path is full, if it is.
    pub(crate) fn if_full(path: &Path) -> Option<CacheError> {
        /// What is left of a disk by a program that cannot write any more.
        const LITTLE: u64 = 64 << 10;
        let free = free_bytes(path).filter(|free| *free < LITTLE)?;
        let source = io::ErrorKind::StorageFull.into();
        Some(CacheError::Full { path: path.to_owned(), needed: 0, free: Some(free), source })
    }

    pub(crate) fn reading(path: &Path, source: io::Error) -> CacheError {
        CacheError::Io { path: path.to_owned(), source }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> CacheError {
        CacheError::Invalid { what: what.into() }
    }
}

/// Returns how many bytes this user may still write where a file is to lie.
fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(there.f_bavail.saturating_mul(there.f_frsize))
}

/// Says what is missing.
fn shortage(needed: u64, free: Option<u64>) -> String {
    match free {
        None if needed == 0 => String::new(),
        Some(free) if needed == 0 => format!(": {free} bytes are free"),
        Some(free) => format!(": {needed} bytes are needed, {free} are free"),
        None => format!(": {needed} bytes are needed and the quota is used up"),
    }
}
