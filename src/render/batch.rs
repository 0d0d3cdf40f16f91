//! A table in every form that `sndpipe table` prints.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use serde_json::{Map, Value};
use sndpipe_cache::{Cell, Meta, cell, is_numeric};

use super::grid::{Grid, Side};
use crate::failure::Failure;
use crate::paint::Paint;
use crate::plain;

/// The values of a column as people read them.
struct Column {
    title: String,
    numeric: bool,
    cells: Vec<String>,
}

/// How the metadata of a table asks to show its columns: `display: {"accuracy": "percent"}`, `precision: 1`.
struct Display<'a> {
    columns: BTreeMap<&'a str, &'a str>,
    precision: Option<usize>,
}

impl<'a> Display<'a> {
    fn of(meta: &'a Meta) -> Self {
        let map = meta.get("display").and_then(Value::as_object).into_iter().flatten();
        let columns = map.filter_map(|(column, how)| Some((column.as_str(), how.as_str()?))).collect();
        let precision =
            meta.get("precision").and_then(Value::as_u64).and_then(|digits| usize::try_from(digits).ok());
        Self { columns, precision }
    }

    fn is_percent(&self, column: &str) -> bool {
        self.columns.get(column) == Some(&"percent")
    }

    /// Whether `second` is the deviation of `first`, so that both are shown as `90.5 ± 1.2`.
    fn pairs(&self, first: &str, second: &str) -> bool {
        let deviation = (first == "mean" && second == "std") || second.strip_suffix(" std") == Some(first);
        deviation && self.columns.contains_key(first) && self.columns.contains_key(second)
    }
}

fn columns(table: &RecordBatch, meta: &Meta, rows: usize) -> Vec<Column> {
    let display = Display::of(meta);
    let schema = table.schema();
    let mut columns: Vec<Column> = Vec::with_capacity(table.num_columns());
    let mut before = "";
    for (field, array) in schema.fields().iter().zip(table.columns()) {
        let name = field.name().as_str();
        let mut cells: Vec<Cell> = (0..table.num_rows().min(rows)).map(|row| cell(array, row)).collect();
        let percent = display.is_percent(name);
        if percent {
            for cell in &mut cells {
                if let Cell::Float(number) = cell {
                    *number *= 100.0;
                }
            }
        }
        let given = display.precision.filter(|_| display.columns.contains_key(name)).or(percent.then_some(1));
        let of_largest = decimals(&cells);
        let round = |cell: &Cell| match given {
            Some(digits) => cell.fixed(digits),
            None => cell.rounded(of_largest),
        };
        let numeric = is_numeric(field.data_type()) || looks_numeric(&cells);
        let rounded = cells.iter().map(round);
        match columns.last_mut().filter(|_| display.pairs(before, name)) {
            Some(mean) => {
                for ((text, deviation), cell) in mean.cells.iter_mut().zip(rounded).zip(&cells) {
                    if *cell != Cell::Null {
                        text.push_str(&format!(" ± {deviation}"));
                    }
                }
                mean.title = mean.title.replacen(before, &format!("{before} ± std"), 1);
            }
            None => {
                let title = if percent { format!("{name} (%)") } else { name.to_owned() };
                columns.push(Column { title, numeric, cells: rounded.collect() });
            }
        }
        before = name;
    }
    columns
}

