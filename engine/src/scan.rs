//! The files outside the cache that a stage declares.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sndpipe_cache::{CacheError, Digest, FileDigest, Store};

use crate::error::StageError;
use crate::retry::Retry;

/// A declared file, or a value in its place: the label by which the stage knows it (a clip id, `manifest`), and what it holds.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// What the key says: never a path of this machine.
    pub label: String,
    /// What it holds.
    pub content: Content,
}

/// A label as people read it: files are called so, other things say themselves what they are.
pub(crate) fn title(label: &str) -> Cow<'_, str> {
    const OTHERS: [&str; 3] = ["program ", "interpreter ", "variable "];
    let is_other = OTHERS.iter().any(|other| label.starts_with(other));
    if is_other { Cow::Borrowed(label) } else { Cow::Owned(format!("file {label}")) }
}

/// What a [`SourceFile`] holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// A file and the digest of its bytes.
    File(FileDigest),
    /// The digest of a value that lies in no file, such as that of a variable of the environment.
    Value(Digest),
}

impl SourceFile {
    /// The digest of what it holds.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match &self.content {
            Content::File(file) => file.digest,
            Content::Value(digest) => *digest,
        }
    }

    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&FileDigest> {
        match &self.content {
            Content::File(file) => Some(file),
            Content::Value(_) => None,
        }
    }
}

/// Gathers the files that a stage reads; handed to [`crate::Stage::sources`].
pub struct SourceScan<'a> {
    store: &'a Store,
    sources: Vec<SourceFile>,
}

impl<'a> SourceScan<'a> {
    /// An empty scan.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store, sources: Vec::new() }
    }

    /// Declares a file.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it cannot be read.
    pub fn file(&mut self, label: &str, path: &Path) -> Result<(), StageError> {
        self.files(vec![(label.to_owned(), path.to_owned())])
    }

    /// Declares a value that lies in no file; only its digest is kept.
    pub fn value(&mut self, label: &str, value: &[u8]) {
        let content = Content::Value(Digest::of(value));
        self.sources.push(SourceFile { label: label.to_owned(), content });
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
                Ok(file) => self.sources.push(SourceFile { label, content: Content::File(file) }),
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

    /// What was declared, sorted by label.
    #[must_use]
    pub fn finish(mut self) -> Vec<SourceFile> {
        self.sources.sort_by(|a, b| a.label.cmp(&b.label));
        self.sources
    }
}
