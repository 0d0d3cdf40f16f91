//! The checked pipeline: stages repeated along their axes, wired to each other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sndpipe_cache::Digest;

use crate::bound::BoundStage;
use crate::cell::{Axes, InstanceId, Item};
use crate::spec::{Source, Span};

/// A checked pipeline file. Instances stand in topological order: inputs before what reads them.
pub struct Graph {
    /// `name:` of the file.
    pub name: String,
    /// The file(s) it came from, for late errors.
    pub source: Arc<Source>,
    /// Every stage instance.
    pub instances: Vec<Instance>,
    /// The stages in the order of the file, each with its instances.
    pub stages: Vec<(String, Vec<InstanceId>)>,
}

/// One stage in one cell of the matrix.
pub struct Instance {
    /// The stage's name in the file.
    pub stage: String,
    /// Its cell; empty where it is not repeated.
    pub axes: Axes,
    /// The stage kind with its checked parameters.
    pub bound: Arc<dyn BoundStage>,
    /// The wired inputs, in the order of [`BoundStage::inputs`]; an optional port that is left out has no items.
    pub inputs: Vec<Input>,
    /// `keep: false` drops the output once nothing waits for it.
    pub keep: bool,
    /// Where the stage's name stands in the file.
    pub span: Span,
}

/// A wired input port.
#[derive(Debug, Clone)]
pub struct Input {
    /// The port's name.
    pub port: String,
    /// What it reads: one item, or for a collected port one for each cell, in the order of the cells.
    pub items: Vec<Item>,
    /// Where the reference stands in the file.
    pub span: Span,
}

impl Graph {
    /// The name of a document about this pipeline. The same file in another checkout is another pipeline: it may keep other results.
    pub(crate) fn document(&self, what: &str) -> String {
        let path = self.source.path();
        Digest::of(format!("{what}\n{}\n{}", self.name, path.display()).as_bytes()).to_string()
    }

    /// The instances of a reference such as `model` or `model[fold=1,loss=lq]`.
    ///
    /// # Errors
    /// A message that names what there is.
    pub fn select(&self, reference: &str) -> Result<Vec<InstanceId>, String> {
        let (stage, cell) = match reference.split_once('[') {
            Some((stage, rest)) => {
                let inner =
                    rest.strip_suffix(']').ok_or_else(|| format!("`{reference}` lacks the closing `]`"))?;
                (stage, inner)
            }
            None => (reference, ""),
        };
        let Some((_, all)) = self.stages.iter().find(|(name, _)| name == stage) else {
            let names: Vec<&str> = self.stages.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!(
                "there is no stage `{stage}`{}",
                crate::spec::did_you_mean(stage, names.iter().copied())
            ));
        };
        let mut wanted = Vec::new();
        for pair in cell.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (axis, label) =
                pair.split_once('=').ok_or_else(|| format!("`{pair}` is not of the form axis=label"))?;
            wanted.push((axis.trim().to_owned(), label.trim().to_owned()));
        }
        let found: Vec<InstanceId> = all
            .iter()
            .copied()
            .filter(|&id| wanted.iter().all(|pair| self.instances[id].axes.contains(pair)))
            .collect();
        if found.is_empty() {
            let cells: Vec<String> = all.iter().take(8).map(|&id| self.instances[id].to_string()).collect();
            return Err(format!("`{reference}` names no cell; there are {}", cells.join(", ")));
        }
        Ok(found)
    }

    /// Marks the instances `targets` (all if empty) and everything that they need.
    #[must_use]
    pub fn needed(&self, targets: &[InstanceId]) -> Vec<bool> {
        let mut needed = vec![targets.is_empty(); self.instances.len()];
        for &id in targets {
            needed[id] = true;
        }
        for id in (0..self.instances.len()).rev() {
            if needed[id] {
                for item in self.instances[id].inputs.iter().flat_map(|input| &input.items) {
                    needed[item.from] = true;
                }
            }
        }
        needed
    }

    /// The instances that read each instance.
    #[must_use]
    pub fn readers(&self) -> Vec<Vec<InstanceId>> {
        let mut readers = vec![Vec::new(); self.instances.len()];
        for (id, instance) in self.instances.iter().enumerate() {
            for item in instance.inputs.iter().flat_map(|input| &input.items) {
                if readers[item.from].last() != Some(&id) {
                    readers[item.from].push(id);
                }
            }
        }
        readers
    }
}

impl Instance {
    /// The axes as a map, for JSON.
    #[must_use]
    pub fn axes_map(&self) -> BTreeMap<&str, &str> {
        self.axes.iter().map(|(axis, label)| (axis.as_str(), label.as_str())).collect()
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stage)?;
        for (index, (axis, label)) in self.axes.iter().enumerate() {
            write!(f, "{}{axis}={label}", if index == 0 { "[" } else { "," })?;
        }
        if self.axes.is_empty() { Ok(()) } else { f.write_str("]") }
    }
}
