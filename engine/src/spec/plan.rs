//! The stages of a file with their names resolved: kinds, parameters, and who reads whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::error::Problem;
use super::file::{File, InputSpec, Name, Stage};
use super::interpolate::{Env, Template, compile_shallow};
use super::layout::Layout;
use super::matrix::{Matrix, unknown_axis};
use super::node::Node;
use super::params::Params;
use super::problems::Problems;
use super::reference;
use super::source::Span;
use super::wording::round;
use crate::registry::{Registry, StageKind};

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
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); plans.len()];
    let mut waits: Vec<usize> = vec![0; plans.len()];
    for (at, plan) in plans.iter().enumerate() {
        for input in &plan.inputs {
            readers[input.stage].push(at);
            waits[at] += 1;
        }
    }
    let mut ready: BTreeSet<usize> = (0..plans.len()).filter(|&at| waits[at] == 0).collect();
    let mut order = Vec::with_capacity(plans.len());
    let mut placed = vec![false; plans.len()];
    let mut left = 0;
    loop {
        while let Some(at) = ready.pop_first() {
            placed[at] = true;
            order.push(at);
            for &reader in &readers[at] {
                waits[reader] = waits[reader].saturating_sub(1);
                if waits[reader] == 0 && !placed[reader] {
                    ready.insert(reader);
                }
            }
        }
        while placed.get(left).is_some_and(|&placed| placed) {
            left += 1;
        }
        if left == plans.len() {
            return order;
        }
        for at in circle(plans, &placed, left, problems) {
            plans[at].circular = true;
            ready.insert(at);
        }
    }
}

/// Finds and reports a circle among stages that wait for each other.
fn circle(plans: &[Plan<'_>], placed: &[bool], from: usize, problems: &mut Problems) -> Vec<usize> {
    /// So many stages of a circle are pointed at.
    const SHOWN: usize = 8;
    // Every stage that is left waits for another one that is left: going back along inputs must come around.
    let mut path: Vec<(usize, Span)> = Vec::new();
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut at = from;
    let begin = loop {
        if let Some(&begin) = seen.get(&at) {
            break begin;
        }
        let Some(input) = plans[at].inputs.iter().find(|input| !placed[input.stage]) else { return vec![at] };
        seen.insert(at, path.len());
        path.push((at, input.span));
        at = input.stage;
    };
    let mut members = path.split_off(begin);
    let first = (0..members.len()).min_by_key(|&index| members[index].0).unwrap_or(0);
    members.rotate_left(first);
    let name = |at: usize| plans[at].spec.key.text.as_str();
    let next = |index: usize| name(members[(index + 1) % members.len()].0);
    let ids: Vec<usize> = members.iter().map(|&(at, _)| at).collect();
    let message = match ids.as_slice() {
        [only] => format!("stage `{}` reads itself", name(*only)),
        _ => format!("stages wait for each other: {}", round(&ids, name, " reads ")),
    };
    let mut problem = Problem::new("cycle", members[0].1, message)
        .label(format!("`{}` reads `{}`", name(ids[0]), next(0)))
        .help("take one of these inputs away");
    for (index, &(at, span)) in members.iter().enumerate().take(SHOWN).skip(1) {
        problem = problem.also(span, format!("`{}` reads `{}`", name(at), next(index)));
    }
    problems.push(problem);
    ids
}
