//! What is wrong with a pipeline file.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode};

use super::problem::Problem;
use super::problems::Problems;
use super::source::{Source, Span};
use super::text::Text;

/// A mistake in a pipeline file, with its place.
#[derive(Debug, Clone)]
pub struct SpecError {
    /// What sort of mistake: the last part of `sndpipe::spec::…`.
    pub code: &'static str,
    /// What is wrong, with names and values.
    pub message: String,
    /// Where; `None` where the file could not be read.
    pub span: Option<Span>,
    /// What stands below the marked text; may be empty.
    pub label: String,
    /// Other places of the same file that matter, each with what to say below it.
    pub also: Vec<(Span, String)>,
    /// A way out.
    pub help: Option<String>,
    /// The files.
    pub source: Arc<Source>,
}

impl SpecError {
    fn new(problem: Problem, source: &Arc<Source>) -> Self {
        let Problem { code, message, span, label, also, mut help } = problem;
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            also.into_iter().partition(|(other, _)| span.is_some_and(|span| span.file() == other.file()));
        for (other, label) in elsewhere {
            let line = format!("{}: {label}", source.place(other));
            help = Some(help.map_or_else(|| line.clone(), |help| format!("{help}\n{line}")));
        }
        Self { code, message, span, label, also: here, help, source: Arc::clone(source) }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpecError {}

impl Diagnostic for SpecError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("sndpipe::spec::{}", self.code)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.named(self.span?.file()).map(|file| file as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span?;
        let text = |label: &str| (!label.is_empty()).then(|| label.to_owned());
        let range = |span: Span| {
            let marked = |file: &Text| file.marked(span.start(), span.len());
            (span.start(), self.source.named(span.file()).map_or(span.len(), marked))
        };
        let first = LabeledSpan::new_primary_with_span(text(&self.label), range(span));
        let others =
            self.also.iter().map(move |(span, label)| LabeledSpan::new_with_span(text(label), range(*span)));
        Some(Box::new(std::iter::once(first).chain(others)))
    }
}

impl Source {
    /// An error at a place of the pipeline that was found elsewhere, such as while a stage ran.
    ///
    /// `code` is the last part of `sndpipe::spec::…`.
    #[must_use]
    pub fn error(
        self: &Arc<Self>,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: Option<String>,
    ) -> SpecError {
        let mut problem = Problem::new(code, span, message);
        problem.help = help;
        SpecError::new(problem, self)
    }
}

/// How many mistakes are told in full; of more there is only the number.
const TOLD: usize = 100;

/// The mistakes of a pipeline file, in the order of the file: the first hundred, and how many there are beyond these.
#[derive(Debug, Clone)]
pub struct SpecErrors(pub Vec<SpecError>, usize);

impl SpecErrors {
    /// Sorts mistakes by place and drops repetitions.
    pub(super) fn new(problems: Problems, source: &Arc<Source>) -> Self {
        let mut problems = problems.into_vec();
        problems.sort_by(|a, b| a.span.cmp(&b.span).then_with(|| a.message.cmp(&b.message)));
        problems.dedup_by(|a, b| a.span == b.span && a.code == b.code && a.message == b.message);
        let more = problems.len().saturating_sub(TOLD);
        problems.truncate(TOLD);
        Self(problems.into_iter().map(|problem| SpecError::new(problem, source)).collect(), more)
    }

    /// Mistakes that were found one by one.
    pub(crate) fn of(mut errors: Vec<SpecError>) -> Self {
        let more = errors.len().saturating_sub(TOLD);
        errors.truncate(TOLD);
        Self(errors, more)
    }

    /// How many mistakes there are beyond those that are told in full.
    #[must_use]
    pub const fn more(&self) -> usize {
        self.1
    }

    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, SpecError> {
        self.0.iter()
    }
}

impl From<SpecError> for SpecErrors {
    fn from(error: SpecError) -> Self {
        Self(vec![error], 0)
    }
}

impl IntoIterator for SpecErrors {
    type Item = SpecError;
    type IntoIter = std::vec::IntoIter<SpecError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a SpecErrors {
    type Item = &'a SpecError;
    type IntoIter = std::slice::Iter<'a, SpecError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.0.first().map_or("", |error| error.source.name());
        match self.0.len() + self.1 {
            1 => write!(f, "1 mistake in {file}"),
            count => write!(f, "{count} mistakes in {file}"),
        }
    }
}

impl std::error::Error for SpecErrors {}

impl Diagnostic for SpecErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.0.iter().map(|error| error as &dyn Diagnostic)))
    }
}
