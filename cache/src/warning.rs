//! What the store tells people about entries that it had to ignore.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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

impl Warnings {
    pub fn set(&self, hook: WarningHook) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Says once that something is not as it should be.
    pub fn tell(&self, path: &Path, what: impl Into<String>, absent: bool) {
        if !self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned()) {
            return;
        }
        let warning = Warning { path: path.to_owned(), what: what.into(), absent };
        match &*self.hook.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(hook) => hook(warning),
            None => tracing::warn!(path = %warning.path.display(), "{}", warning.what),
        }
    }

    /// Forgets that a path was warned about, because it was written anew.
    pub fn forget(&self, path: &Path) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}
