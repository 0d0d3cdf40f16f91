//! The axes along which stages are repeated.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::file::Name;
use super::node::{Node, Value};
use super::problem::Problem;
use super::problems::Problems;
use super::scalar;
use super::source::Span;

/// The axes in the order of the file. Axes that advance together share a dimension; every other axis is one of its own.
pub(super) struct Matrix<'a> {
    pub axes: Vec<Axis<'a>>,
    /// The number of positions of each dimension; dimensions are ordered by their first axis.
    pub dims: Vec<usize>,
    /// Cells that do not exist: positions on some dimensions.
    pub exclude: Vec<Vec<(usize, usize)>>,
    pub index: BTreeMap<&'a str, usize>,
}

pub(super) struct Axis<'a> {
    pub name: String,
    pub span: Span,
    pub values: Vec<AxisValue<'a>>,
    pub dim: usize,
    pub used: Cell<bool>,
    /// Its definition is wrong, which was reported.
    pub broken: bool,
    pub labels: BTreeMap<String, usize>,
}

pub(super) struct AxisValue<'a> {
    pub label: String,
    pub value: Json,
    /// Where it is defined, unless a parameter brings it.
    pub node: Option<&'a Node>,
}

impl<'a> Matrix<'a> {
    /// The axis of a name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.axes.iter().map(|axis| axis.name.as_str())
    }

    /// Reports axes that no stage uses.
    pub fn report_unused(&self, problems: &mut Problems) {
        for axis in self.axes.iter().filter(|axis| !axis.used.get() && axis.span.file() == 0) {
            let name = &axis.name;
            problems.push(
                Problem::new("unused_axis", axis.span, format!("no stage uses the axis `{name}`"))
                    .label("repeats nothing")
                    .help(format!("use it with `${{{name}}}` in the `with:` of a stage, or remove it")),
            );
        }
    }

    /// The position of a label on an axis.
    pub fn position(&self, axis: usize, label: &str, span: Span, problems: &mut Problems) -> Option<usize> {
        let axis = &self.axes[axis];
        if axis.broken {
            return None;
        }
        if let Some(&position) = axis.labels.get(label).or_else(|| axis.labels.get(&plain_label(label)?)) {
            return Some(position);
        }
        problems.push(
            Problem::new("unknown_label", span, format!("the axis `{}` has no label `{label}`", axis.name))
                .label("no such label")
                .maybe_help(problems.hint(
                    label,
                    "its labels",
                    axis.values.iter().map(|value| value.label.as_str()),
                )),
        );
        None
    }
}

pub(super) fn unknown_axis<'n>(
    name: &Name,
    axes: impl Iterator<Item = &'n str> + Clone,
    problems: &Problems,
) -> Problem {
    Problem::new("unknown_axis", name.span, format!("there is no axis `{}`", name.text))
        .label("not in `matrix`")
        .maybe_help(problems.hint(&name.text, "the axes are", axes))
}

/// The label of a plain text such as `0.50`, as the axis writes it.
fn plain_label(text: &str) -> Option<String> {
    match scalar::resolve(text) {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
