//! Columns of text that line up.

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of text in columns, two spaces between them.
#[derive(Debug, Clone)]
pub struct Grid {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Grid {
    /// An empty grid.
    pub fn new(sides: &[Side]) -> Self {
        Self { sides: sides.to_vec(), rows: Vec::new(), indent: 0 }
    }

    /// The same, with spaces before every line.
    pub fn indent(mut self, spaces: usize) -> Self {
        self.indent = spaces;
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines, without white space at their ends.
    pub fn lines(&self) -> Vec<String> {
        let mut widths = vec![0; self.sides.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(visible(cell));
            }
        }
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = " ".repeat(self.indent);
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            let gap = widths.get(index).copied().unwrap_or(0).saturating_sub(visible(cell));
            let right = self.sides.get(index) == Some(&Side::Right);
            if right {
                line.push_str(&" ".repeat(gap));
            }
            line.push_str(cell);
            if !right {
                line.push_str(&" ".repeat(gap));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// How many characters are seen: colours are not.
fn visible(text: &str) -> usize {
    let mut count = 0;
    let mut escaped = false;
    for character in text.chars() {
        match (escaped, character) {
            (false, '\x1b') => escaped = true,
            (true, 'm') => escaped = false,
            (false, _) => count += 1,
            (true, _) => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_colour() {
        let mut grid = Grid::new(&[Side::Left, Side::Right, Side::Left]).indent(1);
        grid.row(["mel", "1", "x"]);
        grid.row(["\x1b[1mspectrogram\x1b[0m", "400", ""]);
        assert_eq!(grid.lines(), [" mel            1  x", " \x1b[1mspectrogram\x1b[0m  400"]);
    }
}
