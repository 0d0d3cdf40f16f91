//! `evaluate.history`: how fast a training learnt, as metrics.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::OneOrMany;
use sndpipe_artefacts::Subset;
use sndpipe_artefacts::columns;
use sndpipe_artefacts::{Better, Scale, scales};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo};
use sndpipe_metrics::metric::Measured;
use sndpipe_metrics::table::{Row, long_table};

/// Makes metrics of the history of a training, so that `table` and `plot` can average them over folds and seeds.
///
/// `metrics` has for each epoch, counted from 1, the value after it: `accuracy_after_1`, `accuracy_after_2` and so on, for
/// `plot` with `metric: accuracy_after_*`; and for each value of `reach` the epochs that it took: `epochs_to_accuracy_0.8`, the first
/// epoch with at least that value (at most, for `loss`). What was not reached is undefined, with `n` 0: look at the `n` of a table.
///
/// The test subset is in a history where `train` was asked for it (`test_curve`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// The metric, or metrics: `accuracy`, `balanced_accuracy`, `mAP` or `loss` of `val` and `test`; `loss`, `patch_accuracy` or `rate` of
    /// `train`; `knn_accuracy` or `knn_balanced_accuracy` of a `pretrain` that looks at neighbours (`knn`).
    pub metric: OneOrMany,
    /// The subset that was measured.
    #[serde(default = "val")]
    pub subset: Subset,
    /// Values whose first epoch is looked for.
    #[serde(default)]
    pub reach: Vec<f64>,
}

const fn val() -> Subset {
    Subset::Val
}

/// `evaluate.history`.
pub struct EvaluateHistory;

impl Stage for EvaluateHistory {
    const NAME: &'static str = "evaluate.history";
    const VERSION: u32 = 2;
    type Params = HistoryParams;

    fn check(params: &HistoryParams) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if params.metric.0.is_empty() {
            let error = ParamError::new("metric", "an empty list gives no metrics");
            mistakes.push(error.help("name a metric, such as `accuracy`"));
        }
        for (at, value) in params.reach.iter().enumerate() {
            let path = format!("reach[{at}]");
            if !value.is_finite() {
                mistakes.push(ParamError::new(path, format!("{value} is no number to reach")));
            } else if params.reach[..at].contains(value) {
                mistakes.push(ParamError::new(path, format!("{value} is there already")));
            }
        }
        mistakes
    }

    fn inputs(_: &HistoryParams) -> Vec<Port> {
        vec![
            Port::new("history", Kind::History)
                .reading(&["epoch", "subset", "metric", "value", "better?", "unit?"]),
        ]
    }

    fn outputs(_: &HistoryParams) -> Vec<Output> {
        vec![Output::new("metrics", Kind::Metrics)]
    }

    fn run(params: &HistoryParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let table = io.table("history")?;
        let epochs = columns::maybe_int(&table, "epoch")?;
        let (subsets, metrics) = (columns::text(&table, "subset")?, columns::text(&table, "metric")?);
        let values = columns::number(&table, "value")?;
        let scales = scales(&table)?;
        let all: Vec<Entry<'_>> = epochs
            .into_iter()
            .zip(subsets.iter().zip(&metrics))
            .zip(values)
            .zip(&scales)
            .filter_map(|(((epoch, (subset, metric)), value), scale)| {
                Some(Entry { epoch: epoch?, subset, metric, value, scale })
            })
            .collect();
        let mut rows = Vec::new();
        for metric in &params.metric.0 {
            rows.extend(of_metric(params, metric, &all)?);
        }
        io.write_table("metrics", Meta::new(), &long_table(&[], &rows)?)
    }
}

/// A row of a history.
struct Entry<'a> {
    epoch: i64,
    subset: &'a str,
    metric: &'a str,
    value: Option<f64>,
    scale: &'a Scale,
}

