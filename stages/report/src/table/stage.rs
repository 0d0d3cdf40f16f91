//! The stage.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use serde_json::{Value, json};
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, Upstream};

use super::aggregate::{Summary, spread_axis, summarise};
use super::beside;
use super::cells::{Cell, averaged, labels_of, rows_of, scale_of, values_of, without_direction};
use super::paired::{self, Paired, compare};
use super::paper::{known, paper};
use super::params::{Recovered, TableParams};
use super::recovered::{self, Share, recover};

/// Gathers metrics into a table.
pub struct Table;

impl Stage for Table {
    const NAME: &'static str = "table";
    // 2: bounds that are zero but for rounding are zero.
    const VERSION: u32 = 4;
    type Params = TableParams;

    fn check(params: &TableParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(params: &TableParams) -> Vec<Port> {
        beside::ports(&params.beside)
    }

    fn outputs(_: &TableParams) -> Vec<Output> {
        vec![Output::new("table", Kind::Table)]
    }

    fn check_wiring(params: &TableParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        beside::miswired(&params.rows, &params.beside, upstream, |cells| laid_out(params, cells).map(|_| ()))
    }

    fn run(params: &TableParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let cells = beside::read(&params.rows, &params.beside, io)?;
        let (meta, table) = build(params, &cells)?;
        if params.baseline.is_some()
            && let Some(remark) = without_direction(&cells, params.metric.0.iter().map(String::as_str))?
        {
            io.remark(remark);
        }
        io.write_table("table", meta, &table)
    }
}

/// The axes that are averaged and the labels of rows, after making sure that every row that a parameter names is there.
fn laid_out(params: &TableParams, cells: &[Cell]) -> Result<(Vec<String>, Vec<Vec<String>>), StageError> {
    let placed: Vec<&String> = params.rows.0.iter().chain(&params.columns).collect();
    let over = averaged(cells, &placed, params.over.as_ref(), &["rows", "columns"])?;
    let rows = rows_of(cells, &params.rows.0);
    if let Some(name) = &params.baseline {
        known("baseline", name, &rows)?;
    }
    if let Some(Recovered { baseline, topline }) = &params.recovered {
        known("recovered.baseline", baseline, &rows)?;
        known("recovered.topline", topline, &rows)?;
    }
    params.paper.keys().try_for_each(|name| known("paper", name, &rows))?;
    Ok((over, rows))
}

/// The table with what is needed to show it.
fn build(params: &TableParams, cells: &[Cell]) -> Result<(Meta, RecordBatch), StageError> {
    let (over, rows) = laid_out(params, cells)?;
    let spread = spread_axis(cells, &over);
    let groups = params
        .columns
        .as_ref()
        .map_or_else(|| vec![None], |axis| labels_of(cells, axis).into_iter().map(Some).collect());
    let named = |name: &str| rows.iter().find(|row| row.join(", ") == name);
    let mut keys: Vec<(Vec<String>, String)> = Vec::new();
    let mut summaries: Vec<Vec<Summary>> = vec![Vec::new(); groups.len()];
    let mut comparisons: Vec<Vec<Paired>> = vec![Vec::new(); groups.len()];
    let mut shares: Vec<Vec<Share>> = vec![Vec::new(); groups.len()];
    let mut percent = true;
    for metric in &params.metric.0 {
        let values = values_of(cells, metric)?;
        let scale = scale_of(cells, metric)?;
        percent &= scale.is_fraction();
        let chosen = |row: &[String], group: Option<&str>| -> Vec<(&Cell, Option<f64>)> {
            let here = |cell: &Cell| {
                let column = params.columns.as_ref().and_then(|axis| cell.label(axis));
                cell.labels(&params.rows.0) == row && column == group
            };
            cells.iter().zip(values.iter().copied()).filter(|(cell, _)| here(cell)).collect()
        };
        let baseline = params.baseline.as_ref().and_then(|name| named(name));
        let gain = params.recovered.as_ref().and_then(|gain| named(&gain.baseline).zip(named(&gain.topline)));
        for row in &rows {
            for (at, group) in groups.iter().enumerate() {
                let here = chosen(row, group.as_deref());
                let place = || format!("row `{}`, metric `{metric}`", row.join(", "));
                summaries[at].push(summarise(&here, &over, spread));
                if let Some(baseline) = baseline {
                    let paired = if row == baseline {
                        Paired::BASELINE
                    } else {
                        let there = chosen(baseline, group.as_deref());
                        compare(&here, &there, &over, &params.bootstrap, scale.better)
                            .map_err(|error| error.at(&place()))?
                    };
                    comparisons[at].push(paired);
                }
                if let Some((baseline, topline)) = gain {
                    let [bottom, top] = [baseline, topline].map(|row| chosen(row, group.as_deref()));
                    let share = recover(&here, &bottom, &top, &over, &params.bootstrap, scale.better)
                        .map_err(|error| error.at(&place()))?;
                    let ends = row == baseline || row == topline;
                    shares[at].push(Share { interval: share.interval.filter(|_| !ends), ..share });
                }
            }
            keys.push((row.clone(), metric.clone()));
        }
    }

    let number = if percent { "percent" } else { "plain" };
    let mut display: BTreeMap<String, Value> = BTreeMap::new();
    let mut columns: Vec<(String, Values)> = Vec::new();
    for (place, axis) in params.rows.0.iter().enumerate() {
        columns.push((
            axis.clone(),
            Values::Text(keys.iter().map(|(labels, _)| labels[place].clone()).collect()),
        ));
    }
    columns
        .push(("metric".to_owned(), Values::Text(keys.iter().map(|(_, metric)| metric.clone()).collect())));
    for (at, (group, summaries)) in groups.iter().zip(&summaries).enumerate() {
        let (mean, std, n) = match group {
            Some(label) => (label.clone(), format!("{label} std"), format!("{label} n")),
            None => ("mean".to_owned(), "std".to_owned(), "n".to_owned()),
        };
        display.extend([
            (mean.clone(), json!(number)),
            (std.clone(), json!(number)),
            (n.clone(), json!("plain")),
        ]);
        columns.push((mean, Values::Number(summaries.iter().map(|summary| summary.mean).collect())));
        columns.push((std, Values::Number(summaries.iter().map(|summary| summary.std).collect())));
        columns.push((n, Values::Int(summaries.iter().map(|summary| summary.n as i64).collect())));
        let prefix = group.as_ref().map(|label| format!("{label} ")).unwrap_or_default();
        if params.baseline.is_some() {
            for (name, values) in paired::columns(&prefix, &comparisons[at]) {
                if matches!(values, Values::Number(_)) {
                    display.insert(name.clone(), json!(number));
                }
                columns.push((name, values));
            }
        }
        if params.recovered.is_some() {
            for (name, values) in recovered::columns(&prefix, &shares[at]) {
                display.insert(name.clone(), json!("percent"));
                columns.push((name, values));
            }
        }
    }
    if !params.paper.is_empty() {
        let (values, sources) = paper(params, &keys);
        display.insert("paper".to_owned(), json!(number));
        columns.push(("paper".to_owned(), Values::Number(values)));
        columns.push(("source".to_owned(), Values::MaybeText(sources)));
    }
    let meta = Meta::from([
        ("display".to_owned(), json!(display)),
        ("precision".to_owned(), json!(params.precision)),
        ("std_over".to_owned(), json!(spread)),
    ]);
    let columns = columns
        .iter_mut()
        .map(|(name, values)| (name.as_str(), std::mem::replace(values, Values::Int(Vec::new()))))
        .collect();
    Ok((meta, columns::table(columns)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Metric;

    fn cells() -> Vec<Cell> {
        let value = |fold: &str, loss: &str, accuracy: f64| Cell {
            axes: vec![("fold".to_owned(), fold.to_owned()), ("loss".to_owned(), loss.to_owned())],
            metrics: vec![Metric::of("accuracy", Some(accuracy)), Metric::of("mAP", None)],
            repeats: None,
        };
        vec![value("1", "lq", 0.5), value("1", "cce", 0.6), value("2", "lq", 0.7), value("2", "cce", 0.8)]
    }

    fn params(value: Value) -> TableParams {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rows_keep_the_order_of_the_file() {
        let paper = json!({ "cce": { "value": 0.69, "source": "table 2" }, "lq": { "value": "n/a" } });
        let params =
            params(json!({ "rows": "loss", "over": ["fold"], "metric": "accuracy", "paper": paper }));
        let (meta, table) = build(&params, &cells()).unwrap();
        assert_eq!(columns::text(&table, "loss").unwrap(), ["lq", "cce"]);
        let means: Vec<f64> = columns::number(&table, "mean").unwrap().into_iter().flatten().collect();
        assert!((means[0] - 0.6).abs() < 1e-12 && (means[1] - 0.7).abs() < 1e-12, "{means:?}");
        let stds: Vec<f64> = columns::number(&table, "std").unwrap().into_iter().flatten().collect();
        assert!((stds[0] - 0.2 / 2f64.sqrt()).abs() < 1e-12, "{stds:?}");
        assert_eq!(columns::maybe_int(&table, "n").unwrap(), [Some(2), Some(2)]);
        assert_eq!(columns::number(&table, "paper").unwrap(), [None, Some(0.69)]);
        assert_eq!(columns::maybe_text(&table, "source").unwrap(), [None, Some("table 2".to_owned())]);
        assert_eq!(meta["display"]["mean"], "percent");
        assert_eq!(meta["std_over"], "fold");
    }

    #[test]
    fn an_axis_of_columns_spreads_a_row() {
        let params = params(json!({ "rows": "fold", "columns": "loss", "metric": ["accuracy", "mAP"] }));
        let (_, table) = build(&params, &cells()).unwrap();
        assert_eq!(table.num_rows(), 4);
        assert_eq!(columns::text(&table, "metric").unwrap(), ["accuracy", "accuracy", "mAP", "mAP"]);
        assert_eq!(columns::number(&table, "cce").unwrap(), [Some(0.6), Some(0.8), None, None]);
    }

    #[test]
    fn rows_are_compared_with_the_baseline() {
        let params = params(json!({ "rows": "loss", "metric": "accuracy", "baseline": "cce" }));
        let (meta, table) = build(&params, &cells()).unwrap();
        let number = |name: &str| columns::number(&table, name).unwrap();
        assert!((number("difference")[0].unwrap() + 0.1).abs() < 1e-12);
        assert_eq!(number("difference")[1], None);
        assert!((number("low")[0].unwrap() + 0.1).abs() < 1e-12 && number("high")[0].is_some());
        assert_eq!(columns::text(&table, "verdict").unwrap(), ["too few pairs", "baseline"]);
        assert_eq!(meta["display"]["difference"], "percent");
    }

    #[test]
    fn a_row_recovers_a_share_of_a_gain() {
        let mut all = cells();
        for (fold, value) in [("1", 0.55), ("2", 0.75)] {
            let axes = vec![("fold".to_owned(), fold.to_owned()), ("loss".to_owned(), "mix".to_owned())];
            all.push(Cell { axes, metrics: vec![Metric::of("accuracy", Some(value))], repeats: None });
        }
        let gain = json!({ "baseline": "lq", "topline": "cce" });
        let params = params(json!({ "rows": "loss", "metric": "accuracy", "recovered": gain }));
        let (meta, table) = build(&params, &all).unwrap();
        let number = |name: &str| columns::number(&table, name).unwrap();
        let shares: Vec<f64> = number("recovered").into_iter().flatten().collect();
        assert!(shares.iter().zip([0.0, 1.0, 0.5]).all(|(a, b)| (a - b).abs() < 1e-9), "{shares:?}");
        // Two pairs are too few for an interval.
        assert_eq!(number("recovered low"), [None, None, None]);
        assert_eq!(meta["display"]["recovered high"], "percent");
        let gain = json!({ "baseline": "lq", "topline": "best" });
        let params = self::params(json!({ "rows": "loss", "metric": "accuracy", "recovered": gain }));
        let error = build(&params, &all).unwrap_err().to_string();
        assert_eq!(error, "`recovered.topline` names the row `best`; the rows are `lq`, `cce`, `mix`");
        let gain = json!({ "baseline": "lq", "topline": "lq" });
        let params = self::params(json!({ "metric": "accuracy", "recovered": gain }));
        let paths: Vec<String> = params.mistakes().into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["recovered", "recovered.topline"]);
    }

    #[test]
    fn comparisons_need_the_same_cells() {
        let params = params(json!({ "rows": "loss", "metric": "accuracy", "baseline": "cce" }));
        let error = build(&params, &cells()[..3]).unwrap_err().to_string();
        assert_eq!(error, "row `lq`, metric `accuracy`: the baseline has no cell fold=2");
    }

    #[test]
    fn one_evaluation_is_one_row() {
        let cell = Cell { axes: Vec::new(), metrics: vec![Metric::of("accuracy", Some(0.5))], repeats: None };
        let (_, table) = build(&params(json!({ "metric": "accuracy" })), &[cell]).unwrap();
        assert_eq!(columns::number(&table, "mean").unwrap(), [Some(0.5)]);
        assert_eq!(columns::number(&table, "std").unwrap(), [None]);
    }

    #[track_caller]
    fn refuse(value: Value, expected: &str) {
        let error = build(&params(value), &cells()).unwrap_err().to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn what_is_not_there_is_named() {
        refuse(json!({ "metric": "acuracy" }), "there is no metric `acuracy`; there are accuracy, mAP");
        refuse(
            json!({ "rows": "lose", "metric": "accuracy" }),
            "the metrics have no axis `lose`; the collected axes are: fold, loss",
        );
        let message = "the axis `loss` is collected, but is neither in `rows` nor in `columns` nor in `over`";
        refuse(json!({ "over": "fold", "metric": "accuracy" }), message);
        let paper = json!({ "rows": "loss", "metric": "accuracy", "paper": { "l1": { "value": 1 } } });
        refuse(paper, "`paper` names the row `l1`; the rows are `lq`, `cce`");
        let baseline = json!({ "rows": "loss", "metric": "accuracy", "baseline": "l1" });
        refuse(baseline, "`baseline` names the row `l1`; the rows are `lq`, `cce`");
    }

    #[test]
    fn an_axis_has_one_place() {
        let params = params(json!({ "rows": "loss", "over": ["fold", "loss"], "metric": [] }));
        let paths: Vec<String> = params.mistakes().into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["metric", "over"]);
    }
}
