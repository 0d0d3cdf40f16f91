//! A little colour, where a person looks and did not ask for none.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};

/// Paints text, or leaves it.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// For standard error.
    pub fn stderr() -> Self {
        Self(io::stderr().is_terminal() && wanted())
    }

    /// For standard output.
    pub fn stdout() -> Self {
        Self(io::stdout().is_terminal() && wanted())
    }

    /// For what must stay plain.
    #[cfg(test)]
    pub fn off() -> Self {
        Self(false)
    }

    /// Whether it paints.
    pub fn is_on(self) -> bool {
        self.0
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Headings.
    pub fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// What matters less.
    pub fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }

    /// What went wrong.
    pub fn red(self, text: impl Display) -> String {
        self.wrap("31", text)
    }

    /// What went well.
    pub fn green(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// What deserves a look.
    pub fn yellow(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    /// Names.
    pub fn cyan(self, text: impl Display) -> String {
        self.wrap("36", text)
    }
}

fn wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
