//! Comparisons with a row of the same table, pair by pair.

use std::collections::{BTreeMap, BTreeSet};

use sndpipe_artefacts::Better;
use sndpipe_artefacts::columns::Values;
use sndpipe_engine::StageError;
use sndpipe_random::Stream;

use super::cells::{Cell, Evaluation};
use super::params::Bootstrap;

/// The verdict on a difference of a metric that does not say which values are better.
pub(super) const NO_DIRECTION: &str = "differs";

/// What rounding may leave of differences, as a share of the largest.
const ROUNDING: f64 = 1e-9;

/// A row beside the baseline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Paired {
    /// Mean over pairs of the value minus that of the baseline.
    pub difference: Option<f64>,
    /// The ends of the interval.
    pub interval: Option<[f64; 2]>,
    pub pairs: usize,
    pub verdict: &'static str,
}

impl Paired {
    /// The baseline itself.
    pub const BASELINE: Self = Self { difference: None, interval: None, pairs: 0, verdict: "baseline" };
}

/// Compares the cells of a row with those of the baseline: those that agree on the axes that are averaged are a pair. Two evaluations that
/// are repeated side by side are one pair.
///
/// The interval is that of the percentile bootstrap over pairs; every row is drawn with the same numbers. Without `better` there
/// is no verdict.
///
/// # Errors
/// [`StageError::Failed`] naming a cell without a partner.
pub(crate) fn compare(
    row: &[(&Cell, Option<f64>)],
    baseline: &[(&Cell, Option<f64>)],
    over: &[String],
    bootstrap: &Bootstrap,
    better: Option<Better>,
) -> Result<Paired, StageError> {
    let differences = distinct(differences(row, (baseline, "baseline"), over)?);
    let pairs = differences.len();
    let differences: Option<Vec<f64>> = differences.into_iter().collect();
    let Some(differences) = differences else {
        return Ok(Paired { difference: None, interval: None, pairs, verdict: "undefined" });
    };
    let difference = mean(&differences);
    if pairs < 2 {
        return Ok(Paired { difference: Some(difference), interval: None, pairs, verdict: "one pair" });
    }
    let n = differences.len() as f64;
    let interval = interval(pairs, bootstrap, |drawn| drawn.map(|pair| differences[pair]).sum::<f64>() / n);
    // Differences that add up to zero leave what was rounded, and that has a sign.
    let rounding = ROUNDING * differences.iter().fold(0.0, |largest: f64, of| largest.max(of.abs()));
    let interval = interval.map(|bound| if bound.abs() > rounding { bound } else { 0.0 });
    let verdict = verdict(interval, pairs, bootstrap.level, better);
    Ok(Paired { difference: Some(difference), interval: Some(interval), pairs, verdict })
}

/// A value of a cell less that of its partner, with the evaluations that both show; none where one of both is undefined.
pub(super) type Difference = (Option<f64>, [Evaluation; 2]);

/// The differences of evaluations that were not yet compared with each other.
fn distinct(differences: Vec<Difference>) -> Vec<Option<f64>> {
    let mut seen = BTreeSet::new();
    differences.into_iter().filter_map(|(difference, of)| seen.insert(of).then_some(difference)).collect()
}

/// The differences between a row and another one, which has a name, in the order of the labels on the axes that are averaged.
///
/// # Errors
/// [`StageError::Failed`] naming a cell without a partner.
pub(super) fn differences(
    row: &[(&Cell, Option<f64>)],
    (other, name): (&[(&Cell, Option<f64>)], &str),
    over: &[String],
) -> Result<Vec<Difference>, StageError> {
    let by_labels = |cells: &[(&Cell, Option<f64>)]| -> BTreeMap<Vec<String>, (Option<f64>, Evaluation)> {
        cells.iter().map(|(cell, value)| (cell.labels(over), (*value, cell.evaluation(over)))).collect()
    };
    let (row, other) = (by_labels(row), by_labels(other));
    let alone = row.keys().find(|labels| !other.contains_key(*labels)).map(|labels| (labels, name));
    let alone = alone
        .or_else(|| other.keys().find(|labels| !row.contains_key(*labels)).map(|labels| (labels, "row")));
    if let Some((labels, lacks)) = alone {
        let cell: Vec<String> =
            over.iter().zip(labels).map(|(axis, label)| format!("{axis}={label}")).collect();
        return Err(StageError::failed(format!("the {lacks} has no cell {}", cell.join(", ")))
            .help(format!("compare rows over the same folds and seeds, or leave the {name} out")));
    }
    // Both have the same labels in the same order.
    let pairs = row.into_values().zip(other.into_values());
    Ok(pairs.map(|((a, one), (b, other))| (a.zip(b).map(|(a, b)| a - b), [one, other])).collect())
}