/// Digits behind the point so that the largest number of a column has four that count; none for whole numbers.
fn decimals(cells: &[Cell]) -> usize {
    fn numbers<'a>(cell: &'a Cell, into: &mut Vec<&'a f64>) {
        match cell {
            Cell::Float(number) if number.is_finite() => into.push(number),
            Cell::List(list) => list.iter().for_each(|cell| numbers(cell, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    cells.iter().for_each(|cell| numbers(cell, &mut found));
    if found.iter().all(|number| number.fract() == 0.0) {
        return 0;
    }
    let largest = found.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    match largest {
        1000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        1.0.. => 3,
        0.1.. => 4,
        0.01.. => 5,
        _ => 6,
    }
}

/// Text columns such as `90.5 ± 1.2 (n=5)` line up at the right too.
fn looks_numeric(cells: &[Cell]) -> bool {
    let mut some = false;
    cells.iter().all(|cell| match cell {
        Cell::Text(text) if text.is_empty() || text == "-" => true,
        Cell::Text(text) => {
            some = true;
            text.starts_with(|first: char| first.is_ascii_digit() || first == '-' || first == '+')
                && text.contains('.')
        }
        Cell::Null => true,
        _ => false,
    }) && some
}

/// Aligned columns, numbers rounded; at most `rows` rows.
pub fn text(table: &RecordBatch, meta: &Meta, rows: usize, paint: Paint) -> Vec<String> {
    let columns = columns(table, meta, rows);
    let sides: Vec<Side> =
        columns.iter().map(|column| if column.numeric { Side::Right } else { Side::Left }).collect();
    let mut grid = Grid::new(&sides);
    grid.row(columns.iter().map(|column| paint.bold(plain::name(&column.title))));
    for row in 0..table.num_rows().min(rows) {
        grid.row(columns.iter().map(|column| plain::name(&column.cells[row])));
    }
    grid.lines()
}

/// A Markdown table, numbers rounded.
pub fn markdown(table: &RecordBatch, meta: &Meta) -> Vec<String> {
    let columns = columns(table, meta, usize::MAX);
    let escape = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![
        line(columns.iter().map(|column| escape(&column.title)).collect()),
        line(columns.iter().map(|column| if column.numeric { "---:" } else { "---" }.to_owned()).collect()),
    ];
    lines.extend(
        (0..table.num_rows())
            .map(|row| line(columns.iter().map(|column| escape(&column.cells[row])).collect())),
    );
    lines
}

/// A LaTeX `tabular`, numbers rounded.
pub fn latex(table: &RecordBatch, meta: &Meta) -> Vec<String> {
    let columns = columns(table, meta, usize::MAX);
    let form: String = columns.iter().map(|column| if column.numeric { 'r' } else { 'l' }).collect();
    let line = |cells: Vec<String>| format!("  {} \\\\", cells.join(" & "));
    let mut lines = vec![
        format!("\\begin{{tabular}}{{{form}}}"),
        "  \\hline".to_owned(),
        line(columns.iter().map(|column| tex(&column.title)).collect()),
        "  \\hline".to_owned(),
    ];
    lines.extend(
        (0..table.num_rows()).map(|row| line(columns.iter().map(|column| tex(&column.cells[row])).collect())),
    );
    lines.extend(["  \\hline".to_owned(), "\\end{tabular}".to_owned()]);
    lines
}

fn tex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', character]),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '±' => out.push_str("$\\pm$"),
            '×' => out.push_str("$\\times$"),
            '\n' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// Comma-separated values with every digit.
pub fn csv(table: &RecordBatch) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| Failure::failed(format!("cannot write the table as CSV: {error}"));
    writer.write_record(table.schema().fields().iter().map(|field| field.name())).map_err(failed)?;
    for row in 0..table.num_rows() {
        writer.write_record(table.columns().iter().map(|array| cell(array, row).exact())).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One JSON object for each row, with every digit.
pub fn json_lines(table: &RecordBatch) -> Vec<Map<String, Value>> {
    let schema = table.schema();
    (0..table.num_rows())
        .map(|row| {
            let cells = schema.fields().iter().zip(table.columns());
            cells.map(|(field, array)| (field.name().clone(), cell(array, row).json())).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, StringArray};
    use serde_json::json;

    use super::*;

    fn table() -> RecordBatch {
        RecordBatch::try_from_iter([
            ("loss_name", Arc::new(StringArray::from(vec!["cce", "l|q & co"])) as ArrayRef),
            ("accuracy", Arc::new(Float64Array::from(vec![Some(0.905), None])) as ArrayRef),
            ("ours", Arc::new(StringArray::from(vec!["90.5 ± 1.2", "8.1 ± 0.3"])) as ArrayRef),
            ("rate", Arc::new(Float32Array::from(vec![0.1, 12.25])) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![5, 10])) as ArrayRef),
        ])
        .unwrap()
    }

    fn percent() -> Meta {
        Meta::from([("display".to_owned(), json!({ "accuracy": "percent" }))])
    }

    /// Paint that is off wherever the tests run.
    fn plain(lines: Vec<String>) -> String {
        lines.join("\n")
    }

    #[test]
    fn text_aligns_numbers_at_the_right() {
        insta::assert_snapshot!(plain(text(&table(), &percent(), usize::MAX, Paint::off())), @r"
        loss_name  accuracy (%)        ours   rate   n
        cce                90.5  90.5 ± 1.2   0.10   5
        l|q & co              -   8.1 ± 0.3  12.25  10
        ");
    }

    #[test]
    fn markdown_escapes_its_bars() {
        insta::assert_snapshot!(plain(markdown(&table(), &percent())), @r"
        | loss_name | accuracy (%) | ours | rate | n |
        | --- | ---: | ---: | ---: | ---: |
        | cce | 90.5 | 90.5 ± 1.2 | 0.10 | 5 |
        | l\|q & co | - | 8.1 ± 0.3 | 12.25 | 10 |
        ");
    }

    #[test]
    fn latex_escapes_what_tex_reads() {
        insta::assert_snapshot!(plain(latex(&table(), &percent())), @r"
        \begin{tabular}{lrrrr}
          \hline
          loss\_name & accuracy (\%) & ours & rate & n \\
          \hline
          cce & 90.5 & 90.5 $\pm$ 1.2 & 0.10 & 5 \\
          l|q \& co & - & 8.1 $\pm$ 0.3 & 12.25 & 10 \\
          \hline
        \end{tabular}
        ");
    }

    #[test]
    fn csv_and_json_keep_every_digit() {
        let table = table();
        insta::assert_snapshot!(csv(&table).unwrap(), @r"
        loss_name,accuracy,ours,rate,n
        cce,0.905,90.5 ± 1.2,0.1,5
        l|q & co,,8.1 ± 0.3,12.25,10
        ");
        let rows = json_lines(&table);
        assert_eq!(
            Value::Object(rows[1].clone()),
            json!({"loss_name": "l|q & co", "accuracy": null, "ours": "8.1 ± 0.3", "rate": 12.25, "n": 10})
        );
    }

    #[test]
    fn a_deviation_stands_behind_its_mean() {
        let table = RecordBatch::try_from_iter([
            ("mean", Arc::new(Float64Array::from(vec![0.905, 0.8])) as ArrayRef),
            ("std", Arc::new(Float64Array::from(vec![Some(0.012_34), None])) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![5, 1])) as ArrayRef),
        ]);
        let meta = Meta::from([
            ("display".to_owned(), json!({ "mean": "percent", "std": "percent", "n": "plain" })),
            ("precision".to_owned(), json!(2)),
        ]);
        insta::assert_snapshot!(plain(text(&table.unwrap(), &meta, usize::MAX, Paint::off())), @r"
        mean ± std (%)  n
          90.50 ± 1.23  5
                 80.00  1
        ");
    }

    #[test]
    fn four_digits_count() {
        for (values, expected) in [
            (vec![0.5, 0.25], 4),
            (vec![0.01234], 5),
            (vec![12.5], 2),
            (vec![3.0, 400.0], 0),
            (vec![12345.5], 0),
        ] {
            let cells: Vec<Cell> = values.iter().copied().map(Cell::Float).collect();
            assert_eq!(decimals(&cells), expected, "{values:?}");
        }
        assert_eq!(Cell::Float(0.000_001).rounded(4), "1.00e-6");
    }
}
