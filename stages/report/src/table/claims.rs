//! `claims`: what a paper says is better, held against our numbers.

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_artefacts::OneOrMany;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, Upstream};

use super::beside;
use super::cells::{Cell, averaged, rows_of, scale_of, values_of, without_direction};
use super::paired::compare;
use super::paper::known;
use super::params::Bootstrap;

/// Holds published directions ("A is better than B") against the metrics that were measured, for papers whose numbers are figures only.
///
/// A claim compares two rows pair by pair over the `over` axes, as `table` does with its baseline. `claims` has, for each of them, `better`, `than`,
/// `metric`, `pairs`, `difference` (the mean over pairs), `low` and `high` (its bootstrap interval), `verdict` and `source`. The verdict is
/// `holds` where the interval lies on the side that the claim says, `fails` where it lies on the other, `within noise` where it contains
/// zero, and `too few pairs` where so few differences have one sign by chance more often than `bootstrap.level` allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimsParams {
    /// The axis, or axes, whose labels are rows.
    pub rows: OneOrMany,
    /// The axes that are averaged. Absent: all others.
    #[serde(default)]
    pub over: Option<OneOrMany>,
    /// The metric of claims that name none.
    pub metric: String,
    /// Inputs whose metrics are rows, too, as in `table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// What is said to be better than what.
    pub claims: Vec<Claim>,
    /// How the interval of a comparison is found.
    #[serde(default, skip_serializing_if = "Bootstrap::is_default")]
    pub bootstrap: Bootstrap,
}

/// A published direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The row that is said to be better: its label, or labels joined by `, `.
    pub better: String,
    /// The row that it is said to be better than.
    pub than: String,
    /// By which metric. Absent: that of the stage.
    #[serde(default)]
    pub metric: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub source: String,
}

impl ClaimsParams {
    fn metric_of<'a>(&'a self, claim: &'a Claim) -> &'a str {
        claim.metric.as_deref().unwrap_or(&self.metric)
    }
}

/// `claims`.
pub struct Claims;

impl Stage for Claims {
    const NAME: &'static str = "claims";
    // 2: bounds that are zero but for rounding are zero.
    const VERSION: u32 = 3;
    type Params = ClaimsParams;

    fn check(params: &ClaimsParams) -> Vec<ParamError> {
        let mut mistakes = params.bootstrap.mistakes();
        mistakes.extend(beside::mistakes(&params.beside, &params.rows));
        if params.rows.0.is_empty() {
            mistakes.push(ParamError::new("rows", "without rows there is nothing to compare"));
        }
        if params.claims.is_empty() {
            mistakes.push(ParamError::new("claims", "an empty list says nothing"));
        }
        for (at, claim) in params.claims.iter().enumerate().filter(|(_, claim)| claim.better == claim.than) {
            let message = format!("`{}` is not better than itself", claim.than);
            mistakes.push(ParamError::new(format!("claims[{at}].than"), message));
        }
        mistakes
    }

    fn inputs(params: &ClaimsParams) -> Vec<Port> {
        beside::ports(&params.beside)
    }

    fn outputs(_: &ClaimsParams) -> Vec<Output> {
        vec![Output::new("claims", Kind::Table)]
    }

    fn check_wiring(params: &ClaimsParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        beside::miswired(&params.rows, &params.beside, upstream, |cells| laid_out(params, cells).map(|_| ()))
    }

    fn run(params: &ClaimsParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let cells = beside::read(&params.rows, &params.beside, io)?;
        let (meta, table) = judge(params, &cells)?;
        let metrics = params.claims.iter().map(|claim| params.metric_of(claim));
        if let Some(remark) = without_direction(&cells, metrics)? {
            io.remark(remark);
        }
        io.write_table("claims", meta, &table)
    }
}

/// The axes that are averaged, after making sure that every row that a claim names is there.
fn laid_out(params: &ClaimsParams, cells: &[Cell]) -> Result<Vec<String>, StageError> {
    let placed: Vec<&String> = params.rows.0.iter().collect();
    let over = averaged(cells, &placed, params.over.as_ref(), &["rows"])?;
    let rows = rows_of(cells, &params.rows.0);
    for (at, claim) in params.claims.iter().enumerate() {
        known(&format!("claims[{at}].better"), &claim.better, &rows)?;
        known(&format!("claims[{at}].than"), &claim.than, &rows)?;
    }
    Ok(over)
}

