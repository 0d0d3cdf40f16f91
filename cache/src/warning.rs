//! What the store tells people about entries that it had to ignore.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Store;

/// Something in the cache that is not as it should be: mostly an entry that is damaged and was treated as absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The damaged file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// Whether it is an entry that is treated as absent; else everything else about the cache.
    pub absent: bool,
}

/// Receives warnings.
pub type WarningHook = Box<dyn Fn(Warning) + Send + Sync>;

/// The hook and the paths that were warned about already.
#[derive(Default)]
pub(crate) struct Warnings {
    hook: Mutex<Option<WarningHook>>,
    seen: Mutex<BTreeSet<PathBuf>>,
}

impl Store {
    /// Sets what is called, once for each damaged entry; without a hook warnings go to `tracing`.
    pub fn on_warning(&self, hook: WarningHook) {
        *self.inner.warnings.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Says once that an entry is treated as absent.
    pub(crate) fn warn(&self, path: &Path, what: impl Into<String>) {
        self.tell(path, what, true);
    }

    /// Says once that something is not as it should be.
    pub(crate) fn tell(&self, path: &Path, what: impl Into<String>, absent: bool) {
        let warnings = &self.inner.warnings;
        if !warnings.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned()) {
            return;
        }
        let warning = Warning { path: path.to_owned(), what: what.into(), absent };
        match &*warnings.hook.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(hook) => hook(warning),
            None => tracing::warn!(path = %warning.path.display(), "{}", warning.what),
        }
    }

    /// Forgets that a path was warned about, because it was written anew.
    pub(crate) fn unwarn(&self, path: &Path) {
        self.inner.warnings.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}
