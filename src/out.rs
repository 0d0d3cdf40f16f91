//! Standard output: locked, buffered, data only.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};

use serde::Serialize;

use crate::failure::Failure;
use crate::plain;

/// Where data goes. On a terminal, control characters in it, but for colours, are left out; a program that reads it gets every byte.
pub struct Out {
    to: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl Out {
    /// Takes standard output until it is dropped.
    pub fn new() -> Self {
        let to = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        Self { to, is_terminal: io::stdout().is_terminal() }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// [`Failure::BrokenPipe`] if nobody reads it.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.text(text.as_ref().trim_end())?;
        Ok(self.to.write_all(b"\n")?)
    }

    /// Writes bytes as they are, on a terminal, too.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.to.write_all(bytes)?)
    }

    /// Writes text.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let text = if self.is_terminal { plain::painted(text) } else { Cow::Borrowed(text) };
        Ok(self.to.write_all(text.as_bytes())?)
    }

    /// Writes one JSON object on a line of its own.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        if self.is_terminal {
            self.text(&serde_json::to_string(value).map_err(io::Error::from)?)?;
        } else {
            serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        }
        Ok(self.to.write_all(b"\n")?)
    }

    /// Hands everything over.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn finish(mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }
}