fn of_metric(
    params: &HistoryParams,
    metric: &str,
    all: &[Entry<'_>],
) -> Result<Vec<Row<String>>, StageError> {
    let subset = params.subset.name();
    let of_subset = || all.iter().filter(|entry| entry.subset == subset);
    let curve: Vec<&Entry<'_>> = of_subset().filter(|entry| entry.metric == metric).collect();
    if curve.is_empty() {
        let there: BTreeSet<&str> = of_subset().map(|entry| entry.metric).collect();
        if there.is_empty() {
            let help = match params.subset {
                Subset::Train => "train for at least one epoch",
                Subset::Val => {
                    "give the split a `val` for `train`, set `knn` at `pretrain`, or look at another `subset`"
                }
                Subset::Test => "set `test_curve: true` at `train`, or `knn: { subset: test }` at `pretrain`",
            };
            return Err(
                StageError::failed(format!("the history has nothing of the subset {subset}")).help(help)
            );
        }
        let there: Vec<&str> = there.into_iter().collect();
        let message = format!("the history has no `{metric}` of {subset}; it has {}", there.join(", "));
        return Err(StageError::failed(message));
    }
    let one = |value: Option<f64>| Measured { value, n: usize::from(value.is_some()) };
    let after = |entry: &&Entry<'_>| {
        (format!("{metric}_after_{}", entry.epoch), None, one(entry.value), entry.scale.clone())
    };
    let mut rows: Vec<Row<String>> = curve.iter().map(after).collect();
    for &goal in &params.reach {
        let reached: Box<dyn Fn(f64) -> bool> = match curve[0].scale.better {
            Some(Better::Higher) => Box::new(|value| value >= goal),
            Some(Better::Lower) => Box::new(|value| value <= goal),
            None => {
                let message = format!(
                    "of `{metric}` is not known whether more or less is better, so {goal} is not reached by either"
                );
                let help =
                    "write a column `better` (`higher` or `lower`) into the history, or leave out `reach`";
                return Err(StageError::failed(message).help(help));
            }
        };
        let first =
            curve.iter().filter(|entry| entry.value.is_some_and(&reached)).map(|entry| entry.epoch).min();
        let epochs = one(first.map(|epoch| epoch as f64));
        rows.push((format!("epochs_to_{metric}_{goal}"), None, epochs, Scale::EPOCHS));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries() -> Vec<Entry<'static>> {
        let entry = |epoch, subset, metric, value| Entry {
            epoch,
            subset,
            metric,
            value: Some(value),
            scale: if metric == "loss" { &Scale::FALLING } else { &Scale::FRACTION },
        };
        let mut all = vec![entry(1, "train", "loss", 3.0)];
        for (epoch, accuracy, loss) in [(1, 0.4, 2.0), (2, 0.8, 1.0), (3, 0.7, 1.5)] {
            all.push(entry(epoch, "val", "accuracy", accuracy));
            all.push(entry(epoch, "val", "loss", loss));
        }
        all
    }

    fn rows(value: serde_json::Value) -> Result<Vec<(String, Option<f64>)>, String> {
        let params: HistoryParams = serde_json::from_value(value).unwrap();
        assert_eq!(EvaluateHistory::check(&params), []);
        let rows = of_metric(&params, &params.metric.0[0], &entries()).map_err(|error| error.to_string())?;
        Ok(rows.into_iter().map(|(name, _, measured, _)| (name, measured.value)).collect())
    }

    #[test]
    fn the_first_epoch_counts() {
        let found = rows(json!({ "metric": "accuracy", "reach": [0.5, 0.8, 0.9] })).unwrap();
        let expected = [
            ("accuracy_after_1", Some(0.4)),
            ("accuracy_after_2", Some(0.8)),
            ("accuracy_after_3", Some(0.7)),
            ("epochs_to_accuracy_0.5", Some(2.0)),
            ("epochs_to_accuracy_0.8", Some(2.0)),
            ("epochs_to_accuracy_0.9", None),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
        let found = rows(json!({ "metric": "loss", "reach": [1.2] })).unwrap();
        assert_eq!(found[3], ("epochs_to_loss_1.2".to_owned(), Some(2.0)));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = rows(json!({ "metric": "mAP" })).unwrap_err();
        assert_eq!(error, "the history has no `mAP` of val; it has accuracy, loss");
        let error = rows(json!({ "metric": "accuracy", "subset": "test" })).unwrap_err();
        assert_eq!(error, "the history has nothing of the subset test");
        let wrong: HistoryParams =
            serde_json::from_value(json!({ "metric": [], "reach": [0.5, 0.5] })).unwrap();
        let paths: Vec<String> = EvaluateHistory::check(&wrong).into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["metric", "reach[1]"]);
    }
}
