//! Bytes of a CSV file to trimmed cells, with quotes taken at their word.
//!
//! Readers of CSV commonly take a quote that is never closed for a cell that goes on to the end of the file, and swallow its rows. Here a
//! quote that is not closed, and text behind one that is, are errors with their lines.

/// A mistake in the quotes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum QuoteError {
    /// No quote until the end of the file closes the cell.
    #[error("line {line}: a quote opens a cell and is never closed")]
    Open {
        /// Where the quote opens.
        line: u64,
    },
    /// A quote closes the cell, and the cell goes on.
    #[error("line {line}: text after the quote that closes a cell{}", since(*opened, *line))]
    Behind {
        /// Where the quote opens.
        opened: u64,
        /// Where it is closed.
        line: u64,
    },
}

fn since(opened: u64, line: u64) -> String {
    if opened == line { String::new() } else { format!(", which opens on line {opened}") }
}

/// What else than white space surrounds a cell without being a part of it: byte order marks and spaces of no width.
const INVISIBLE: [char; 2] = ['\u{feff}', '\u{200b}'];

/// A text without white space around it, that of other languages than English and byte order marks included.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || INVISIBLE.contains(&c))
}

/// The rows of a file. Lines end with LF, CR or both; lines without text are no rows.
pub(super) struct Rows<'a> {
    text: &'a str,
    delimiter: u8,
    at: usize,
    /// The line of `at`, counted from 1.
    line: u64,
}

impl<'a> Rows<'a> {
    /// The rows of a text whose cells are separated by an ASCII character.
    pub fn new(text: &'a str, delimiter: u8) -> Self {
        Self { text, delimiter, at: 0, line: 1 }
    }

    /// Reads the cells of the next row and says on which line it begins; `None` at the end.
    ///
    /// # Errors
    /// [`QuoteError`].
    pub fn next(&mut self, cells: &mut Vec<String>) -> Result<Option<u64>, QuoteError> {
        while self.at < self.text.len() {
            let line = self.line;
            cells.clear();
            let mut quoted = false;
            loop {
                quoted |= self.cell(cells)?;
                if self.byte() == Some(self.delimiter) {
                    self.at += 1;
                } else {
                    break;
                }
            }
            self.line_end();
            let blank = !quoted && cells.len() == 1 && cells[0].is_empty();
            if !blank {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over the end of a line, if one is here.
    fn line_end(&mut self) {
        let before = self.at;
        self.at += usize::from(self.byte() == Some(b'\r'));
        self.at += usize::from(self.byte() == Some(b'\n'));
        self.line += u64::from(self.at > before);
    }

    fn blanks(&mut self) {
        while self.byte().is_some_and(|byte| matches!(byte, b' ' | b'\t') && byte != self.delimiter) {
            self.at += 1;
        }
    }

    /// Whether a cell ends here.
    fn ends(&self) -> bool {
        self.byte().is_none_or(|byte| byte == self.delimiter || matches!(byte, b'\n' | b'\r'))
    }

    /// Reads a cell up to what ends it, and says whether it is quoted.
    fn cell(&mut self, cells: &mut Vec<String>) -> Result<bool, QuoteError> {
        let start = self.at;
        self.blanks();
        if self.byte() == Some(b'"') {
            let text = self.quoted()?;
            cells.push(trimmed(&text).to_owned());
            return Ok(true);
        }
        while !self.ends() {
            self.at += 1;
        }
        cells.push(trimmed(&self.text[start..self.at]).to_owned());
        Ok(false)
    }

    /// The text of a cell that begins with the quote here.
    fn quoted(&mut self) -> Result<String, QuoteError> {
        let opened = self.line;
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.find('"') else { return Err(QuoteError::Open { line: opened }) };
            text.push_str(&rest[..length]);
            self.line += breaks(&rest[..length]);
            self.at += length + 1;
            if self.byte() != Some(b'"') {
                break;
            }
            // Doubled, it is a part of the text.
            text.push('"');
            self.at += 1;
        }
        self.blanks();
        if self.ends() { Ok(text) } else { Err(QuoteError::Behind { opened, line: self.line }) }
    }
}

/// How many lines end in a text.
fn breaks(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let ends = |at: usize| bytes[at] == b'\n' || bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    (0..bytes.len()).filter(|&at| ends(at)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line and cells of each row.
    fn read(text: &str) -> Result<Vec<(u64, Vec<String>)>, QuoteError> {
        let (mut rows, mut cells, mut all) = (Rows::new(text, b','), Vec::new(), Vec::new());
        while let Some(line) = rows.next(&mut cells)? {
            all.push((line, cells.clone()));
        }
        Ok(all)
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &[&str])]) {
        let expected: Vec<(u64, Vec<String>)> = expected
            .iter()
            .map(|(line, cells)| (*line, cells.iter().map(|&cell| cell.to_owned()).collect()))
            .collect();
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn cells_are_trimmed_whatever_surrounds_them() {
        check("a, b\t,\u{a0}c\u{a0}\r\n", &[(1, &["a", "b", "c"])]);
        check("\" a \", \"b,c\" ,\u{feff}d\u{3000}", &[(1, &["a", "b,c", "d"])]);
    }

    #[test]
    fn lines_end_in_every_way_and_blank_ones_are_no_rows() {
        check("a,b\r\n\r\nc,d\n \t\ne,f", &[(1, &["a", "b"]), (3, &["c", "d"]), (5, &["e", "f"])]);
        check("a\rb\r\rc\r", &[(1, &["a"]), (2, &["b"]), (4, &["c"])]);
        check("a\n\"\"\n,\n", &[(1, &["a"]), (2, &[""]), (3, &["", ""])]);
        check("", &[]);
    }

    #[test]
    fn quotes_hold_separators_breaks_and_quotes() {
        check(
            "\"a\nb\",\"say \"\"hi\"\"\"\n5\" tape,\"c\r\nd\"\ne,f\n",
            &[(1, &["a\nb", "say \"hi\""]), (3, &["5\" tape", "c\r\nd"]), (5, &["e", "f"])],
        );
    }

    #[test]
    fn quotes_that_are_open_or_closed_too_late_are_named_with_their_lines() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(message("a,b\n1,c\n2,\"d\n3,e\n"), "line 3: a quote opens a cell and is never closed");
        assert_eq!(message("a,\""), "line 1: a quote opens a cell and is never closed");
        assert_eq!(message("a,\"b\"\"\n"), "line 1: a quote opens a cell and is never closed");
        assert_eq!(message("a,b\n\"1\"x,c\n"), "line 2: text after the quote that closes a cell");
        assert_eq!(
            message("a,b\n1,\"c\n2,\"d\"\n"),
            "line 3: text after the quote that closes a cell, which opens on line 2"
        );
    }

    proptest::proptest! {
        /// Cells that are written by another library come back as they were, but for the white space around them.
        #[test]
        fn what_a_library_writes_is_read(
            rows in proptest::collection::vec(proptest::collection::vec("[a-c,\"\n\r \u{e9}]{0,6}", 3), 1..6),
        ) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let found: Vec<Vec<String>> = read(&text).unwrap().into_iter().map(|(_, cells)| cells).collect();
            let expected: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(|cell| cell.trim().to_owned()).collect()).collect();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
