//! Standard error, shared by messages, logs and the lines of running stages.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;

use crate::failure::Failure;
use crate::plain;

static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Whether a person looks at standard error.
pub fn is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The lines at the bottom of the terminal; from now on [`line()`] writes above them.
pub fn bars() -> &'static MultiProgress {
    BARS.get_or_init(MultiProgress::new)
}

/// Writes whole lines, of whose control characters only colours stay. What cannot be written is lost: there is nowhere to say so.
pub fn line(text: &str) {
    let text = plain::painted(text);
    let write = || {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{text}");
    };
    match BARS.get() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Sends `tracing` events of a level to standard error, or with their times to the end of a file.
pub fn log_to(level: LevelFilter, file: Option<&Path>) -> Result<(), Failure> {
    let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    match file {
        None => log.without_time().with_writer(|| Lines(Vec::new())).init(),
        Some(path) => {
            let file = fs_err::OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|error| {
                Failure::usage(error.to_string())
                    .help("`--log-file FILE` needs a place that can be written to")
            })?;
            log.with_writer(Mutex::new(file)).init();
        }
    }
    Ok(())
}

/// Gathers one event and writes it above the running lines.
struct Lines(Vec<u8>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        if !text.trim().is_empty() {
            line(text.trim_end());
        }
    }
}
