//! `scatter`: points of the plane, coloured by class.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::columns;
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, Port, Stage, StageError, StageIo};

use super::canvas::{self, Frame, Words, mark, padded, round_ticks};

/// Draws points with the colour and the mark of their clip's class: 36 differ, then they begin again.
///
/// Inputs: `points`, a table with `clip_id`, `x` and `y`, such as that of `tsne`, and `labels`. A clip of several classes is drawn as such,
/// one without a class too. `plot` is an SVG that needs nothing else and is readable on light and dark ground.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScatterParams {
    /// What stands above. Absent: nothing.
    pub title: Option<String>,
    /// What x is, with its unit. Absent: nothing.
    pub x_label: Option<String>,
    /// What y is, with its unit. Absent: nothing.
    pub y_label: Option<String>,
}

/// `scatter`.
pub struct Scatter;

impl Stage for Scatter {
    const NAME: &'static str = "scatter";
    const VERSION: u32 = 1;
    type Params = ScatterParams;

    fn inputs(_: &ScatterParams) -> Vec<Port> {
        vec![
            Port::new("points", Kind::Table).reading(&["clip_id", "x", "y"]),
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
        ]
    }

    fn outputs(_: &ScatterParams) -> Vec<Output> {
        vec![Output::new("plot", Kind::File)]
    }

    fn run(params: &ScatterParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let table = io.table("points")?;
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let ids = columns::text(&table, "clip_id")?;
        let (x, y) = (columns::number(&table, "x")?, columns::number(&table, "y")?);
        let mut points = Vec::with_capacity(ids.len());
        for (id, (x, y)) in ids.iter().zip(x.into_iter().zip(y)) {
            let at = x.zip(y).filter(|(x, y)| x.is_finite() && y.is_finite());
            let Some((x, y)) = at else {
                return Err(StageError::failed(format!("clip `{id}` has no place in the plane")));
            };
            points.push(Point { group: group(&labels, id), x, y });
        }
        let words = Words {
            title: params.title.clone(),
            x_label: params.x_label.clone().unwrap_or_default(),
            y_label: params.y_label.clone().unwrap_or_default(),
            note: String::new(),
        };
        io.write_blob("plot", Meta::new(), svg(&words, &labels.classes, points).as_bytes(), "svg")
    }
}

/// What a clip is drawn as, in the order of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Class(usize),
    Several,
    None,
}

fn group(labels: &Labels, id: &str) -> Group {
    let mut present = labels.present(id);
    match (present.next(), present.next()) {
        (Some(class), None) => Group::Class(class),
        (Some(_), Some(_)) => Group::Several,
        (None, _) => Group::None,
    }
}

struct Point {
    group: Group,
    x: f64,
    y: f64,
}

fn svg(words: &Words, classes: &[String], points: Vec<Point>) -> String {
    let mut groups: Vec<Group> = points.iter().map(|point| point.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let name = |group: &Group| match group {
        Group::Class(class) => classes[*class].as_str(),
        Group::Several => "several classes",
        Group::None => "no class",
    };
    let longest = groups.iter().map(|group| name(group).chars().count()).max().unwrap_or(0);
    let frame = Frame {
        x: padded(points.iter().map(|point| point.x)),
        y: padded(points.iter().map(|point| point.y)),
    };
    let mut out = String::new();
    canvas::open(&mut out, words, groups.len(), longest);
    canvas::axes(&mut out, words, &frame, &round_ticks(&frame));
    for point in points {
        let at = groups.binary_search(&point.group).unwrap_or_default();
        mark(&mut out, at, frame.x(point.x), frame.y(point.y));
    }
    for (at, group) in groups.iter().enumerate() {
        canvas::legend(&mut out, at, name(group), |_, _, _| ());
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sndpipe_artefacts::State;

    use super::*;

    #[test]
    fn every_point_has_the_mark_of_its_class() {
        let classes: Vec<String> = (0..8).map(|class| format!("<{class}>")).collect();
        let state =
            |of: &[usize]| of.iter().map(|&class| (class, State::Present)).collect::<BTreeMap<_, _>>();
        let clips = [("a", state(&[7])), ("b", state(&[0])), ("c", state(&[0, 7])), ("d", state(&[]))];
        let clips = clips.map(|(id, states)| (id.to_owned(), states)).into();
        let labels = Labels { classes, clips };
        let points: Vec<Point> = ["a", "b", "b", "c", "d", "e"]
            .iter()
            .enumerate()
            .map(|(at, id)| Point { group: group(&labels, id), x: at as f64, y: -1.0 })
            .collect();
        let svg = svg(&Words::default(), &labels.classes, points);
        // Two points of class 0, one each of class 7, of several and two of none, and one mark in the legend for each.
        let count = |at: usize| svg.matches(&format!("class=\"f{at}\"")).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [3, 2, 2, 3]);
        let names = ["&lt;0&gt;", "&lt;7&gt;", "several classes", "no class"];
        assert!(names.iter().all(|name| svg.contains(&format!(">{name}</text>"))), "{svg}");
        assert!(!svg.contains("&lt;3&gt;") && !svg.contains("NaN"));
    }

    #[test]
    fn no_point_is_drawn_too() {
        let svg = svg(&Words::default(), &[], Vec::new());
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
