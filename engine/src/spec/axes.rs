//! `matrix:`, `zip:` and `exclude:`: what a file says of the axes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::file::{File, Name};
use super::interpolate::{Env, Template, compile_shallow, describe, scalar_text};
use super::matrix::{Axis, AxisValue, Matrix, unknown_axis};
use super::node::{Key, Node, Value};
use super::params::Params;
use super::problem::Problem;
use super::problems::Problems;
use super::source::Span;
use crate::count::counted;

impl<'a> Matrix<'a> {
    pub fn new(
        file: &File<'a>,
        params: &Params<'a>,
        names: &BTreeSet<&str>,
        problems: &mut Problems,
    ) -> Self {
        let env = Env { params, matrix: Err(("an axis", names)) };
        let axes: Vec<Axis<'a>> =
            file.matrix.iter().map(|(key, node)| axis(key, node, env, problems)).collect();
        let index = file.matrix.iter().enumerate().map(|(at, (key, _))| (key.text.as_str(), at)).collect();
        let mut matrix = Self { axes, dims: Vec::new(), exclude: Vec::new(), index };
        for (key, _) in &file.matrix {
            if let Some(param) = params.get(&key.text) {
                param.used.set(true);
                matrix.axes.iter().filter(|axis| axis.name == key.text).for_each(|axis| axis.used.set(true));
                problems.push(
                    Problem::new(
                        "duplicate_name",
                        key.span,
                        format!("`{}` is a parameter and an axis", key.text),
                    )
                    .label("an axis here")
                    .also(param.key.span, "a parameter here")
                    .help("rename one of them"),
                );
            }
        }
        matrix.zip(&file.zip, problems);
        for (span, cell) in &file.exclude {
            if let Some(rule) = matrix.rule(*span, cell, problems) {
                matrix.exclude.push(rule);
            }
        }
        matrix
    }

    /// Gives each axis its dimension.
    fn zip(&mut self, groups: &[Vec<Name>], problems: &mut Problems) {
        let mut partner: BTreeMap<usize, usize> = BTreeMap::new();
        for group in groups {
            let mut members: Vec<(usize, Span)> = Vec::new();
            for name in group {
                match self.find(&name.text) {
                    None => problems.push(unknown_axis(name, self.names(), problems)),
                    Some(axis) if partner.contains_key(&axis) => problems.push(Problem::new(
                        "duplicate_axis",
                        name.span,
                        format!("the axis `{}` is zipped twice", name.text),
                    )),
                    Some(axis) => members.push((axis, name.span)),
                }
            }
            if group.len() < 2 {
                let span = group.first().map_or(Span::default(), |name| name.span);
                problems.push(
                    Problem::new("bad_zip", span, "`zip` pairs at least two axes")
                        .help("write `zip: [a, b]`"),
                );
            }
            let Some(&(first, _)) = members.iter().min() else { continue };
            for &(axis, span) in &members {
                let (one, other) = (&self.axes[first], &self.axes[axis]);
                if one.values.len() != other.values.len() && !one.broken && !other.broken {
                    problems.push(
                        Problem::new(
                            "bad_zip",
                            span,
                            format!(
                                "zipped axes have one length: `{}` has {} and `{}` has {}",
                                one.name,
                                counted(one.values.len(), "value"),
                                other.name,
                                other.values.len()
                            ),
                        )
                        .also(one.span, counted(one.values.len(), "value"))
                        .also(other.span, counted(other.values.len(), "value")),
                    );
                    continue;
                }
                partner.insert(axis, first);
            }
        }
        let mut dim_of: BTreeMap<usize, usize> = BTreeMap::new();
        for axis in 0..self.axes.len() {
            let first = partner.get(&axis).copied().unwrap_or(axis);
            let dim = *dim_of.entry(first).or_insert_with(|| {
                self.dims.push(self.axes[axis].values.len());
                self.dims.len() - 1
            });
            self.axes[axis].dim = dim;
        }
    }

    fn rule(
        &self,
        span: Span,
        cell: &[(&Key, &Node)],
        problems: &mut Problems,
    ) -> Option<Vec<(usize, usize)>> {
        let mut rule: Vec<(usize, usize)> = Vec::new();
        let before = problems.len();
        let mut broken = false;
        for (key, node) in cell {
            let name = Name { text: key.text.clone(), span: key.span };
            let Some(axis) = self.find(&key.text) else {
                problems.push(unknown_axis(&name, self.names(), problems));
                continue;
            };
            let Some(label) = node_label(node) else {
                problems.push(Problem::new(
                    "wrong_type",
                    node.span,
                    format!("`exclude` names a label of `{}`, found {}", key.text, node.describe()),
                ));
                continue;
            };
            match self.position(axis, &label, node.span, problems) {
                Some(position) => rule.push((self.axes[axis].dim, position)),
                None => broken = true,
            }
        }
        rule.sort_unstable();
        let contradicts = rule.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
        if contradicts && problems.len() == before {
            problems.push(Problem::new(
                "bad_exclude",
                span,
                "no cell is like this: the axes are zipped and never have these labels together",
            ));
        }
        rule.dedup();
        (problems.len() == before && !broken).then_some(rule)
    }
}

