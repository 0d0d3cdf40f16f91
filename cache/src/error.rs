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
    #[error("no space is left for `{}`", path.display())]
    Full {
        /// The file that was being written.
        path: PathBuf,
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
    /// Sorts the error of a write by what the caller can do.
    pub(crate) fn writing(path: &Path, source: io::Error) -> CacheError {
        use io::ErrorKind::{
            IsADirectory, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded => CacheError::Full { path, source },
            PermissionDenied | ReadOnlyFilesystem | NotADirectory | IsADirectory => {
                CacheError::Unusable { path, source }
            }
            _ => CacheError::Io { path, source },
        }
    }

    pub(crate) fn reading(path: &Path, source: io::Error) -> CacheError {
        CacheError::Io { path: path.to_owned(), source }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> CacheError {
        CacheError::Invalid { what: what.into() }
    }
}
