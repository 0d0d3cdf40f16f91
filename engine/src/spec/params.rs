//! `params:` of a file: values that other values refer to.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::error::Problem;
use super::interpolate::{Env, Template, compile_shallow, references};
use super::node::{Key, Node};
use super::problems::Problems;
use super::source::Span;
use super::wording::round;

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

    pub fn get(&self, name: &str) -> Option<&Param<'a>> {
        self.index.get(name).map(|&at| &self.entries[at])
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.entries.iter().map(|param| param.key.text.as_str())
    }

    /// Reports parameters that nothing refers to.
    pub fn report_unused(&self, problems: &mut Problems) {
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
        let mut walk =
            Walk { needs: &needs, state: vec![State::New; needs.len()], order: Vec::new(), path: Vec::new() };
        for at in 0..needs.len() {
            if let Err(circle) = walk.visit(at) {
                let name = |at: usize| self.entries[at].key.text.as_str();
                let members: Vec<usize> = circle.iter().map(|&(at, _)| at).collect();
                let names = round(&members, name, " -> ");
                let (_, span) = circle[0];
                problems.push(
                    Problem::new(
                        "param_cycle",
                        span,
                        format!("parameters refer to each other in a circle: {names}"),
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
    /// On the way to where the walk is, at this place.
    Open(usize),
    Done,
}

struct Walk<'w> {
    needs: &'w [Vec<(usize, Span)>],
    state: Vec<State>,
    order: Vec<usize>,
    /// The way to where the walk is: each parameter and the next of its references.
    path: Vec<(usize, usize)>,
}

impl Walk<'_> {
    /// Depth first, on a stack of its own: a parameter may be at the end of a very long row. An error is the circle that was found, each
    /// member with the reference that leaves it.
    fn visit(&mut self, from: usize) -> Result<(), Vec<(usize, Span)>> {
        if self.state[from] != State::New {
            return Ok(());
        }
        self.open(from);
        while let Some((at, next)) = self.path.last_mut() {
            let Some(&(needed, _)) = self.needs[*at].get(*next) else {
                self.state[*at] = State::Done;
                self.order.push(*at);
                self.path.pop();
                continue;
            };
            *next += 1;
            match self.state[needed] {
                State::New => self.open(needed),
                State::Open(begin) => {
                    let leaves = |&(at, next): &(usize, usize)| (at, self.needs[at][next - 1].1);
                    let circle = self.path[begin..].iter().map(leaves).collect();
                    for (at, _) in self.path.drain(..) {
                        self.state[at] = State::Done;
                    }
                    return Err(circle);
                }
                State::Done => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, at: usize) {
        self.state[at] = State::Open(self.path.len());
        self.path.push((at, 0));
    }
}
