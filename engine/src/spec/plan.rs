//! The stages of a file with their names resolved: kinds, parameters, and who reads whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::file::{File, InputSpec, Name, Stage};
use super::interpolate::{Env, Template, compile_shallow};
use super::layout::Layout;
use super::matrix::{Matrix, unknown_axis};
use super::node::Node;
use super::order::{Circle, Order};
use super::params::Params;
use super::problem::Problem;
use super::problems::Problems;
use super::reference;
use super::source::Span;
use super::wording::round;
use crate::bound::StageKind;
use crate::registry::Registry;

/// A stage with its names resolved.
pub(super) struct Plan<'a> {
    pub spec: &'a Stage<'a>,
    /// `None`: unknown, which was reported.
    pub kind: Option<Arc<dyn StageKind>>,
    /// The parameters; `None` where something in them is wrong, which was reported.
    pub with: Option<Template>,
    pub inputs: Vec<InputPlan<'a>>,
    /// An input could not be resolved, which was reported.
    pub inputs_broken: bool,
    /// The axes that the stage itself uses.
    pub own: BTreeSet<usize>,
    /// It stands on a circle, which was reported.
    pub circular: bool,
    /// Its axes and cells, once those of its inputs are known.
    pub layout: Layout,
}

/// An input with its names resolved.
pub(super) struct InputPlan<'a> {
    pub spec: &'a InputSpec<'a>,
    pub span: Span,
    /// The position of the stage that it reads.
    pub stage: usize,
    pub output: Option<Name>,
    /// Chosen cells: the axis, its place, and the label in each cell of the reader.
    pub cell: Vec<(usize, Span, Template, Span)>,
    /// The axes that are gathered.
    pub collect: Vec<(usize, Span)>,
}

/// Resolves the names of every stage.
pub(super) fn plan<'a>(
    file: &'a File<'a>,
    params: &Params<'_>,
    matrix: &Matrix<'_>,
    registry: &Registry,
    problems: &mut Problems,
) -> Vec<Plan<'a>> {
    let index: BTreeMap<&str, usize> =
        file.stages.iter().enumerate().map(|(at, stage)| (stage.key.text.as_str(), at)).collect();
    let env = Env { params, matrix: Ok(matrix) };
    file.stages.iter().map(|stage| plan_stage(stage, &index, env, matrix, registry, problems)).collect()
}

fn plan_stage<'a>(
    stage: &'a Stage<'a>,
    index: &BTreeMap<&str, usize>,
    env: Env<'_>,
    matrix: &Matrix<'_>,
    registry: &Registry,
    problems: &mut Problems,
) -> Plan<'a> {
    let kind = registry.get(&stage.uses.text).cloned();
    if kind.is_none() && !stage.uses.text.is_empty() {
        let names: Vec<&str> = registry.iter().map(|kind| kind.name()).collect();
        problems.push(
            Problem::new(
                "unknown_stage",
                stage.uses.span,
                format!("there is no stage kind `{}`", stage.uses.text),
            )
            .label("unknown")
            .maybe_help(problems.hint(
                &stage.uses.text,
                "`sndpipe stages` describes them",
                names.into_iter(),
            )),
        );
    }
    let with = match stage.with {
        None => Some(Template::Const(Json::Object(Map::new()))),
        Some((_, node)) => compile_shallow(node, env, problems),
    };
    let mut own = BTreeSet::new();
    if let Some(with) = &with {
        with.axes(&mut own);
    }
    let mut inputs = Vec::new();
    let mut inputs_broken = stage.inputs_broken;
    for spec in &stage.inputs {
        match plan_input(spec, index, env, matrix, problems) {
            Some(input) => inputs.push(input),
            None => inputs_broken = true,
        }
    }
    for (_, _, label, _) in inputs.iter().flat_map(|input| &input.cell) {
        label.axes(&mut own);
    }
    Plan { spec: stage, kind, with, inputs, inputs_broken, own, circular: false, layout: Layout::default() }
}

fn plan_input<'a>(
    spec: &'a InputSpec<'a>,
    index: &BTreeMap<&str, usize>,
    env: Env<'_>,
    matrix: &Matrix<'_>,
    problems: &mut Problems,
) -> Option<InputPlan<'a>> {
    let node: &Node = spec.from;
    let reference = match reference::parse(node) {
        Ok(reference) => reference,
        Err(problem) => {
            problems.push(*problem);
            return None;
        }
    };
    let before = problems.len();
    let stage = index.get(reference.stage.text.as_str()).copied();
    if stage.is_none() {
        let wanted = &reference.stage;
        problems.push(
            Problem::new("unknown_reference", wanted.span, format!("there is no stage `{}`", wanted.text))
                .label("not a stage of this file")
                .maybe_help(problems.hint(&wanted.text, "the stages are", index.keys().copied())),
        );
    }
    let mut axis = |name: &Name| {
        let found = matrix.find(&name.text);
        if found.is_none() {
            problems.push(unknown_axis(name, matrix.names(), problems));
        }
        found
    };
    let collect: Vec<(usize, Span)> =
        spec.collect.iter().filter_map(|name| axis(name).map(|axis| (axis, name.span))).collect();
    let axes: Vec<Option<usize>> = reference.cell.iter().map(|(name, _)| axis(name)).collect();
    let mut cell = Vec::new();
    for ((name, label), axis) in reference.cell.iter().zip(axes) {
        let template = compile_shallow(label, env, problems);
        if let (Some(axis), Some(template)) = (axis, template) {
            cell.push((axis, name.span, template, label.span));
        }
    }
    if problems.len() > before {
        return None;
    }
    Some(InputPlan { spec, span: node.span, stage: stage?, output: reference.output, cell, collect })
}

/// An order in which each stage comes after those that it reads, as close to the file as can be; circles are reported.
pub(super) fn order(plans: &mut [Plan<'_>], problems: &mut Problems) -> Vec<usize> {
    let reads = |plan: &Plan<'_>| plan.inputs.iter().map(|input| input.stage).collect();
    let Order { all, circles } = Order::new(&plans.iter().map(reads).collect::<Vec<_>>());
    for Circle { members, way } in circles {
        let problem = circle(plans, &way);
        problems.push(problem);
        members.into_iter().for_each(|at| plans[at].circular = true);
    }
    all
}

/// Stages that wait for each other.
fn circle(plans: &[Plan<'_>], way: &[(usize, usize)]) -> Problem {
    /// So many stages of a circle are pointed at.
    const SHOWN: usize = 8;
    let name = |at: usize| plans[at].spec.key.text.as_str();
    let span = |(at, input): (usize, usize)| plans[at].inputs[input].span;
    let label =
        |index: usize| format!("`{}` reads `{}`", name(way[index].0), name(way[(index + 1) % way.len()].0));
    let ids: Vec<usize> = way.iter().map(|&(at, _)| at).collect();
    let message = match ids.as_slice() {
        [only] => format!("stage `{}` reads itself", name(*only)),
        _ => format!("stages wait for each other: {}", round(&ids, name, " reads ")),
    };
    let problem =
        Problem::new("cycle", span(way[0]), message).label(label(0)).help("take one of these inputs away");
    (1..way.len().min(SHOWN)).fold(problem, |problem, index| problem.also(span(way[index]), label(index)))
}
