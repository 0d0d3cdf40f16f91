//! Where `tracing` events go.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;

use crate::console::line;
use crate::failure::Failure;

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