/// Whether so few differences have one sign by chance alone more often than the level allows: where they have, so has the interval.
pub(super) fn too_few(pairs: usize, level: f64) -> bool {
    0.5f64.powi(i32::try_from(pairs).unwrap_or(i32::MAX) - 1) > 1.0 - level
}

/// What an interval says.
fn verdict([low, high]: [f64; 2], pairs: usize, level: f64, better: Option<Better>) -> &'static str {
    if low <= 0.0 && high >= 0.0 {
        "within noise"
    } else if too_few(pairs, level) {
        "too few pairs"
    } else {
        match better {
            None => NO_DIRECTION,
            Some(better) if (low > 0.0) == (better == Better::Higher) => "better",
            Some(_) => "worse",
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The percentile bootstrap of a statistic of pairs, which is given the pairs that were drawn.
///
/// # Source
/// Efron, Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13.
pub(super) fn interval(
    pairs: usize,
    bootstrap: &Bootstrap,
    of: impl Fn(&mut dyn Iterator<Item = usize>) -> f64,
) -> [f64; 2] {
    let stream = Stream::new(bootstrap.seed, "table bootstrap");
    let mut values: Vec<f64> = (0..bootstrap.samples as u64)
        .map(|sample| {
            let mut rng = stream.at(0, sample);
            of(&mut (0..pairs).map(|_| rng.index(pairs)))
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - bootstrap.level) / 2.0;
    [tail, 1.0 - tail].map(|share| quantile(&values, share))
}

/// The quantile of sorted values, linear between two of them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The columns of comparisons, with the names of numbers and of the rest; `prefix` is the label of a column, or nothing.
pub(crate) fn columns(prefix: &str, paired: &[Paired]) -> Vec<(String, Values)> {
    let name = |what: &str| format!("{prefix}{what}");
    let end = |at: usize| paired.iter().map(|of| of.interval.map(|interval| interval[at])).collect();
    vec![
        (name("difference"), Values::Number(paired.iter().map(|of| of.difference).collect())),
        (name("low"), Values::Number(end(0))),
        (name("high"), Values::Number(end(1))),
        (name("verdict"), Values::Text(paired.iter().map(|of| of.verdict.to_owned()).collect())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(values: &[(&str, Option<f64>)]) -> Vec<(Cell, Option<f64>)> {
        let cell = |fold: &str| Cell {
            axes: vec![("fold".to_owned(), fold.to_owned())],
            metrics: vec![],
            repeats: None,
        };
        values.iter().map(|(fold, value)| (cell(fold), *value)).collect()
    }

    fn refs(cells: &[(Cell, Option<f64>)]) -> Vec<(&Cell, Option<f64>)> {
        cells.iter().map(|(cell, value)| (cell, *value)).collect()
    }

    fn paired(
        row: &[(&str, Option<f64>)],
        baseline: &[(&str, Option<f64>)],
        better: Better,
    ) -> Result<Paired, StageError> {
        let (row, baseline) = (cells(row), cells(baseline));
        compare(&refs(&row), &refs(&baseline), &["fold".to_owned()], &Bootstrap::default(), Some(better))
    }

    fn folds(values: &[f64]) -> Vec<(&'static str, Option<f64>)> {
        ["1", "2", "3", "4", "5", "6", "7", "8"].into_iter().zip(values.iter().copied().map(Some)).collect()
    }

    #[test]
    fn pairs_tell_what_means_do_not() {
        // Folds differ by far more than the rows, and the row is better in each by 0.01 to 0.03.
        let baseline = [0.5, 0.9, 0.6, 0.8, 0.4, 0.7];
        let gains = [0.01, 0.02, 0.03, 0.02, 0.01, 0.03];
        let row: Vec<f64> = baseline.iter().zip(gains).map(|(value, gain)| value + gain).collect();
        let found = paired(&folds(&row), &folds(&baseline), Better::Higher).unwrap();
        assert!((found.difference.unwrap() - 0.02).abs() < 1e-12);
        assert_eq!((found.pairs, found.verdict), (6, "better"));
        let [low, high] = found.interval.unwrap();
        // scipy.stats.bootstrap (percentile, 9,999 resamples) gives 0.0133 to 0.0267.
        assert!((low - 0.0133).abs() < 0.001 && (high - 0.0267).abs() < 0.001, "{low} {high}");
        assert_eq!(paired(&folds(&row), &folds(&baseline), Better::Lower).unwrap().verdict, "worse");
        assert_eq!(paired(&folds(&baseline), &folds(&row), Better::Higher).unwrap().verdict, "worse");
        assert_eq!(
            paired(&folds(&row), &folds(&baseline), Better::Higher).unwrap(),
            found,
            "nothing is left to chance"
        );
    }

    #[test]
    fn without_a_direction_there_is_no_verdict() {
        let (row, baseline) = (cells(&folds(&[0.7; 6])), cells(&folds(&[0.5, 0.6, 0.5, 0.6, 0.5, 0.6])));
        let over = ["fold".to_owned()];
        let found = compare(&refs(&row), &refs(&baseline), &over, &Bootstrap::default(), None).unwrap();
        assert_eq!(found.verdict, "differs");
    }

    #[test]
    fn what_was_rounded_is_no_sign() {
        // One pair in eight is drawn three times with 5 % and four times with 1 %: the bound is 5 (0.3) - 3 (0.5).
        let row = [0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, -0.5];
        let found = paired(&folds(&row), &folds(&[0.0; 8]), Better::Higher).unwrap();
        assert_eq!((found.interval.unwrap()[0], found.verdict), (0.0, "within noise"));
    }

    #[test]
    fn an_interval_with_zero_is_noise() {
        let found = paired(
            &folds(&[0.5, 0.7, 0.6, 0.4, 0.5, 0.6]),
            &folds(&[0.6, 0.6, 0.5, 0.5, 0.6, 0.5]),
            Better::Higher,
        );
        assert_eq!(found.unwrap().verdict, "within noise");
        let same = paired(&folds(&[0.1, 0.2, 0.3]), &folds(&[0.1, 0.2, 0.3]), Better::Higher).unwrap();
        assert_eq!((same.difference, same.verdict), (Some(0.0), "within noise"));
    }

    #[test]
    fn evaluations_that_are_repeated_side_by_side_are_one_pair() {
        let values = [0.6, 0.6, 0.6, 0.7, 0.7, 0.7];
        let (mut row, mut baseline) =
            (cells(&folds(&values)), cells(&folds(&values.map(|value| value - 0.1))));
        let compare = |row: &[(Cell, Option<f64>)], baseline: &[(Cell, Option<f64>)]| {
            let over = ["fold".to_owned()];
            compare(&refs(row), &refs(baseline), &over, &Bootstrap::default(), Some(Better::Higher)).unwrap()
        };
        baseline.iter_mut().enumerate().for_each(|(at, (cell, _))| cell.repeats = Some(at / 3));
        let one = compare(&row, &baseline);
        assert_eq!((one.pairs, one.verdict), (6, "better"), "the row was evaluated six times");
        row.iter_mut().enumerate().for_each(|(at, (cell, _))| cell.repeats = Some(at / 3));
        let both = compare(&row, &baseline);
        assert_eq!((both.pairs, both.verdict), (2, "too few pairs"));
        assert!((both.difference.unwrap() - 0.1).abs() < 1e-12);
    }

    #[test]
    fn few_pairs_prove_nothing() {
        let (row, baseline) = ([0.6, 0.7, 0.8, 0.9, 1.0], [0.5, 0.6, 0.7, 0.8, 0.9]);
        // Of five pairs, all have one sign in two of 32 cases by chance: more than one in 20.
        assert_eq!(paired(&folds(&row), &folds(&baseline), Better::Higher).unwrap().verdict, "too few pairs");
        let one = paired(&folds(&row[..1]), &folds(&baseline[..1]), Better::Higher).unwrap();
        assert_eq!((one.interval, one.verdict), (None, "one pair"));
    }

    #[test]
    fn a_cell_without_a_partner_is_named() {
        let (three, two) = (folds(&[0.5, 0.6, 0.7]), folds(&[0.5, 0.6]));
        let error = |row, baseline| paired(row, baseline, Better::Higher).unwrap_err().to_string();
        assert_eq!(error(&three, &two), "the baseline has no cell fold=3");
        assert_eq!(error(&two, &three), "the row has no cell fold=3");
        let gap = [("1", Some(0.5)), ("2", None)];
        assert_eq!(paired(&two, &gap, Better::Higher).unwrap().verdict, "undefined");
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(
            [0.0, 0.25, 0.5, 1.0].map(|share| quantile(&[1.0, 2.0, 4.0], share)),
            [1.0, 1.5, 2.0, 4.0]
        );
    }
}
