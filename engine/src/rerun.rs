//! Runs a stage whose result is cached once more, beside the cache.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sndpipe_cache::{Manifest, Store};

use crate::cell::InstanceId;
use crate::device::Device;
use crate::error::StageError;
use crate::event::Observer;
use crate::gate::Gate;
use crate::graph::Graph;
use crate::io::Surroundings;
use crate::job::Job;
use crate::key::{Faces, KeyParts};
use crate::log::StageLog;
use crate::resolve::Sources;
use crate::usage::Usage;

/// How to run a stage again.
pub struct RerunOptions<'a> {
    /// Where the outputs go; empty, so that nothing is reused.
    pub scratch: &'a Store,
    /// Threads of the stage.
    pub threads: usize,
    /// Bytes of memory that it may ask for.
    pub memory: u64,
    /// Where it runs, if it wants an accelerator.
    pub device: Device,
    /// Set from outside to stop it.
    pub cancel: &'a AtomicBool,
    /// Who shows what happens.
    pub observer: &'a dyn Observer,
}

/// Runs an instance on cached inputs; its outputs go into another store, and nothing is recorded.
///
/// `faces` are the outputs of every instance that it reads, `parts` what its key is made of.
///
/// # Errors
/// [`StageError`] as of any run; [`StageError::Cache`] if an input is damaged or no longer in the cache.
pub fn rerun(
    graph: &Graph,
    store: &Store,
    sources: &Sources,
    id: InstanceId,
    parts: &KeyParts,
    faces: &[Option<Faces>],
    options: &RerunOptions<'_>,
) -> Result<Vec<Manifest>, StageError> {
    let gate = Gate::new(options.memory, options.threads);
    let around = Surroundings {
        store: options.scratch,
        inputs: store,
        files: &sources.files,
        cancel: options.cancel,
        observer: options.observer,
        device: options.device,
        threads: options.threads,
        gate: &gate,
    };
    let job = Job {
        id,
        key: parts.key(),
        parts: parts.clone(),
        inputs: Job::inputs(graph, id, faces),
        sources: sources.of(id).map(Arc::clone),
        computed: 0,
        forced: false,
        passing: false,
    };
    let log = StageLog::new(options.scratch.log_path(&job.key));
    job.compute(graph, &around, &log, &mut Usage::default(), |written| Ok(written.outputs))
}
