//! Combinations of a stage and what it reads that only the stage itself can judge.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::bind::{self, Index, Place};
use super::matrix::Matrix;
use super::params::Params;
use super::plan::Plan;
use super::problems::Problems;
use crate::bound::Upstream;
use crate::cell::InstanceId;
use crate::graph::Instance;

/// Asks each different combination of a stage's parameters and those of what it reads once. `first` is its first instance.
pub(super) fn check(
    plan: &Plan<'_>,
    first: InstanceId,
    params: &Params<'_>,
    matrix: &Matrix<'_>,
    instances: &[Instance],
    problems: &mut Problems,
) {
    let Some(kind) = &plan.kind else { return };
    let mut asked: BTreeSet<Vec<(usize, usize)>> = BTreeSet::new();
    let mut coords = Vec::new();
    for (instance, &(dense, _)) in instances[first..].iter().zip(&plan.layout.cells) {
        let address = |id: InstanceId| Arc::as_ptr(&instances[id].bound).cast::<()>() as usize;
        let mut combination = vec![(Arc::as_ptr(&instance.bound).cast::<()>() as usize, 0)];
        let mut upstream: Vec<Upstream<'_>> = Vec::with_capacity(instance.inputs.len());
        for input in &instance.inputs {
            let mut seen = BTreeSet::new();
            for item in &input.items {
                let stage = &*instances[item.from].bound;
                if let (true, Some(output)) =
                    (seen.insert((address(item.from), item.output)), stage.outputs().get(item.output))
                {
                    upstream.push(Upstream { port: &input.port, stage, output, items: &input.items });
                }
            }
            combination.push((usize::MAX, seen.len()));
            combination.extend(seen);
        }
        if upstream.is_empty() || !asked.insert(combination) {
            continue;
        }
        let errors = instance.bound.check_wiring(&upstream);
        if errors.is_empty() {
            continue;
        }
        plan.layout.decode(dense, &mut coords);
        let on_axis = |axis: usize| plan.layout.on_axis(matrix, &coords, axis);
        let index = Index::default();
        let place =
            Place { stage: plan.spec, kind: &**kind, params, matrix, on_axis: &on_axis, index: &index };
        let found: Vec<_> = errors.iter().map(|error| bind::problem(&place, error, problems)).collect();
        problems.extend(found);
        // One combination shows what is wrong with its stage.
        return;
    }
}
