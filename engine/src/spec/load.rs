//! From a pipeline file to a checked [`Graph`].

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::cells::{Totals, lay_out};
use super::error::SpecErrors;
use super::file::{self, File};
use super::interpolate::{Ref, references};
use super::matrix::Matrix;
use super::node::Node;
use super::params::Params;
use super::plan::{order, plan};
use super::problems::Problems;
use super::source::Source;
use super::{extend, overrides, wire, wiring};
use crate::graph::{Graph, Instance};
use crate::registry::Registry;

/// Reads a pipeline file with what it extends, lays `--set` values over its parameters, and checks all of it.
///
/// `overrides` are names of parameters (with dots into maps) and values as a shell's user writes them: YAML in quotes or brackets, else
/// text. Instances come in topological order; the same text gives the same graph.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn load(path: &Path, overrides: &[(String, String)], registry: &Registry) -> Result<Graph, SpecErrors> {
    let mut source = Source::default();
    let mut problems = Problems::new();
    let tree = extend::read(path, &mut source, registry, &mut problems);
    let tree = tree.map(|mut tree| {
        overrides::apply(&mut tree, overrides, &mut source, &mut problems);
        tree
    });
    let source = Arc::new(source);
    let Some(tree) = tree else { return Err(SpecErrors::new(problems, &source)) };
    let built = build(&tree, registry, &mut problems);
    // Half a million small pieces for a large file: nobody waits for them to be freed.
    std::thread::spawn(move || drop(tree));
    if !problems.is_empty() {
        return Err(SpecErrors::new(problems, &source));
    }
    let (name, instances, stages) = built;
    let stem = || path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Ok(Graph { name: name.unwrap_or_else(stem), source, instances, stages })
}

type Built = (Option<String>, Vec<Instance>, Vec<(String, Vec<usize>)>);

fn build(tree: &Node, registry: &Registry, problems: &mut Problems) -> Built {
    let file = file::read(tree, problems);
    let axis_names: BTreeSet<&str> = file.matrix.iter().map(|(key, _)| key.text.as_str()).collect();
    let params = Params::new(&file.params, &axis_names, problems);
    let matrix = Matrix::new(&file, &params, &axis_names, problems);
    let mut plans = plan(&file, &params, &matrix, registry, problems);
    report_unused(tree, &file, &params, &matrix, problems);
    let order = order(&mut plans, problems);
    let mut total = Totals::default();
    for &at in &order {
        lay_out(&mut plans, at, &params, &matrix, &mut total, problems);
    }
    let mut instances = Vec::with_capacity(total.instances);
    let mut first = vec![0; plans.len()];
    let mut stages: Vec<(String, Vec<usize>)> =
        plans.iter().map(|plan| (plan.spec.key.text.clone(), Vec::new())).collect();
    for &at in &order {
        first[at] = instances.len();
        wire::instances(&plans, at, &first, &matrix, &mut total, problems, &mut instances);
        stages[at].1 = (first[at]..instances.len()).collect();
        if problems.is_empty() {
            wiring::check(&plans[at], first[at], &params, &matrix, &instances, problems);
        }
    }
    (file.name, instances, stages)
}

/// Parameters and axes of the file itself that nothing refers to: those of a base may be without use when stages are replaced.
/// What a broken stage refers to counts; where nothing is broken, every reference was looked up already.
fn report_unused(
    tree: &Node,
    file: &File<'_>,
    params: &Params<'_>,
    matrix: &Matrix<'_>,
    problems: &mut Problems,
) {
    let mut used: Vec<Ref> = Vec::new();
    let whole = if problems.is_empty() { &[][..] } else { &["stages", "matrix", "params"] };
    for node in whole.iter().filter_map(|key| tree.get(key)) {
        references(node, &mut used);
    }
    for reference in used {
        if let Some(param) = params.get(&reference.name) {
            param.used.set(true);
        }
        if let Some(axis) = matrix.find(&reference.name) {
            matrix.axes[axis].used.set(true);
        }
    }
    // Where so much is misspelt that nobody looked for what was meant, what seems unused may be just that.
    if !file.stages.is_empty() && !problems.is_exhausted() {
        params.report_unused(problems);
        matrix.report_unused(problems);
    }
}
