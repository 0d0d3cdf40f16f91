//! Failures that may pass by themselves.

use std::io;
use std::time::Duration;

/// How often a failure that may pass is followed by another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Further tries at most.
    pub times: u32,
    /// The time before the first of them; it doubles before each later one.
    pub wait: Duration,
}

impl Retry {
    /// For reading from a network or a disk that is busy.
    pub const READING: Self = Self { times: 3, wait: Duration::from_millis(250) };

    /// The time between the try of this number, from 1, and the next; `None` if there is none.
    #[must_use]
    pub fn after(&self, attempt: u32) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_secs(3600);
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        (attempt <= self.times).then(|| self.wait.saturating_mul(factor).min(LONGEST))
    }

    /// Whether an I/O error may pass, as those of network file systems do.
    #[must_use]
    pub fn helps(error: &io::Error) -> bool {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
            NetworkUnreachable, NotConnected, ResourceBusy, StaleNetworkFileHandle, TimedOut, WouldBlock,
        };
        let passing = [
            ConnectionAborted,
            ConnectionReset,
            HostUnreachable,
            Interrupted,
            NetworkDown,
            NetworkUnreachable,
            NotConnected,
            ResourceBusy,
            StaleNetworkFileHandle,
            TimedOut,
            WouldBlock,
        ];
        passing.contains(&error.kind())
            || code(error).is_some_and(|code| code == rustix::io::Errno::IO.raw_os_error())
    }
}

/// The system's number of an error. One that carries its path, as those of `fs_err` do, has it in its text only.
fn code(error: &io::Error) -> Option<i32> {
    let text = || error.to_string().rsplit_once("(os error ")?.1.strip_suffix(')')?.parse().ok();
    error.raw_os_error().or_else(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let retry = Retry { times: 3, wait: Duration::from_secs(2) };
        let seconds = |attempt| retry.after(attempt).map(|wait| wait.as_secs());
        assert_eq!([1, 2, 3, 4].map(seconds), [Some(2), Some(4), Some(8), None]);
        let patient = Retry { times: 100, wait: Duration::from_secs(60) };
        assert_eq!(patient.after(99), Some(Duration::from_secs(3600)));
    }

    #[test]
    fn errors_of_a_network_pass_and_missing_files_do_not() {
        let system = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [rustix::io::Errno::IO, rustix::io::Errno::STALE, rustix::io::Errno::TIMEDOUT] {
            assert!(Retry::helps(&system(errno)), "{errno}");
        }
        for errno in [rustix::io::Errno::NOENT, rustix::io::Errno::ACCESS, rustix::io::Errno::NOSPC] {
            assert!(!Retry::helps(&system(errno)), "{errno}");
        }
        // With the path that `fs_err` adds; the memory of a process cannot be read at its beginning.
        if cfg!(target_os = "linux") {
            assert!(Retry::helps(&fs_err::read("/proc/self/mem").unwrap_err()));
        }
        assert!(!Retry::helps(&fs_err::read("/no/such/file").unwrap_err()));
    }
}
