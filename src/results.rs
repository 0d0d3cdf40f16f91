//! The last result of every instance, up to date or not.

use sndpipe_cache::{Digest, Manifest, Store};
use sndpipe_engine::{Graph, History, InstanceId, Plan, PlanStatus, Record, ScanError, Sources};

use crate::console;
use crate::failure::Failure;
use crate::paint::Paint;
use crate::session::Session;

/// What is known about the results of a pipeline.
pub struct Results<'a> {
    session: &'a Session,
    plan: Option<Plan>,
    history: History,
}

/// The result of one instance.
pub struct Found {
    /// Its key.
    pub key: Digest,
    /// What it was made of.
    pub record: Record,
    /// Whether it is what a run would give.
    pub current: bool,
}

impl<'a> Results<'a> {
    /// Looks at the results of some instances and of what they need. A data set that cannot be read is told, and the last run
    /// is what counts then.
    pub fn look(session: &'a Session, targets: &[InstanceId]) -> Result<Self, Failure> {
        let plan = match Sources::scan(&session.graph, &session.store, targets) {
            Ok(sources) => Some(session.plan(&sources, targets, &[])?),
            Err(ScanError::Cache(error)) => return Err(error.into()),
            Err(ScanError::Spec(errors)) => {
                let first = errors.iter().next().map(ToString::to_string).unwrap_or_default();
                warn(&format!("{first}; showing the last run"));
                None
            }
        };
        let history = History::read(&session.store, &session.graph);
        Ok(Self { session, plan, history })
    }

    /// The key that an instance has now, or had in the last run.
    pub fn keys(&self, id: InstanceId) -> Vec<Digest> {
        let name = self.session.graph.instances[id].to_string();
        let now = self.plan.as_ref().and_then(|plan| plan.item(id)?.key);
        let mut keys: Vec<Digest> = now.into_iter().collect();
        keys.extend(self.history.key(&name).filter(|last| Some(**last) != now));
        keys
    }

    /// The result of an instance: the current one, else that of the last run.
    pub fn find(&self, id: InstanceId) -> Option<Found> {
        let item = self.plan.as_ref().and_then(|plan| plan.item(id));
        let current = item.is_some_and(|item| item.status == PlanStatus::Cached);
        self.keys(id).into_iter().find_map(|key| {
            let record = Record::read(&self.session.store, &key)?;
            Some(Found { key, record, current: current && item.is_some_and(|item| item.key == Some(key)) })
        })
    }
}

impl Found {
    /// The artefact of an output.
    pub fn artefact(&self, store: &Store, output: usize) -> Option<Manifest> {
        store.manifest(&self.record.outputs.get(output)?.id)
    }
}

/// Says that a result was never computed.
pub fn never_ran(graph: &Graph, id: InstanceId) -> Failure {
    let instance = &graph.instances[id];
    Failure::failed(format!("`{instance}` was not computed yet")).help("`sndpipe run FILE` computes it")
}

/// Says that a result is not what a run would give.
pub fn warn_if_old(graph: &Graph, id: InstanceId, found: &Found) {
    if !found.current {
        let instance = &graph.instances[id];
        warn(&format!(
            "`{instance}` is not up to date; this is its last result (`sndpipe plan` says what changed)"
        ));
    }
}

/// Tells people something on standard error.
pub fn warn(text: &str) {
    console::line(&format!("{}: {text}", Paint::stderr().yellow("warning")));
}
