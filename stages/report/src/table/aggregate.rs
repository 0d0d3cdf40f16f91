//! Means and deviations over axes.

use std::collections::BTreeSet;

use super::cells::{Cell, labels_of};

/// The axis whose labels repeat an experiment, and over which a deviation is taken first.
const SEED: &str = "seed";

/// What a table says about a group of cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The mean; none without a value.
    pub mean: Option<f64>,
    /// The sample standard deviation; none for fewer than two values.
    pub std: Option<f64>,
    /// Values in the mean.
    pub n: usize,
}

/// The axis that the deviation is taken over: `seed` if it has several labels, else the last that has several.
pub(crate) fn spread_axis<'a>(cells: &[Cell], over: &'a [String]) -> Option<&'a String> {
    let several = |axis: &&String| labels_of(cells, axis).len() > 1;
    over.iter().find(|axis| *axis == SEED).filter(several).or_else(|| over.iter().rev().find(several))
}

/// The mean over the axes, the last one innermost, and the deviation over the spread axis of what is left when all others are
/// averaged. Undefined values are left out, and an evaluation that is repeated counts once.
pub(crate) fn summarise(cells: &[(&Cell, Option<f64>)], over: &[String], spread: Option<&String>) -> Summary {
    let mut seen = BTreeSet::new();
    let defined: Vec<(&Cell, f64)> = cells
        .iter()
        .filter(|(cell, _)| seen.insert(cell.evaluation(over)))
        .filter_map(|(cell, value)| value.map(|value| (*cell, value)))
        .collect();
    let mean = nested_mean(&defined, over);
    let std = spread.and_then(|axis| {
        let others: Vec<String> = over.iter().filter(|other| *other != axis).cloned().collect();
        let values: Vec<f64> =
            grouped(&defined, axis).iter().filter_map(|group| nested_mean(group, &others)).collect();
        deviation(&values)
    });
    Summary { mean, std, n: defined.len() }
}

/// Cells with their defined values.
type Group<'a> = Vec<(&'a Cell, f64)>;

/// The cells by their label on an axis, in the order in which labels occur.
fn grouped<'a>(cells: &[(&'a Cell, f64)], axis: &str) -> Vec<Group<'a>> {
    let mut groups: Vec<(Option<&str>, Group<'a>)> = Vec::new();
    for &(cell, value) in cells {
        let label = cell.label(axis);
        match groups.iter_mut().find(|(known, _)| *known == label) {
            Some((_, group)) => group.push((cell, value)),
            None => groups.push((label, vec![(cell, value)])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn nested_mean(cells: &[(&Cell, f64)], over: &[String]) -> Option<f64> {
    let values: Vec<f64> = match over.split_first() {
        None => cells.iter().map(|(_, value)| *value).collect(),
        Some((axis, rest)) => {
            grouped(cells, axis).iter().filter_map(|group| nested_mean(group, rest)).collect()
        }
    };
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(axes: &[&str], rows: &[(&[&str], f64)]) -> Vec<(Cell, Option<f64>)> {
        let cell = |labels: &[&str]| {
            let axes = axes
                .iter()
                .zip(labels)
                .map(|(axis, label)| ((*axis).to_owned(), (*label).to_owned()))
                .collect();
            Cell { axes, metrics: Vec::new(), repeats: None }
        };
        rows.iter().map(|(labels, value)| (cell(labels), Some(*value))).collect()
    }

    #[track_caller]
    fn check(cells: &[(Cell, Option<f64>)], over: &[&str], mean: f64, std: Option<f64>) {
        let over: Vec<String> = over.iter().map(|&axis| axis.to_owned()).collect();
        let all: Vec<Cell> = cells.iter().map(|(cell, _)| cell.clone()).collect();
        let group: Vec<(&Cell, Option<f64>)> = cells.iter().map(|(cell, value)| (cell, *value)).collect();
        let got = summarise(&group, &over, spread_axis(&all, &over));
        assert!((got.mean.unwrap() - mean).abs() < 1e-12, "{got:?}");
        assert_eq!(got.std.is_some(), std.is_some(), "{got:?}");
        assert!((got.std.unwrap_or(0.0) - std.unwrap_or(0.0)).abs() < 1e-12, "{got:?}");
        assert_eq!(got.n, cells.iter().filter(|(_, value)| value.is_some()).count());
    }

    #[test]
    fn the_deviation_is_over_folds_where_there_is_one_seed() {
        let cells = cells(&["fold", "seed"], &[(&["1", "0"], 0.8), (&["2", "0"], 0.9), (&["3", "0"], 1.0)]);
        check(&cells, &["fold", "seed"], 0.9, Some(0.1));
    }

    #[test]
    fn the_deviation_is_over_seeds_where_there_are_several() {
        let rows: [(&[&str], f64); 4] =
            [(&["1", "0"], 0.7), (&["1", "1"], 0.9), (&["2", "0"], 0.5), (&["2", "1"], 0.9)];
        // Means of seeds over folds: 0.6 and 0.9; their sample deviation is 0.3 / sqrt 2.
        for over in [["fold", "seed"], ["seed", "fold"]] {
            check(&cells(&["fold", "seed"], &rows), &over, 0.75, Some(0.3 / 2f64.sqrt()));
        }
    }

    #[test]
    fn a_mean_of_folds_weighs_folds_alike() {
        let mut cells = cells(
            &["fold", "seed"],
            &[(&["1", "0"], 0.2), (&["1", "1"], 0.4), (&["2", "0"], 0.9), (&["2", "1"], 0.0)],
        );
        cells[3].1 = None;
        // Folds: 0.3 and 0.9. Seeds: (0.2 + 0.9) / 2 and 0.4.
        check(&cells, &["fold", "seed"], 0.6, Some(0.15 / 2f64.sqrt()));
    }

    #[test]
    fn what_is_repeated_counts_once() {
        let rows: [(&[&str], f64); 4] =
            [(&["1", "0"], 0.7), (&["1", "1"], 0.7), (&["2", "0"], 0.5), (&["2", "1"], 0.5)];
        let mut cells = cells(&["fold", "seed"], &rows);
        for (at, (cell, _)) in cells.iter_mut().enumerate() {
            cell.repeats = Some(at / 2);
        }
        let group: Vec<(&Cell, Option<f64>)> = cells.iter().map(|(cell, value)| (cell, *value)).collect();
        let over = ["fold", "seed"].map(str::to_owned);
        let found = summarise(&group, &over, Some(&over[1]));
        assert!((found.mean.unwrap() - 0.6).abs() < 1e-12);
        assert_eq!((found.std, found.n), (None, 2), "it has no seeds that could deviate");
    }

    #[test]
    fn one_value_has_no_deviation() {
        check(&cells(&["fold"], &[(&["1"], 0.5)]), &["fold"], 0.5, None);
        check(&cells(&[], &[(&[], 0.5)]), &[], 0.5, None);
    }
}
