//! A CSV file with a header, read whole, with errors that name lines and columns.

use std::ops::Index;
use std::path::{Path, PathBuf};

use sndpipe_cache::Texts;
use sndpipe_engine::{StageError, did_you_mean};

use super::cells::{Rows, trimmed};

/// How many mistakes of one sort a message lists.
pub(crate) const SHOWN: usize = 5;

/// A table of text cells.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// Where it was read.
    pub path: PathBuf,
    delimiter: char,
    /// Names of the columns.
    pub header: Vec<String>,
    /// The line of each row in the file, counted from 1.
    lines: Vec<u64>,
    /// The cells, row after row.
    cells: Texts,
}

/// A row of a [`Sheet`].
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Its number in the file, counted from 1.
    pub number: u64,
    cells: &'a Texts,
    first: usize,
}

impl<'a> Line<'a> {
    /// The text of a cell.
    pub fn cell(self, column: usize) -> &'a str {
        &self.cells[self.first + column]
    }
}

impl Index<usize> for Line<'_> {
    type Output = str;

    fn index(&self, column: usize) -> &str {
        self.cell(column)
    }
}

impl Sheet {
    /// Reads a file.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it cannot be read, is no UTF-8, is empty, has rows of different lengths, or a quote that is not closed or
    /// has text behind it.
    pub fn open(path: &Path, delimiter: char) -> Result<Self, StageError> {
        if path.is_dir() {
            let message = format!("`{}` is a folder, not a CSV file", path.display());
            return Err(StageError::failed(message).help("name the file, or use `dataset.folder`"));
        }
        let bytes = fs_err::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StageError::failed(format!(
                "the CSV file `{}` does not exist",
                path.display()
            ))
            .help(format!("relative paths are taken from the current directory{}", current_directory())),
            _ => StageError::failed(error.to_string()),
        })?;
        Self::parse(path, &bytes, delimiter)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Sheet::open`].
    pub fn parse(path: &Path, bytes: &[u8], delimiter: char) -> Result<Self, StageError> {
        let shown = path.display();
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            return Err(StageError::failed(format!("`{shown}` is UTF-16")).help("save it as UTF-8"));
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            StageError::failed(format!("`{shown}`, line {line}: not UTF-8")).help("save it as UTF-8")
        })?;
        let mut rows = Rows::new(text, u8::try_from(delimiter).unwrap_or(b','));
        let mut next = |cells: &mut Vec<String>| {
            let help = "close the quote, or double it (`\"\"`) where it is a part of the text";
            let failed = |error| StageError::failed(format!("`{shown}`, {error}")).help(help);
            rows.next(cells).map_err(failed)
        };
        let mut cells = Vec::new();
        if next(&mut cells)?.is_none() {
            return Err(StageError::failed(format!("`{shown}` is empty")));
        }
        let header = cells.clone();
        let (lines, texts) = (Vec::new(), Texts::default());
        let mut sheet = Self { path: path.to_owned(), delimiter, header, lines, cells: texts };
        let mut ragged = Vec::new();
        while let Some(line) = next(&mut cells)? {
            if cells.len() == sheet.header.len() {
                sheet.lines.push(line);
                cells.iter().for_each(|cell| sheet.cells.push(cell));
            } else {
                ragged.push((line, cells.len()));
            }
        }
        sheet.check(delimiter, &ragged)?;
        Ok(sheet)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The rows.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let width = self.header.len();
        let line = move |(row, &number)| Line { number, cells: &self.cells, first: row * width };
        self.lines.iter().enumerate().map(line)
    }

    /// `ragged`: lines with another number of cells than the header, and how many they have.
    fn check(&self, delimiter: char, ragged: &[(u64, usize)]) -> Result<(), StageError> {
        let shown = self.path.display();
        if let [only] = &self.header[..] {
            let other = [',', ';', '\t', '|'].into_iter().find(|&c| c != delimiter && only.contains(c));
            if let Some(other) = other {
                let message = format!(
                    "`{shown}` has one column, `{only}`: its cells seem to be separated by {other:?}"
                );
                return Err(StageError::failed(message)
                    .help(format!("set `delimiter: {other:?}`").replace('\'', "\"")));
            }
        }
        if self.lines.is_empty() && ragged.is_empty() {
            return Err(StageError::failed(format!("`{shown}` has a header but no rows")));
        }
        let width = self.header.len();
        let ragged =
            ragged.iter().map(|(line, cells)| format!("line {line}: {cells} cells instead of {width}"));
        refuse(ragged, || format!("`{shown}` has rows that do not fit its header"))
            .map_err(|error| error.help("quote cells that contain the separator or a quotation mark"))
    }

    /// Whether a cell with several lines holds what looks like rows of the file, because its quote is closed too late: one of its lines has
    /// as many cells as the header, and `is_row` says so of the one in a column.
    pub fn swallows(&self, cell: &str, column: usize, is_row: impl Fn(&str) -> bool) -> bool {
        cell.lines().skip(1).any(|line| {
            let cells: Vec<&str> = line.split(self.delimiter).collect();
            cells.len() == self.header.len() && is_row(trimmed(cells[column]).trim_matches('"'))
        })
    }

    /// Refuses cells of several lines, in a file where none has any.
    ///
    /// # Errors
    /// [`StageError::Failed`] with the lines of their rows.
    pub fn single_lines(self) -> Result<Self, StageError> {
        let broken = |line: Line<'_>| {
            let at = (0..self.header.len()).find(|&at| line[at].contains(['\n', '\r']))?;
            Some(late_quote(line.number, &self.header[at]))
        };
        refuse(self.lines().filter_map(broken), || format!("`{}` cannot be used", self.path.display()))?;
        Ok(self)
    }

    /// The position of a column.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it is missing or there twice.
    pub fn column(&self, name: &str, parameter: &str) -> Result<usize, StageError> {
        let mut found = self.header.iter().enumerate().filter(|(_, column)| *column == name);
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(index),
            (Some(_), Some(_)) => {
                Err(StageError::failed(format!("`{}` has two columns `{name}`", self.path.display())))
            }
            (None, _) => {
                let near = did_you_mean(name, self.header.iter().map(String::as_str));
                let message = format!(
                    "`{}` has no column `{name}`{near}; its columns are {}",
                    self.path.display(),
                    self.header.join(", ")
                );
                Err(StageError::failed(message).help(format!("name the column with `{parameter}:`")))
            }
        }
    }

    /// The positions of the columns that a published file has.
    ///
    /// # Errors
    /// [`StageError::Failed`] if one is missing or there twice.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], StageError> {
        let mut at = [0; N];
        for (at, name) in at.iter_mut().zip(names) {
            let help = "this is not the published file; `dataset.csv` reads any other one";
            *at = self.column(name, name).map_err(|error| error.help(help))?;
        }
        Ok(at)
    }
}

