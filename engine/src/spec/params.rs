//! `params:` of a file: values that other values refer to.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::node::{Key, Node};
use super::problem::Problem;
use super::problems::Problems;

/// The parameters in the order of the file.
pub(super) struct Params<'a> {
    pub entries: Vec<Param<'a>>,
    pub index: BTreeMap<&'a str, usize>,
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
}
