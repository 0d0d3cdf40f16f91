//! Standard error, shared by messages, logs and the lines of running stages.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use indicatif::MultiProgress;

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
