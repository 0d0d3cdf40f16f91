//! The heartbeat: the mark of a process is touched now and then for as long as it lives, whatever else it is busy with.

use std::convert::Infallible;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD};

use crate::file_lock::NOW;

/// Beats until it is dropped.
pub(crate) struct Heart {
    _alive: Sender<Infallible>,
}

impl Heart {
    /// Touches a file every so often.
    pub fn of(mark: &Path, every: Duration) -> Heart {
        let (alive, ended) = mpsc::channel::<Infallible>();
        let mark = mark.to_owned();
        let beat = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // By its path: the lock of an open file would last until this thread noticed the end.
                if let Err(error) = rustix::fs::utimensat(CWD, &mark, &NOW, AtFlags::empty()) {
                    tracing::debug!("{}: {error}", mark.display());
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(beat) {
            tracing::debug!("{error}");
        }
        Heart { _alive: alive }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Instant, SystemTime};

    #[test]
    fn a_file_is_touched_as_long_as_the_heart_beats() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        fs_err::write(&mark, "").unwrap();
        let is_touched = || {
            let file = fs_err::OpenOptions::new().append(true).open(&mark).unwrap();
            file.file().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            let end = Instant::now() + Duration::from_secs(60);
            let modified = || file.file().metadata().unwrap().modified().unwrap();
            while modified() == SystemTime::UNIX_EPOCH && Instant::now() < end {
                std::thread::yield_now();
            }
            modified() > SystemTime::UNIX_EPOCH
        };
        let _heart = Heart::of(&mark, Duration::from_millis(1));
        assert!(is_touched());
        assert!(is_touched(), "once only");
    }
}
