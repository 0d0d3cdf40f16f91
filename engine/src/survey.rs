//! What is known before anything runs: keys and recorded outputs, level by level.

use std::collections::BTreeMap;

use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use sndpipe_cache::{Digest, Store};

use crate::cell::InstanceId;
use crate::graph::Graph;
use crate::history::History;
use crate::key::Faces;
use crate::known::Known;
use crate::resolve::{Sources, key};

/// Maps items in order: on all processors, but few of them before the threads of a large machine have started.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], map: impl Fn(&T) -> R + Sync) -> Vec<R> {
    const FEW: usize = 100;
    match items.len() {
        ..FEW => items.iter().map(map).collect(),
        _ => items.par_iter().with_min_len(16).map(&map).collect(),
    }
}

/// Where an instance's result is looked for.
pub(crate) struct Lookout<'a> {
    pub graph: &'a Graph,
    pub store: &'a Store,
    pub sources: &'a Sources,
    pub history: &'a History,
    /// Which instances are asked for: what they wrote must be there, not only recorded.
    pub asked: &'a [bool],
    /// Whether the content of what is asked for is looked at where its files were touched: a run does, what only tells trusts.
    pub check: bool,
}

impl Lookout<'_> {
    /// Whether the outputs of an instance are kept when nothing waits for them any more.
    pub fn keeps(&self, id: InstanceId) -> bool {
        self.graph.instances[id].keep || self.asked[id]
    }
}

/// What was found out about an instance whose inputs are known.
pub(crate) struct Finding {
    pub key: Digest,
    /// The outputs that are recorded under the key.
    pub outputs: Option<Faces>,
    /// They were asked for, and their files are gone.
    pub gone: bool,
    /// What the history does not know yet.
    pub learnt: Option<Known>,
    /// They are kept here, and the record says that they only pass through.
    pub passing: bool,
}

impl Lookout<'_> {
    /// Looks for the result of an instance; `None` while an input is not known.
    ///
    /// # Errors
    /// A message if an input lacks a column that the stage reads.
    pub fn look(&self, id: InstanceId, faces: &[Option<Faces>]) -> Result<Option<Finding>, String> {
        let Some(key) = key(self.graph, id, faces, self.sources)? else { return Ok(None) };
        let name = self.graph.instances[id].to_string();
        let keeps = self.keeps(id);
        // Whether a result is kept by somebody is only in its record.
        let recalled = self.history.recall(self.store, &name, &key).filter(|_| keeps);
        let (mut known, mut is_new) = match recalled {
            Some(known) => (known, false),
            None => match Known::read(self.store, &key) {
                Some(known) => (known, true),
                None => {
                    return Ok(Some(Finding {
                        key,
                        outputs: None,
                        gone: false,
                        learnt: None,
                        passing: false,
                    }));
                }
            },
        };
        let mut gone = false;
        if self.asked[id] {
            gone = match known.is_present(self.store) {
                Some(present) => !present,
                None => {
                    is_new = true;
                    !known.locate(self.store, self.check)
                }
            };
        }
        let (outputs, passing) = (Some(known.outputs.clone()), known.passing && keeps);
        let learnt = (is_new && keeps && !passing).then_some(known);
        Ok(Some(Finding { key, outputs, gone, learnt, passing }))
    }
}

/// Keys and recorded outputs of all instances that can be known without running anything.
pub(crate) struct Survey {
    /// The key, where every input is known.
    pub keys: Vec<Option<Digest>>,
    /// The recorded outputs.
    pub faces: Vec<Option<Faces>>,
    /// Outputs that were asked for and whose files are gone.
    pub gone: Vec<bool>,
    /// Results that are kept here and recorded as passing.
    pub passing: Vec<InstanceId>,
    /// Inputs that lack a column.
    pub mistakes: BTreeMap<InstanceId, String>,
    /// What the history does not know yet.
    pub learnt: Vec<(InstanceId, Known)>,
}

impl Survey {
    /// Looks at the instances that are needed. What is `forced` counts as unknown.
    pub fn new(lookout: &Lookout<'_>, needed: &[bool], forced: impl Fn(InstanceId) -> bool + Sync) -> Self {
        let count = lookout.graph.instances.len();
        let mut survey = Self {
            keys: vec![None; count],
            faces: vec![None; count],
            gone: vec![false; count],
            passing: Vec::new(),
            mistakes: BTreeMap::new(),
            learnt: Vec::new(),
        };
        lookout.history.hold(lookout.store);
        for level in levels(lookout.graph, needed) {
            let look = |&id: &InstanceId| (id, lookout.look(id, &survey.faces));
            for (id, found) in each(&level, look) {
                match found {
                    Ok(Some(finding)) => {
                        survey.keys[id] = Some(finding.key);
                        survey.faces[id] = finding.outputs.filter(|_| !forced(id));
                        survey.gone[id] = finding.gone;
                        survey.passing.extend(finding.passing.then_some(id));
                        survey.learnt.extend(finding.learnt.map(|known| (id, known)));
                    }
                    Ok(None) => {}
                    Err(message) => drop(survey.mistakes.insert(id, message)),
                }
            }
        }
        survey
    }
}

/// The needed instances by the length of the longest way to them: each level reads only earlier ones.
fn levels(graph: &Graph, needed: &[bool]) -> Vec<Vec<InstanceId>> {
    let mut depths = vec![0; graph.instances.len()];
    let mut levels: Vec<Vec<InstanceId>> = Vec::new();
    for (id, instance) in graph.instances.iter().enumerate().filter(|(id, _)| needed[*id]) {
        let inputs = instance.inputs.iter().flat_map(|input| &input.items);
        let depth = inputs.map(|item| depths[item.from] + 1).max().unwrap_or(0);
        depths[id] = depth;
        if levels.len() <= depth {
            levels.push(Vec::new());
        }
        levels[depth].push(id);
    }
    levels
}

/// Marks what was asked for: the targets and what nothing else that is needed reads.
pub(crate) fn asked(readers: &[Vec<InstanceId>], targets: &[InstanceId], needed: &[bool]) -> Vec<bool> {
    let mut asked: Vec<bool> =
        readers.iter().map(|readers| readers.iter().all(|&reader| !needed[reader])).collect();
    targets.iter().for_each(|&id| asked[id] = true);
    asked
}
