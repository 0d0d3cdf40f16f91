//! The values of `params:`, each after those that it refers to.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::interpolate::{Env, Template, compile_shallow, references};
use super::node::{Key, Node};
use super::order::{Circle, Order};
use super::params::{Param, Params};
use super::problem::Problem;
use super::problems::Problems;
use super::source::Span;
use super::wording::round;

impl<'a> Params<'a> {
    /// Resolves parameters that refer to each other.
    pub fn new(defined: &[(&'a Key, &'a Node)], axes: &BTreeSet<&str>, problems: &mut Problems) -> Self {
        let entries: Vec<Param<'a>> = defined
            .iter()
            .map(|&(key, node)| Param { key, node, value: None, used: Cell::new(false) })
            .collect();
        let index = entries.iter().enumerate().map(|(at, param)| (param.key.text.as_str(), at)).collect();
        let mut params = Self { entries, index, expanded: Cell::new(0) };
        for at in params.order(problems) {
            let env = Env { params: &params, matrix: Err(("a parameter", axes)) };
            let value = match compile_shallow(params.entries[at].node, env, problems) {
                Some(Template::Const(value)) => Some(value),
                _ => None,
            };
            params.entries[at].value = value;
        }
        params
    }

    /// An order in which each parameter comes after those that it refers to; without those on a circle.
    fn order(&self, problems: &mut Problems) -> Vec<usize> {
        let needs: Vec<Vec<(usize, Span)>> = self
            .entries
            .iter()
            .map(|param| {
                let mut all = Vec::new();
                references(param.node, &mut all);
                all.iter()
                    .filter_map(|found| Some((*self.index.get(found.name.as_str())?, found.span)))
                    .collect()
            })
            .collect();
        let places: Vec<Vec<usize>> =
            needs.iter().map(|needs| needs.iter().map(|&(at, _)| at).collect()).collect();
        let Order { mut all, circles } = Order::new(&places);
        let mut is_circular = vec![false; needs.len()];
        for Circle { members, way } in circles {
            let name = |at: usize| self.entries[at].key.text.as_str();
            let names = round(&way.iter().map(|&(at, _)| at).collect::<Vec<_>>(), name, " -> ");
            let (first, reference) = way[0];
            let message = format!("parameters refer to each other in a circle: {names}");
            problems.push(
                Problem::new("param_cycle", needs[first][reference].1, message).label("leads back to itself"),
            );
            for at in members {
                self.entries[at].used.set(true);
                is_circular[at] = true;
            }
        }
        all.retain(|&at| !is_circular[at]);
        all
    }
}
