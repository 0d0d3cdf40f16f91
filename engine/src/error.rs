//! What is wrong with a parameter, and why a stage gave nothing.

use sndpipe_cache::{CacheError, Holder};

use crate::retry::Retry;

/// A parameter that is out of range or does not fit another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError {
    /// The parameter, with dots and indices for nested ones: `augment[1].width`. Empty: all of `with:`.
    pub path: String,
    /// What is wrong, with value and range: `0 is outside 1..=1024`.
    pub message: String,
    /// A way out.
    pub help: Option<String>,
}

impl ParamError {
    /// An error at a parameter.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), help: None }
    }

    /// The same, with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why a stage did not produce its outputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The data, the setting or the program of the stage is at fault.
    #[error("{message}")]
    Failed {
        /// What happened, with place and value.
        message: String,
        /// A way out.
        help: Option<String>,
    },
    /// What happened may pass by itself: the stage is tried again, and fails in the end like any other.
    #[error("{message}")]
    Passing {
        /// What happened, with place and value.
        message: String,
        /// A way out, should it not pass.
        help: Option<String>,
        /// How often and when to try again.
        retry: Retry,
    },
    /// The run was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// All rows that are left are being computed elsewhere: the engine runs the stage again when `holder` is done.
    #[error("its rows are being computed elsewhere")]
    Elsewhere {
        /// Who computes some of them.
        holder: Holder,
        /// Rows that were computed and committed.
        computed: u64,
    },
    /// The cache could not be read or written.
    #[error(transparent)]
    Cache(CacheError),
}

impl From<CacheError> for StageError {
    /// What cannot be stored is a fault of who hands it over, not of the cache.
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Invalid { what } => Self::failed(what),
            other => Self::Cache(other),
        }
    }
}

impl StageError {
    /// A failure with its message.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), help: None }
    }

    /// The same, with a way out.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        if let Self::Failed { help, .. } | Self::Passing { help, .. } = &mut self {
            *help = Some(text.into());
        }
        self
    }

    /// The same, and it may pass.
    #[must_use]
    pub fn passing(self, retry: Retry) -> Self {
        match self {
            Self::Failed { message, help } => Self::Passing { message, help, retry },
            other => other,
        }
    }

    /// The same, with the place where it happened: "clip `a.wav`".
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        if let Self::Failed { message, .. } | Self::Passing { message, .. } = &mut self {
            *message = format!("{place}: {message}");
        }
        self
    }
}

impl From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        let failed = Self::failed(error.to_string());
        if Retry::helps(&error) { failed.passing(Retry::READING) } else { failed }
    }
}
