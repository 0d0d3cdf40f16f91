//! `params:` of a file: values that other values refer to.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::error::Problem;
use super::interpolate::{Env, Template, compile, references};
use super::node::{Key, Node};
use super::source::Span;

/// The parameters in the order of the file.
pub(super) struct Params<'a> {
    entries: Vec<Param<'a>>,
    index: BTreeMap<&'a str, usize>,
    /// The size of what all references so far stand for.
    pub expanded: Cell<usize>,
}

pub(super) struct Param<'a> {
    pub key: &'a Key,
    pub node: &'a Node,
    /// `None` where its definition is wrong, which was reported.
    pub value: Option<Json>,
    pub used: Cell<bool>,
}

impl<'a> Params<'a> {
    /// Resolves parameters that refer to each other.
    pub fn new(defined: &[(&'a Key, &'a Node)], axes: &BTreeSet<&str>, problems: &mut Vec<Problem>) -> Self {
        let entries: Vec<Param<'a>> = defined
            .iter()
            .map(|&(key, node)| Param { key, node, value: None, used: Cell::new(false) })
            .collect();
        let index = entries.iter().enumerate().map(|(at, param)| (param.key.text.as_str(), at)).collect();
        let mut params = Self { entries, index, expanded: Cell::new(0) };
        for at in params.order(problems) {
            let env = Env { params: &params, matrix: Err(("a parameter", axes)) };
            let value = match compile(params.entries[at].node, env, problems) {
                Some(Template::Const(value)) => Some(value),
                _ => None,
            };
            params.entries[at].value = value;
        }
        params
    }

    pub fn get(&self, name: &str) -> Option<&Param<'a>> {
        self.index.get(name).map(|&at| &self.entries[at])
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|param| param.key.text.as_str())
    }

    /// Reports parameters that nothing refers to.
    pub fn report_unused(&self, problems: &mut Vec<Problem>) {
        for param in self.entries.iter().filter(|param| !param.used.get() && param.key.span.file() == 0) {
            let name = &param.key.text;
            problems.push(
                Problem::new("unused_param", param.key.span, format!("nothing uses the parameter `{name}`"))
                    .label("never referred to")
                    .help(format!("refer to it with `${{{name}}}` or remove it")),
            );
        }
    }

    /// An order in which each parameter comes after those that it refers to; without those on a circle.
    fn order(&self, problems: &mut Vec<Problem>) -> Vec<usize> {
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
        let mut walk =
            Walk { needs: &needs, state: vec![State::New; needs.len()], order: Vec::new(), path: Vec::new() };
        for at in 0..needs.len() {
            if let Err(circle) = walk.visit(at) {
                let names: Vec<&str> =
                    circle.iter().map(|&(at, _)| self.entries[at].key.text.as_str()).collect();
                let (_, span) = circle[0];
                problems.push(
                    Problem::new(
                        "param_cycle",
                        span,
                        format!("parameters refer to each other in a circle: {}", names.join(" -> ")),
                    )
                    .label("leads back to itself"),
                );
                for &(at, _) in &circle {
                    self.entries[at].used.set(true);
                }
            }
        }
        walk.order
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

struct Walk<'w> {
    needs: &'w [Vec<(usize, Span)>],
    state: Vec<State>,
    order: Vec<usize>,
    path: Vec<(usize, Span)>,
}

impl Walk<'_> {
    /// Depth first; an error is the circle that was found, each member with the reference that leaves it.
    fn visit(&mut self, at: usize) -> Result<(), Vec<(usize, Span)>> {
        if self.state[at] != State::New {
            return Ok(());
        }
        self.state[at] = State::Open;
        let mut found = Ok(());
        for &(next, span) in &self.needs[at] {
            self.path.push((at, span));
            let result = if self.state[next] == State::Open {
                let from = self.path.iter().position(|&(other, _)| other == next).unwrap_or(0);
                let mut circle = self.path[from..].to_vec();
                circle.push(circle[0]);
                Err(circle)
            } else {
                self.visit(next)
            };
            self.path.pop();
            if result.is_err() {
                found = result;
                break;
            }
        }
        self.state[at] = State::Done;
        if found.is_ok() {
            self.order.push(at);
        }
        found
    }
}
