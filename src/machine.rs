//! What this machine has.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The bytes of memory that a run may take by default: nine tenths of what there is, or of what its control group may have.
/// No bound where the system does not say.
pub fn memory() -> u64 {
    let ram = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(ram) else { return u64::MAX };
    let total = system.total_memory();
    match system.cgroup_limits().map_or(total, |limits| limits.total_memory.min(total)) {
        0 => u64::MAX,
        bytes => bytes / 10 * 9,
    }
}
