//! The files outside the cache that a stage declares.

use std::path::{Path, PathBuf};

use sndpipe_cache::{CacheError, FileDigest, Store};

use crate::retry::Retry;
use crate::stage::StageError;

/// A declared file: the label by which the stage knows it (a clip id, `manifest`), and what it holds.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// What the key says: never a path of this machine.
    pub label: String,
    /// The file and the digest of its content.
    pub file: FileDigest,
}

/// Gathers the files that a stage reads; handed to [`crate::Stage::sources`].
pub struct SourceScan<'a> {
    store: &'a Store,
    files: Vec<SourceFile>,
}

impl<'a> SourceScan<'a> {
    /// An empty scan.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store, files: Vec::new() }
    }

    /// Declares a file.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it cannot be read.
    pub fn file(&mut self, label: &str, path: &Path) -> Result<(), StageError> {
        self.files(vec![(label.to_owned(), path.to_owned())])
    }

    /// Declares many files at once; their digests are looked up together.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming the files that cannot be read (the first few of many).
    pub fn files(&mut self, labelled: Vec<(String, PathBuf)>) -> Result<(), StageError> {
        if labelled.is_empty() {
            return Ok(());
        }
        let (labels, paths): (Vec<String>, Vec<PathBuf>) = labelled.into_iter().unzip();
        let mut unreadable = Vec::new();
        for (label, digest) in labels.into_iter().zip(self.digests(&paths)) {
            match digest {
                Ok(file) => self.files.push(SourceFile { label, file }),
                Err(error) => unreadable.push(format!("{label}: {error}")),
            }
        }
        if unreadable.is_empty() {
            return Ok(());
        }
        let more = unreadable.len().saturating_sub(5);
        unreadable.truncate(5);
        let mut message = format!("cannot read {}", unreadable.join("\n  "));
        if more > 0 {
            message.push_str(&format!("\n  and {more} more"));
        }
        Err(StageError::failed(message).help("correct the path or restore the files"))
    }

    /// The digests of files; those that cannot be read for a reason that may pass are tried again.
    fn digests(&self, paths: &[PathBuf]) -> Vec<Result<FileDigest, CacheError>> {
        let mut digests = self.store.digests(paths);
        for attempt in 1.. {
            let passing = |digest: &Result<_, CacheError>| matches!(digest, Err(CacheError::Io { source, .. }) if Retry::helps(source));
            let again: Vec<usize> = (0..digests.len()).filter(|&at| passing(&digests[at])).collect();
            let Some(wait) = Retry::READING.after(attempt).filter(|_| !again.is_empty()) else { break };
            tracing::info!("files that cannot be read now: {}; trying again in {wait:?}", again.len());
            std::thread::sleep(wait);
            let paths: Vec<PathBuf> = again.iter().map(|&at| paths[at].clone()).collect();
            for (at, digest) in again.into_iter().zip(self.store.digests(&paths)) {
                digests[at] = digest;
            }
        }
        digests
    }

    /// The declared files, sorted by label.
    #[must_use]
    pub fn finish(mut self) -> Vec<SourceFile> {
        self.files.sort_by(|a, b| a.label.cmp(&b.label));
        self.files
    }
}
