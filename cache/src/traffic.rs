//! What goes through some handles of a store: bytes from and to the cache, and what is used of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Digest;

/// Counts what goes through some handles of a store.
#[derive(Debug, Default)]
pub struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
    /// Everything that was held through these handles.
    held: Mutex<BTreeSet<Digest>>,
    doubting: bool,
}

impl Traffic {
    /// Traffic of somebody who trusts nothing: an artefact that is there is compared with its checksums before it counts as written.
    #[must_use]
    pub fn doubting() -> Traffic {
        Traffic { doubting: true, ..Traffic::default() }
    }

    /// What was held through these handles until now.
    pub(crate) fn held(&self) -> Vec<Digest> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Returns the bytes of files that were read, or mapped to be read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Returns the bytes that were written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Notes what is held through these handles.
    pub(crate) fn hold(&self, ids: &[Digest]) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    /// Whether what is there is to be compared with its checksums before it is kept.
    pub(crate) fn doubts(&self) -> bool {
        self.doubting
    }

    pub(crate) fn count_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }
}
