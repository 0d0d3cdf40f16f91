//! Whether another program has a file open or mapped to write to it.

use std::os::fd::AsRawFd as _;

/// Who may write to a file without opening it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Nobody.
    None,
    /// Somebody who has it open, or mapped although it was closed since.
    Some,
    /// The system does not tell: the file is another user's, or its file system knows no leases.
    Unknown,
}

/// Asks for a lease on a file, which the system grants only if nobody has it open or mapped for writing, and gives it back.
///
/// Whoever opens the file for writing in between waits for the microseconds that it takes.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate has leases")]
pub(crate) fn writers(file: &fs_err::File) -> Writers {
    let fd = file.file().as_raw_fd();
    // SAFETY: these commands read and write no memory of this process, and the descriptor is open while `file` is borrowed.
    let control = |command, argument: libc::c_int| unsafe { libc::fcntl(fd, command, argument) };
    // Someone who waits is announced by a signal; SIGIO would end the process, this one is passed over.
    if control(F_SETSIG, libc::SIGURG) < 0 {
        return Writers::Unknown;
    }
    if control(libc::F_SETLEASE, libc::F_RDLCK) < 0 {
        let error = std::io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::EAGAIN) { Writers::Some } else { Writers::Unknown };
    }
    // Closing the file would do it too, later.
    control(libc::F_SETLEASE, libc::F_UNLCK);
    Writers::None
}

/// From `asm-generic/fcntl.h`; the `libc` crate does not have it.
#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

#[cfg(not(target_os = "linux"))]
pub(crate) fn writers(_: &fs_err::File) -> Writers {
    Writers::Unknown
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_file_open_or_mapped_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs_err::write(&path, "words").unwrap();
        let read = fs_err::File::open(&path).unwrap();
        let other = fs_err::File::open(&path).unwrap();
        if writers(&read) == Writers::Unknown {
            writeln!(std::io::stderr(), "skipped: no leases on {}", path.display()).unwrap();
            return;
        }
        assert!(nobody_writes(&read), "readers do not count");
        drop(other);
        let written = fs_err::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert_eq!(writers(&read), Writers::Some);
        drop(written);
        assert!(nobody_writes(&read));
    }

    /// Whether that is said within a second: a process that another test starts has what is open here for a moment.
    fn nobody_writes(file: &fs_err::File) -> bool {
        (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            writers(file) == Writers::None
        })
    }

    use std::io::Write as _;
}
