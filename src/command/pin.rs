//! `sndpipe cache pin` and `unpin`.

use std::collections::BTreeSet;
use std::path::Path;

use sndpipe_cache::Bucket;
use sndpipe_engine::Pin;

use crate::args;
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::plural;
use crate::results::{Results, never_ran, warn_if_old};
use crate::session::{Place, Session, open};

/// Keeps results, as they are now, until they are unpinned.
pub fn pin(args: &args::Pin, place: Place<'_>) -> Result<Exit, Failure> {
    let session = Session::open(&args.pipeline, place)?;
    let mut ids = session.select(&args.stages)?;
    if args.stages.is_empty() {
        ids = (0..session.graph.instances.len()).collect();
    }
    let results = Results::look(&session, &ids)?;
    let mut keys = BTreeSet::new();
    for &id in &ids {
        let found = results.find(id).ok_or_else(|| never_ran(&session.graph, id))?;
        warn_if_old(&session.graph, id, &found);
        keys.insert(found.key);
    }
    let count = keys.len() as u64;
    let file = args.pipeline.file.display().to_string();
    Pin { file, stages: args.stages.clone(), keys }.write(&session.store, &args.name).map_err(wrong_name)?;
    console::line(&format!("`{}` keeps {}", args.name, plural(count, "result")));
    Ok(Exit::Done)
}

/// Lets results go again.
pub fn unpin(name: &str, cache: &Path) -> Result<Exit, Failure> {
    let store = open(cache)?;
    let names = store.documents(Bucket::Pins)?;
    if !names.iter().any(|known| known == name) {
        let known = if names.is_empty() {
            "there is none".to_owned()
        } else {
            format!("the pins are {}", names.join(", "))
        };
        return Err(Failure::usage(format!("there is no pin `{name}`")).help(known));
    }
    store.remove_document(Bucket::Pins, name)?;
    console::line(&format!("`{name}` keeps nothing any more"));
    Ok(Exit::Done)
}

/// A name that cannot be one is a mistake of the command line.
fn wrong_name(error: sndpipe_cache::CacheError) -> Failure {
    match error {
        sndpipe_cache::CacheError::Invalid { what } => Failure::usage(what),
        other => other.into(),
    }
}