/// The claims with what the cells say of them.
fn judge(params: &ClaimsParams, cells: &[Cell]) -> Result<(Meta, RecordBatch), StageError> {
    let over = laid_out(params, cells)?;
    let mut percent = true;
    let mut found = Vec::with_capacity(params.claims.len());
    for (at, claim) in params.claims.iter().enumerate() {
        let metric = params.metric_of(claim);
        let values = values_of(cells, metric)?;
        let scale = scale_of(cells, metric)?;
        percent &= scale.is_fraction();
        let chosen = |name: &str| -> Vec<(&Cell, Option<f64>)> {
            let here = |cell: &Cell| cell.labels(&params.rows.0).join(", ") == name;
            cells.iter().zip(values.iter().copied()).filter(|(cell, _)| here(cell)).collect()
        };
        let paired =
            compare(&chosen(&claim.better), &chosen(&claim.than), &over, &params.bootstrap, scale.better);
        found.push(paired.map_err(|error| error.at(&format!("claim {}, metric `{metric}`", at + 1)))?);
    }
    let said = |of: &dyn Fn(&Claim) -> String| Values::Text(params.claims.iter().map(of).collect());
    let verdict = |verdict: &str| match verdict {
        "better" => "holds".to_owned(),
        "worse" => "fails".to_owned(),
        other => other.to_owned(),
    };
    let end = |at: usize| Values::Number(found.iter().map(|of| of.interval.map(|ends| ends[at])).collect());
    let table = columns::table(vec![
        ("better", said(&|claim| claim.better.clone())),
        ("than", said(&|claim| claim.than.clone())),
        ("metric", said(&|claim| params.metric_of(claim).to_owned())),
        ("pairs", Values::Int(found.iter().map(|of| of.pairs as i64).collect())),
        ("difference", Values::Number(found.iter().map(|of| of.difference).collect())),
        ("low", end(0)),
        ("high", end(1)),
        ("verdict", Values::Text(found.iter().map(|of| verdict(of.verdict)).collect())),
        ("source", said(&|claim| claim.source.clone())),
    ])?;
    let number = if percent { "percent" } else { "plain" };
    let display = json!({ "difference": number, "low": number, "high": number });
    Ok((Meta::from([("display".to_owned(), display), ("precision".to_owned(), json!(1))]), table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Metric;

    /// Six folds of two systems; the second is two points better in each by accuracy, and worse by loss.
    fn cells() -> Vec<Cell> {
        let cell = |fold: usize, start: &str, accuracy: f64| Cell {
            axes: vec![("fold".to_owned(), fold.to_string()), ("start".to_owned(), start.to_owned())],
            metrics: vec![Metric::of("accuracy", Some(accuracy)), Metric::of("loss", Some(accuracy))],
            repeats: None,
        };
        (0..6)
            .flat_map(|fold| {
                [
                    cell(fold, "scratch", 0.5),
                    cell(fold, "tuned", 0.52),
                    cell(fold, "noise", 0.45 + 0.02 * fold as f64),
                ]
            })
            .collect()
    }

    fn params(claims: serde_json::Value) -> ClaimsParams {
        let with = json!({ "rows": "start", "metric": "accuracy", "claims": claims });
        serde_json::from_value(with).unwrap()
    }

    #[test]
    fn claims_hold_fail_or_are_noise() {
        let claims = json!([
            { "better": "tuned", "than": "scratch", "source": "figure 3" },
            { "better": "scratch", "than": "tuned" },
            { "better": "scratch", "than": "tuned", "metric": "loss" },
            { "better": "noise", "than": "scratch" },
        ]);
        let (_, table) = judge(&params(claims), &cells()).unwrap();
        assert_eq!(columns::text(&table, "verdict").unwrap(), ["holds", "fails", "holds", "within noise"]);
        let differences = columns::number(&table, "difference").unwrap();
        let expected = [0.02, -0.02, -0.02, 0.0];
        assert!(
            differences.iter().zip(expected).all(|(a, b)| (a.unwrap() - b).abs() < 1e-9),
            "{differences:?}"
        );
        assert_eq!(columns::text(&table, "source").unwrap()[0], "figure 3");
        assert_eq!(columns::maybe_int(&table, "pairs").unwrap(), [Some(6); 4]);
    }

    #[test]
    fn few_pairs_prove_nothing() {
        let claims = json!([{ "better": "tuned", "than": "scratch" }]);
        let (_, table) = judge(&params(claims), &cells()[..9]).unwrap();
        assert_eq!(columns::text(&table, "verdict").unwrap(), ["too few pairs"]);
    }

    #[test]
    fn mistakes_are_named() {
        let unknown = json!([{ "better": "tuned", "than": "nothing" }]);
        let error = judge(&params(unknown), &cells()).unwrap_err().to_string();
        assert_eq!(
            error,
            "`claims[0].than` names the row `nothing`; the rows are `scratch`, `tuned`, `noise`"
        );
        let same = params(json!([{ "better": "tuned", "than": "tuned" }]));
        let paths: Vec<String> = Claims::check(&same).into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["claims[0].than"]);
        let paths: Vec<String> =
            Claims::check(&params(json!([]))).into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["claims"]);
    }
}
