//! How much of a gain a row recovers.

use std::collections::BTreeSet;

use sndpipe_artefacts::Better;
use sndpipe_artefacts::columns::Values;
use sndpipe_engine::StageError;

use super::cells::Cell;
use super::paired::{differences, interval, too_few};
use super::params::Bootstrap;

/// The share of a gain that a row has.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Share {
    /// `(row - baseline) / (topline - baseline)`, of means over pairs; none where the topline is not better than the baseline.
    pub share: Option<f64>,
    /// The ends of the interval; none for the baseline and the topline, for so few pairs that `table` compares none, and where the gain is
    /// too uncertain to divide by: some sample has none.
    pub interval: Option<[f64; 2]>,
}

/// The cells of a row.
type Cells<'a> = [(&'a Cell, Option<f64>)];

/// The share of the gain from the baseline to the topline that a row has, with the percentile bootstrap over cells that agree on the axes
/// that are averaged: the same cells are drawn for all three.
///
/// # Errors
/// [`StageError::Failed`] naming a cell without a partner.
pub(crate) fn recover(
    row: &Cells<'_>,
    baseline: &Cells<'_>,
    topline: &Cells<'_>,
    over: &[String],
    bootstrap: &Bootstrap,
    better: Option<Better>,
) -> Result<Share, StageError> {
    let gains = differences(row, (baseline, "baseline"), over)?;
    let wholes = differences(topline, (baseline, "baseline"), over)?;
    // Where smaller is better, both are turned round; where nothing is said, towards the topline. The same three evaluations count once.
    let sign = match better {
        Some(Better::Higher) => 1.0,
        Some(Better::Lower) => -1.0,
        None => wholes.iter().filter_map(|(whole, _)| *whole).sum::<f64>().signum(),
    };
    let mut seen = BTreeSet::new();
    let once = gains
        .into_iter()
        .zip(wholes)
        .filter(|((_, of), (_, [whole, _]))| seen.insert((of.clone(), whole.clone())));
    let pairs = once.map(|((gain, _), (whole, _))| Some((sign * gain?, sign * whole?)));
    let Some(pairs) = pairs.collect::<Option<Vec<(f64, f64)>>>() else { return Ok(Share::default()) };
    let ratio = |drawn: &mut dyn Iterator<Item = usize>| {
        let (gain, whole) = drawn.fold((0.0, 0.0), |(gain, whole), pair| {
            let (of_gain, of_whole): (f64, f64) = pairs[pair];
            (gain + of_gain, whole + of_whole)
        });
        if whole > 0.0 { gain / whole } else { f64::NAN }
    };
    let share = Some(ratio(&mut (0..pairs.len()))).filter(|share| share.is_finite());
    if share.is_none() || too_few(pairs.len(), bootstrap.level) {
        return Ok(Share { share, interval: None });
    }
    let certain = std::cell::Cell::new(true);
    let interval = interval(pairs.len(), bootstrap, |drawn| {
        let value = ratio(drawn);
        certain.set(certain.get() && value.is_finite());
        value
    });
    Ok(Share { share, interval: Some(interval).filter(|_| certain.get()) })
}

/// The columns of shares; `prefix` is the label of a column, or nothing.
pub(crate) fn columns(prefix: &str, shares: &[Share]) -> Vec<(String, Values)> {
    let name = |what: &str| format!("{prefix}recovered{what}");
    let end = |at: usize| Values::Number(shares.iter().map(|of| of.interval.map(|ends| ends[at])).collect());
    vec![
        (name(""), Values::Number(shares.iter().map(|of| of.share).collect())),
        (name(" low"), end(0)),
        (name(" high"), end(1)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(values: &[f64]) -> Vec<(Cell, Option<f64>)> {
        let cell = |fold: usize| Cell {
            axes: vec![("fold".to_owned(), fold.to_string())],
            metrics: vec![],
            repeats: None,
        };
        values.iter().enumerate().map(|(fold, value)| (cell(fold), Some(*value))).collect()
    }

    fn share(row: &[f64], baseline: &[f64], topline: &[f64], better: Better) -> Result<Share, StageError> {
        let all = [row, baseline, topline].map(cells);
        let [row, baseline, topline] =
            all.each_ref().map(|cells| cells.iter().map(|(cell, value)| (cell, *value)).collect::<Vec<_>>());
        recover(&row, &baseline, &topline, &["fold".to_owned()], &Bootstrap::default(), Some(better))
    }

    #[test]
    fn a_share_is_that_of_the_means() {
        let (baseline, topline) =
            ([0.40, 0.50, 0.45, 0.42, 0.40, 0.50], [0.80, 0.82, 0.81, 0.79, 0.80, 0.82]);
        let row = [0.56, 0.64, 0.59, 0.58, 0.56, 0.64];
        let found = share(&row, &baseline, &topline, Better::Higher).unwrap();
        // By hand: gains 0.16, 0.14, 0.14, 0.16, 0.16, 0.14 of 0.40, 0.32, 0.36, 0.37, 0.40, 0.32.
        assert!((found.share.unwrap() - 0.90 / 2.17).abs() < 1e-12, "{found:?}");
        let [low, high] = found.interval.unwrap();
        assert!(low < 0.90 / 2.17 && high > 0.90 / 2.17);
        // The ratio of any sample lies between the smallest and the largest of one cell.
        assert!(low >= 0.14 / 0.36 - 1e-12 && high <= 0.14 / 0.32 + 1e-12, "{low} {high}");
        let turned =
            share(&row.map(|x| -x), &baseline.map(|x| -x), &topline.map(|x| -x), Better::Lower).unwrap();
        assert_eq!(turned, found);
        assert_eq!(share(&baseline, &baseline, &topline, Better::Higher).unwrap().share, Some(0.0));
        assert_eq!(share(&topline, &baseline, &topline, Better::Higher).unwrap().share, Some(1.0));
    }

    #[test]
    fn a_gain_that_may_be_none_has_no_interval() {
        let twice = |values: [f64; 3]| [values, values].concat();
        let (row, baseline, topline) =
            (twice([0.5, 0.5, 0.6]), twice([0.4, 0.6, 0.5]), twice([0.6, 0.5, 0.7]));
        let found = share(&row, &baseline, &topline, Better::Higher).unwrap();
        assert!((found.share.unwrap() - 0.1 / 0.3).abs() < 1e-9 && found.interval.is_none(), "{found:?}");
        let certain = twice([0.7, 0.8, 0.8]);
        assert!(share(&row, &baseline, &certain, Better::Higher).unwrap().interval.is_some());
        // Five that agree on the sign do so by chance in one case of sixteen.
        let few = share(&row[..5], &baseline[..5], &certain[..5], Better::Higher).unwrap();
        assert!(few.share.is_some() && few.interval.is_none(), "{few:?}");
        let worse = share(&[0.5, 0.5], &[0.6, 0.6], &[0.4, 0.4], Better::Higher).unwrap();
        assert_eq!(worse, Share::default());
        assert_eq!(share(&[0.5], &[0.4], &[0.6], Better::Higher).unwrap().interval, None);
        let error = share(&[0.5, 0.6], &[0.4, 0.4], &[0.6], Better::Higher).unwrap_err().to_string();
        assert_eq!(error, "the row has no cell fold=1");
    }
}
