//! Processes that a program started and that left its process group.

use std::path::Path;

/// Kills every process whose environment names this directory, which no other program was ever given.
#[cfg(target_os = "linux")]
pub(super) fn kill(dir: &Path) {
    /// A process that is found may have started another one meanwhile.
    const ROUNDS: usize = 5;
    for _ in 0..ROUNDS {
        if round(dir) == 0 {
            return;
        }
    }
}

#[cfg(target_os = "linux")]
fn round(dir: &Path) -> usize {
    use std::os::unix::ffi::OsStrExt as _;

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    let mark = dir.as_os_str().as_bytes();
    let Ok(processes) = fs_err::read_dir("/proc") else { return 0 };
    let mut killed = 0;
    for process in processes.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        // Held open, the process keeps its number until it has the signal.
        let Some(handle) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { continue };
        let environment = fs_err::read(process.path().join("environ")).unwrap_or_default();
        let named = environment.windows(mark.len()).any(|window| window == mark);
        if named && pidfd_send_signal(&handle, Signal::KILL).is_ok() {
            killed += 1;
        }
    }
    killed
}

/// Elsewhere they see their pipes close.
#[cfg(not(target_os = "linux"))]
pub(super) fn kill(_: &Path) {}
