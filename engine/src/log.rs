//! What a stage says while it runs.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The last lines that are kept with the record of a run in which the stage failed.
const TAIL: usize = 100;

/// The log of one stage: a file that is created with its first line, and its last lines.
pub struct StageLog {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<fs_err::File>,
    tail: VecDeque<String>,
}

impl StageLog {
    /// A log that will lie in this file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// Adds a line. A log that cannot be written stops nothing.
    pub(crate) fn line(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.file.is_none() {
            state.file = sndpipe_cache::create_shared(&self.path).ok();
        }
        if let Some(file) = &mut state.file {
            let _ = writeln!(file, "{line}");
        }
        if state.tail.len() == TAIL {
            state.tail.pop_front();
        }
        state.tail.push_back(line.to_owned());
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tail.iter().cloned().collect()
    }
}
