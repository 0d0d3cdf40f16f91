//! `sndpipe logs`.

use std::path::PathBuf;

use sndpipe_cache::Digest;
use sndpipe_engine::{InstanceId, RunRecord};

use crate::args::Logs;
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::plain;
use crate::results::{Results, never_ran};
use crate::session::{Place, Session, select};

/// How many past runs are searched for a stage that failed.
const RUNS: usize = 50;

/// Prints what a stage said.
pub fn logs(args: &Logs, place: Place<'_>) -> Result<Exit, Failure> {
    let session = Session::open(&args.pipeline, place)?;
    let ids = select(&session.graph, &args.stage)?;
    let results = Results::look(&session, &ids)?;
    let mut out = Out::new();
    let mut ran = false;
    for &id in &ids {
        let mut keys = results.keys(id);
        // What failed with other parameters says nothing of what is there now.
        if results.find(id).is_none() {
            keys.extend(past_keys(&session, id)?);
        }
        let known = results.find(id).is_some() || keys.iter().any(|key| session.store.log_path(key).exists());
        ran |= known;
        let title = session.graph.instances[id].to_string();
        let Some(path) = log(&session, &keys) else {
            if known {
                console::line(&format!("`{title}` said nothing"));
            }
            continue;
        };
        if ids.len() > 1 {
            out.line(format!("==> {title} <=="))?;
        }
        let bytes = fs_err::read(path)?;
        if args.raw {
            out.raw(&bytes)?;
        } else {
            out.text(&plain::output(&String::from_utf8_lossy(&bytes)))?;
        }
    }
    out.finish()?;
    match ids.first() {
        Some(&first) if !ran => Err(never_ran(&session.graph, first)),
        _ => Ok(Exit::Done),
    }
}

/// The newest of the keys that has a log.
fn log(session: &Session, keys: &[Digest]) -> Option<PathBuf> {
    keys.iter().map(|key| session.store.log_path(key)).find(|path| fs_err::File::open(path).is_ok())
}

/// The keys of an instance in past runs of this pipeline, the latest first: those of failures are nowhere else.
fn past_keys(session: &Session, id: InstanceId) -> Result<Vec<Digest>, Failure> {
    let instance = &session.graph.instances[id];
    let names = RunRecord::names(&session.store)?;
    let runs = names.iter().take(RUNS).filter_map(|name| RunRecord::read(&session.store, name));
    let mut keys = Vec::new();
    for run in runs.filter(|run| run.pipeline == session.graph.name) {
        let stage =
            run.stages.iter().find(|stage| stage.stage == instance.stage && stage.axes == instance.axes);
        keys.extend(stage.and_then(|stage| stage.key).filter(|key| !keys.contains(key)));
    }
    Ok(keys)
}
