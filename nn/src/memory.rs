//! Whether what is about to be computed fits into memory.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::{NnError, cpu};

/// Bytes that are there, or the process could not run.
const LARGE: u64 = 64 << 20;

/// Bytes that this process can still take: what the system has left, or its control group, and what it has freed itself.
/// None where the system does not say.
fn available() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory).ok()?;
    let left = system.available_memory();
    let left = system.cgroup_limits().map_or(left, |limits| limits.free_memory.min(left));
    (left > 0).then(|| left + cpu::heap::freed())
}

/// Fails where `needed` bytes for `what` are more than there are. The system is asked about large needs only.
pub(crate) fn check(what: impl FnOnce() -> String, needed: u64) -> Result<(), NnError> {
    if needed < LARGE {
        return Ok(());
    }
    match available() {
        Some(available) if needed > available => Err(NnError::Memory { what: what(), needed, available }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(check(|| "a vector".to_owned(), LARGE).is_ok());
        let error = check(|| "a vector".to_owned(), 1 << 60).unwrap_err().to_string();
        assert!(error.starts_with("a vector needs about 1073741824.0 GiB of memory, and "), "{error}");
    }
}
