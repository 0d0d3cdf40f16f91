//! Runs what is missing, in parallel, each key once.

mod dispatch;
mod letting_go;
mod options;
mod outcome;
mod passing;
mod recording;
mod repair;
mod report;
mod scheduler;
mod state;

use std::time::Instant;

use sndpipe_cache::{CacheError, Store};

pub use self::options::RunOptions;
use self::recording::run_id;
pub use self::report::RunReport;
use self::scheduler::Run;
use crate::event::{Event, Observer};
use crate::gate::Gate;
use crate::graph::Graph;
use crate::io::Surroundings;
use crate::job::now_ms;
use crate::resolve::Sources;

/// Runs what is missing.
///
/// # Errors
/// [`CacheError`] where the cache became unusable or full; everything that had been recorded stays.
pub fn run(
    graph: &Graph,
    store: &Store,
    sources: &Sources,
    options: &RunOptions<'_>,
    observer: &dyn Observer,
) -> Result<RunReport, CacheError> {
    let gate = Gate::new(options.memory, options.jobs);
    let around = Surroundings {
        store,
        inputs: store,
        files: &sources.files,
        cancel: options.cancel,
        observer,
        device: options.device,
        threads: options.jobs,
        gate: &gate,
    };
    let started = (Instant::now(), run_id(store, now_ms())?);
    let mut run = Run::new(graph, store, sources, options, observer);
    observer.event(&Event::Begin { stages: run.needed.iter().filter(|&&needed| needed).count() });
    let result = std::thread::scope(|scope| run.drive(scope, &around));
    run.finish(started, result)
}
