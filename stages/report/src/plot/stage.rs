//! The stage.

use serde_json::json;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, Upstream};

use super::canvas::Words;
use super::params::PlotParams;
use super::points::Points;
use super::svg::{Drawing, DrawnLine, svg};
use crate::table::{Cell, miswired};

/// Draws metrics over an axis.
pub struct Plot;

impl Stage for Plot {
    const NAME: &'static str = "plot";
    /// 2: marks at some places of long lines, other marks from the seventh line on.
    const VERSION: u32 = 3;
    type Params = PlotParams;

    fn check(params: &PlotParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &PlotParams) -> Vec<Port> {
        vec![
            Port::new("metrics", Kind::Metrics)
                .collecting()
                .reading(&["metric", "class", "value", "better?", "unit?"]),
        ]
    }

    fn outputs(_: &PlotParams) -> Vec<Output> {
        vec![Output::new("plot", Kind::File), Output::new("points", Kind::Table)]
    }

    fn check_wiring(params: &PlotParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        miswired(&params.lines, &[], upstream, |cells| params.averaged(cells).map(|_| ()))
    }

    fn run(params: &PlotParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let tables = io.tables("metrics")?;
        let cells: Vec<Cell> =
            tables.into_iter().map(|(axes, table)| Cell::read(axes, &table)).collect::<Result<_, _>>()?;
        let points = Points::of(params, &cells)?;
        io.write_blob("plot", Meta::new(), svg(&drawing(params, &points)).as_bytes(), "svg")?;
        let meta = Meta::from([("std_over".to_owned(), json!(points.spread))]);
        io.write_table("points", meta, &table(&points)?)
    }
}

fn drawing(params: &PlotParams, points: &Points) -> Drawing {
    let percent = points.percent;
    let scale = if percent { 100.0 } else { 1.0 };
    let numbers = points.numbers();
    let at = |place: usize| numbers.as_ref().map_or(place as f64, |numbers| numbers[place]);
    let unit = |label: String| if percent { format!("{label} (%)") } else { label };
    let metrics = params.metric.0.iter().map(|metric| metric.replacen("_*", "", 1).replacen('*', "", 1));
    let y_label = params.y_label.clone().unwrap_or_else(|| metrics.collect::<Vec<_>>().join(", "));
    let bars = points.lines.iter().flat_map(|line| &line.points).any(|point| point.std.is_some());
    let note = match &points.spread {
        Some(axis) if bars => format!("means; bars: one standard deviation over {axis}"),
        _ => String::new(),
    };
    let words = Words {
        title: params.title.clone(),
        x_label: params.x_label.clone().or_else(|| params.x.clone()).unwrap_or_default(),
        y_label: unit(y_label),
        note,
    };
    Drawing {
        words,
        places: points.places.iter().enumerate().map(|(place, label)| (at(place), label.clone())).collect(),
        numeric: numbers.is_some(),
        bounds: if percent { [0.0, 100.0] } else { [f64::MIN, f64::MAX] },
        lines: points
            .lines
            .iter()
            .map(|line| DrawnLine {
                name: line.name.clone(),
                points: line
                    .points
                    .iter()
                    .map(|point| point.mean.map(|mean| (scale * mean, point.std.map(|std| scale * std))))
                    .collect(),
            })
            .collect(),
    }
}

/// The table `line, x, mean, std, n`.
fn table(points: &Points) -> Result<arrow_array::RecordBatch, StageError> {
    let flat: Vec<_> = points
        .lines
        .iter()
        .flat_map(|line| {
            points.places.iter().zip(&line.points).map(move |(place, point)| (line, place, point))
        })
        .collect();
    columns::table(vec![
        ("line", Values::Text(flat.iter().map(|(line, ..)| line.name.clone()).collect())),
        ("x", Values::Text(flat.iter().map(|(_, place, _)| (*place).clone()).collect())),
        ("mean", Values::Number(flat.iter().map(|(.., point)| point.mean).collect())),
        ("std", Values::Number(flat.iter().map(|(.., point)| point.std).collect())),
        ("n", Values::Int(flat.iter().map(|(.., point)| point.n as i64).collect())),
    ])
}
