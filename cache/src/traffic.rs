//! What goes through some handles of a store: bytes from and to the cache, and what is used of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Digest, Store};

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
}

impl Store {
    /// The same store; what goes through the new handle and its clones is counted in `traffic`.
    #[must_use]
    pub fn metered(&self, traffic: &Arc<Traffic>) -> Store {
        let mut at_work = self.inner.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.retain(|other| other.strong_count() > 0);
        at_work.push(Arc::downgrade(traffic));
        Store { inner: Arc::clone(&self.inner), traffic: Arc::clone(traffic) }
    }

    /// Notes what is held through this handle.
    pub(crate) fn note_held(&self, ids: &[Digest]) {
        self.traffic.held.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    /// Whether what is there is to be compared with its checksums before it is kept.
    pub(crate) fn doubts(&self) -> bool {
        self.traffic.doubting
    }

    /// What is metered now: the jobs at work in this process.
    pub(crate) fn at_work(&self) -> Vec<Arc<Traffic>> {
        let at_work = self.inner.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.iter().filter_map(std::sync::Weak::upgrade).collect()
    }

    pub(crate) fn count_read(&self, bytes: u64) {
        self.traffic.read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_written(&self, bytes: u64) {
        self.traffic.written.fetch_add(bytes, Ordering::Relaxed);
    }
}
