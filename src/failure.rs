//! What ends a command, how it is shown, and with which exit code.

use std::error::Error;
use std::fmt;
use std::io;

use miette::{Diagnostic, MietteHandlerOpts, ReportHandler};
use sndpipe_cache::CacheError;
use sndpipe_engine::{ScanError, SpecErrors, StageError};

use crate::console;
use crate::exit::Exit;
use crate::human::{bytes, plural};
use crate::paint::Paint;

/// The width of an error where there is no terminal to ask.
const WIDTH: usize = 100;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// The pipeline file or a data set is wrong.
    Spec(SpecErrors),
    /// The cache cannot be used.
    Cache(CacheError),
    /// The command line does not fit what is there.
    Usage(Note),
    /// The command could not do its work.
    Failed(Note),
    /// Nobody reads standard output any more.
    BrokenPipe,
}

/// A message with a way out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Note {
    message: String,
    help: Option<String>,
}

impl Diagnostic for Note {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

impl Failure {
    /// The command line does not fit what is there.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(Note { message: message.into(), help: None })
    }

    /// The command could not do its work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(Note { message: message.into(), help: None })
    }

    /// The same, with a way out.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        if let Self::Usage(note) | Self::Failed(note) = &mut self {
            note.help = Some(text.into());
        }
        self
    }

    /// Shows the failure on standard error and says how the program ends.
    pub fn report(self) -> Exit {
        match self {
            Self::BrokenPipe => Exit::Done,
            Self::Spec(errors) => {
                for error in errors.iter() {
                    show(error);
                }
                let count = (errors.0.len() + errors.more()) as u64;
                if errors.more() > 0 {
                    console::line(&format!("and {}", plural(errors.more() as u64, "more mistake")));
                }
                if count > 1 {
                    console::line(&format!("{}; nothing ran", plural(count, "mistake")));
                }
                Exit::Usage
            }
            Self::Usage(note) => {
                show(&note);
                Exit::Usage
            }
            Self::Failed(note) => {
                show(&note);
                Exit::Failed
            }
            Self::Cache(error) => {
                show(&cache_note(&error));
                Exit::Cache
            }
        }
    }
}

/// A cache error with everything that the system said and a way out.
fn cache_note(error: &CacheError) -> Note {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = inner.source();
    }
    let help = match error {
        // The message says it.
        CacheError::Invalid { .. } => return Note { message, help: None },
        CacheError::Unusable { .. } => {
            "choose a folder that you may write to with `--cache DIR` or the variable SNDPIPE_CACHE"
        }
        CacheError::Full { needed, free, .. } => {
            let missing = needed.saturating_sub(free.unwrap_or(0));
            let room = match free {
                Some(_) if missing > 0 => format!("at least {} more of room", bytes(missing)),
                _ => "room".to_owned(),
            };
            &format!(
                "make {room}, or let `sndpipe cache gc` make it, and run again: everything that was finished is kept"
            )
        }
        CacheError::Damaged { .. } => {
            "`sndpipe cache verify --repair` removes every damaged file; running again computes it anew"
        }
        _ => "running again continues where this run stopped",
    };
    Note { message, help: Some(help.to_owned()) }
}

/// Renders one diagnostic on standard error.
fn show(diagnostic: &dyn Diagnostic) {
    struct Rendered<'a>(&'a dyn ReportHandler, &'a dyn Diagnostic);
    impl fmt::Display for Rendered<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.debug(self.1, f)
        }
    }
    let mut options = MietteHandlerOpts::new().unicode(true).color(Paint::stderr().is_on());
    if !console::is_terminal() {
        // Lines that a program or a person may search stay whole.
        options = options.width(WIDTH).wrap_lines(false);
    }
    let handler = options.build();
    let text = Rendered(&handler, diagnostic).to_string();
    console::line(text.trim_end());
}

impl From<SpecErrors> for Failure {
    fn from(errors: SpecErrors) -> Self {
        Self::Spec(errors)
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        Self::Cache(error)
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Spec(errors) => Self::Spec(errors),
            ScanError::Cache(error) => Self::Cache(error),
        }
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Cache(error) => Self::Cache(error),
            StageError::Failed { message, help } | StageError::Passing { message, help, .. } => {
                Self::Failed(Note { message, help })
            }
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::failed(error.to_string())
        }
    }
}