/// The mistake of a cell that goes on after its line.
pub(super) fn late_quote(line: u64, column: &str) -> String {
    format!("line {line}: the cell `{column}` goes on in the next line: its quote is closed too late")
}

/// Makes one error of a list of mistakes, if there are any: the first few and how many more.
///
/// # Errors
/// [`StageError::Failed`] if the list is not empty.
pub(crate) fn refuse(
    mistakes: impl IntoIterator<Item = String>,
    title: impl FnOnce() -> String,
) -> Result<(), StageError> {
    let mut mistakes = mistakes.into_iter();
    let mut lines: Vec<String> = mistakes.by_ref().take(SHOWN).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let more = mistakes.count();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    Err(StageError::failed(format!("{}:\n  {}", title(), lines.join("\n  "))))
}

/// ` (…)` with the current directory, for messages.
pub(crate) fn current_directory() -> String {
    std::env::current_dir().map_or_else(|_| String::new(), |path| format!(" (`{}`)", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(bytes: &[u8], expected: &str) {
        match Sheet::parse(Path::new("x.csv"), bytes, ',') {
            Err(StageError::Failed { message, help }) => {
                let all = format!("{message} / {}", help.unwrap_or_default());
                assert!(all.contains(expected), "{all}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line() {
        refused(b"", "`x.csv` is empty");
        refused(b"path,fold\n", "has a header but no rows");
        refused(
            b"path,fold\na,1\nb\nc,1,2\n",
            "line 3: 1 cells instead of 2\n  line 4: 3 cells instead of 2",
        );
        refused(b"path;fold\na;1\n", "set `delimiter: \";\"`");
        refused(b"path,fold\na,1\n\xE9,2\n", "line 3: not UTF-8");
        refused(b"\xFF\xFEp\0", "UTF-16");
        refused(
            b"path,class\n0,a\n1,\"cat\n2,b\n",
            "`x.csv`, line 3: a quote opens a cell and is never closed",
        );
        refused(
            b"path,class\n0,\"a\"b\n",
            "`x.csv`, line 2: text after the quote that closes a cell / close the",
        );
    }

    #[test]
    fn a_byte_order_mark_and_quotes_are_no_obstacle() {
        let sheet =
            Sheet::parse(Path::new("x.csv"), b"\xEF\xBB\xBFpath, fold\n\"a,b\nc\",1\nd,2\n", ',').unwrap();
        assert_eq!(sheet.header, ["path", "fold"]);
        let lines: Vec<_> =
            sheet.lines().map(|line| (line.number, &line.cells[line.first], line[1].to_owned())).collect();
        assert_eq!(lines, [(2, "a,b\nc", "1".to_owned()), (4, "d", "2".to_owned())]);
    }

    #[test]
    fn a_column_that_is_missing_is_guessed() {
        let sheet = Sheet::parse(Path::new("x.csv"), b"path,category\na,b\n", ',').unwrap();
        let error = sheet.column("categry", "class").unwrap_err().to_string();
        assert!(error.contains("category") && error.contains("its columns are path, category"), "{error}");
    }
}
