//! How the program ends.

use std::process::ExitCode;

/// The exit codes. A broken pipe (`sndpipe … | head`) counts as [`Exit::Done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// A stage failed, nothing was computed yet that could be shown, or a verification found a difference.
    Failed = 1,
    /// The command line, the pipeline or a data set is wrong; nothing ran.
    Usage = 2,
    /// The cache cannot be used or the disk is full.
    Cache = 3,
    /// `plan --check`: something would run.
    NotCurrent = 4,
    /// Stopped by Ctrl-C or a request to terminate.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The section on exit codes in the help of the program.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    a stage failed, or a verification found a difference
  2    the command line, the pipeline or a data set is wrong; nothing ran
  3    the cache is unusable or full
  4    not up to date (`plan --check`)
  130  interrupted";