fn node_label(node: &Node) -> Option<String> {
    match &node.value {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Str(text) => Some(text.clone()),
        _ => None,
    }
}

fn axis<'a>(key: &'a Key, node: &'a Node, env: Env<'_>, problems: &mut Problems) -> Axis<'a> {
    let before = problems.len();
    let mut axis = Axis {
        name: key.text.clone(),
        span: key.span,
        values: Vec::new(),
        dim: 0,
        used: Cell::new(false),
        broken: false,
        labels: BTreeMap::new(),
    };
    match &node.value {
        Value::Seq(items) => {
            for item in items {
                match compile_shallow(item, env, problems) {
                    Some(Template::Const(value)) => axis.add_scalar(value, Some(item), item.span, problems),
                    _ => axis.broken = true,
                }
            }
        }
        Value::Map(entries) => {
            for (key, node) in entries {
                match compile_shallow(node, env, problems) {
                    Some(Template::Const(value)) => {
                        axis.add(key.text.clone(), value, Some(node), key.span, problems)
                    }
                    _ => axis.broken = true,
                }
            }
        }
        Value::Str(text) if text.starts_with("${") => match compile_shallow(node, env, problems) {
            Some(Template::Const(Json::Array(items))) => {
                items.into_iter().for_each(|item| axis.add_scalar(item, None, node.span, problems));
            }
            Some(Template::Const(Json::Object(map))) => {
                map.into_iter().for_each(|(label, value)| axis.add(label, value, None, node.span, problems));
            }
            Some(Template::Const(value)) => {
                problems.push(not_values(&axis.name, node.span, &describe(&value)))
            }
            _ => axis.broken = true,
        },
        _ => problems.push(not_values(&axis.name, node.span, &node.describe())),
    }
    if axis.values.is_empty() && problems.len() == before && !axis.broken {
        problems.push(
            Problem::new("empty_axis", key.span, format!("the axis `{}` has no values", axis.name))
                .label("empty")
                .help("give it at least one value, or remove it and what uses it"),
        );
    }
    axis.broken |= problems.len() > before;
    axis
}

fn not_values(name: &str, span: Span, found: &str) -> Problem {
    Problem::new(
        "wrong_type",
        span,
        format!("the axis `{name}` expects a list of values or a map of bundles, found {found}"),
    )
    .help(format!("write `{name}: [1, 2]` or `{name}: {{ label: {{ … }} }}`"))
}

impl<'a> Axis<'a> {
    fn add_scalar(&mut self, value: Json, node: Option<&'a Node>, span: Span, problems: &mut Problems) {
        match scalar_text(&value) {
            Some(label) => self.add(label, value, node, span, problems),
            None => problems.push(
                Problem::new(
                    "wrong_type",
                    span,
                    format!(
                        "a value in the list of axis `{}` is a string, a number or a truth value, found {}",
                        self.name,
                        describe(&value)
                    ),
                )
                .help(format!("give bundles a label: `{}: {{ label: {{ … }} }}`", self.name)),
            ),
        }
    }

    fn add(
        &mut self,
        label: String,
        value: Json,
        node: Option<&'a Node>,
        span: Span,
        problems: &mut Problems,
    ) {
        let odd = label.is_empty()
            || label.trim() != label
            || label.chars().any(|c| c.is_control() || matches!(c, '[' | ']' | ',' | '='));
        if odd {
            problems.push(
                Problem::new(
                    "bad_name",
                    span,
                    format!("`{label}` cannot be a label of axis `{}`", self.name),
                )
                .help("labels have no `[`, `]`, `,` or `=`; name the value: `{ label: value }`"),
            );
            return;
        }
        if self.labels.contains_key(&label) {
            problems.push(
                Problem::new(
                    "duplicate_label",
                    span,
                    format!("the axis `{}` has the label `{label}` twice", self.name),
                )
                .label("again here"),
            );
            return;
        }
        self.labels.insert(label.clone(), self.values.len());
        self.values.push(AxisValue { label, value, node });
    }
}
