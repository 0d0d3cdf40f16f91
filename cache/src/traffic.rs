//! How many bytes go from and to the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Store;

/// Counts what goes through some handles of a store.
#[derive(Debug, Default)]
pub struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
}

impl Traffic {
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
        Store { inner: Arc::clone(&self.inner), traffic: Arc::clone(traffic) }
    }

    pub(crate) fn count_read(&self, bytes: u64) {
        self.traffic.read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_written(&self, bytes: u64) {
        self.traffic.written.fetch_add(bytes, Ordering::Relaxed);
    }
}
