//! The text of one file, as messages quote it.

use miette::{MietteError, MietteSpanContents, NamedSource, SourceCode, SourceSpan, SpanContents};

/// So many bytes are quoted at most: whole lines as long as they are short, else what stands around a place.
const QUOTED: usize = 4096;
/// So many bytes before and behind a place in a long line are quoted.
const AROUND: usize = 80;
/// So many bytes of a place are marked.
const MARKED: usize = 120;

/// A named text. A file that a program wrote may be a single line of a megabyte.
#[derive(Debug)]
pub(super) struct Text(NamedSource<String>);

impl Text {
    pub fn new(name: &str, text: String) -> Self {
        Self(NamedSource::new(name, text))
    }

    pub fn name(&self) -> &str {
        self.0.name()
    }

    pub fn inner(&self) -> &str {
        self.0.inner()
    }

    /// The bytes of a place that are marked.
    pub fn marked(&self, start: usize, len: usize) -> usize {
        match self.inner().get(start..).filter(|_| len > MARKED) {
            Some(rest) => rest.floor_char_boundary(MARKED),
            None => len,
        }
    }
}

impl SourceCode for Text {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = self.0.read_span(span, lines_before, lines_after)?;
        if whole.data().len() <= QUOTED {
            return Ok(whole);
        }
        // Places that are far from each other are quoted one by one.
        if span.len() > QUOTED {
            return Err(MietteError::OutOfBounds);
        }
        let (text, end) = (self.inner(), span.offset() + span.len());
        let line = text[..span.offset()].rfind('\n').map_or(0, |at| at + 1);
        let start = text.floor_char_boundary(span.offset().saturating_sub(AROUND)).max(line);
        let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
        let end = text.ceil_char_boundary(end + AROUND).min(line_end);
        let skipped = text[whole.span().offset()..start].matches('\n').count();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_owned(),
            &text.as_bytes()[start..end],
            (start, end - start).into(),
            whole.line() + skipped,
            start - line,
            whole.line_count(),
        )))
    }
}
