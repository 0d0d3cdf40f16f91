//! A mistake as the compiler of pipeline files finds it.

use super::source::Span;

/// A mistake as the compiler finds it; it becomes a [`SpecError`](super::SpecError) once all files are known.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub code: &'static str,
    pub message: String,
    pub span: Option<Span>,
    pub label: String,
    pub also: Vec<(Span, String)>,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::nowhere(code, message) }
    }

    /// A mistake that has no place in a file.
    pub fn nowhere(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), span: None, label: String::new(), also: Vec::new(), help: None }
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also.push((span, label.into()));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}
