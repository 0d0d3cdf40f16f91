//! Handles of one store of which each counts what goes through it.

use std::sync::{Arc, PoisonError, Weak};

use crate::{Store, Traffic};

impl Store {
    /// The same store; what goes through the new handle and its clones is counted in `traffic`.
    #[must_use]
    pub fn metered(&self, traffic: &Arc<Traffic>) -> Store {
        let mut at_work = self.inner.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.retain(|other| other.strong_count() > 0);
        at_work.push(Arc::downgrade(traffic));
        Store { inner: Arc::clone(&self.inner), traffic: Arc::clone(traffic) }
    }

    /// What is metered now: the jobs at work in this process.
    pub(crate) fn at_work(&self) -> Vec<Arc<Traffic>> {
        let at_work = self.inner.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.iter().filter_map(Weak::upgrade).collect()
    }
}
