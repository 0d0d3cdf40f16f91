//! A pipeline file and a cache, opened for a command.

use std::mem::ManuallyDrop;
use std::path::Path;

use sndpipe_cache::Store;
use sndpipe_engine::{Graph, InstanceId, Plan, Registry, Sources};

use crate::args::Pipeline;
use crate::console;
use crate::failure::Failure;
use crate::paint::Paint;
use crate::progress::hashing;

/// What pipeline files can name, and where results lie.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Every stage kind.
    pub registry: &'a Registry,
    /// The cache.
    pub cache: &'a Path,
}

/// Reads and checks a pipeline file.
pub fn load(pipeline: &Pipeline, registry: &Registry) -> Result<Graph, Failure> {
    Ok(sndpipe_engine::load(&pipeline.file, &pipeline.set, registry)?)
}

/// Opens the cache; damaged entries are told on standard error.
pub fn open(dir: &Path) -> Result<Store, Failure> {
    let store = Store::open(dir)?;
    let yellow = Paint::stderr();
    store.on_warning(Box::new(move |warning| {
        let path = warning.path.display();
        let absent = if warning.absent { "; it is treated as absent" } else { "" };
        console::line(&format!("{}: {path}: {}{absent}", yellow.yellow("warning"), warning.what));
    }));
    store.on_hashing(hashing(Paint::stderr()));
    Ok(store)
}

/// A checked pipeline with its cache.
pub struct Session {
    /// The pipeline. A command is the last that its process does: freeing a large graph would only make it longer.
    pub graph: ManuallyDrop<Graph>,
    /// The cache.
    pub store: Store,
}

impl Session {
    /// Checks the pipeline and opens the cache.
    pub fn open(pipeline: &Pipeline, place: Place<'_>) -> Result<Self, Failure> {
        let Place { registry, cache } = place;
        // A mistake in the file is told before one about the cache, and makes no cache.
        if cache.is_dir()
            && let Ok(store) = open(cache)
        {
            let Pipeline { file, set } = pipeline;
            let graph = sndpipe_engine::load_remembered(file, set, registry, &store)?;
            return Ok(Self { graph: ManuallyDrop::new(graph), store });
        }
        let graph = ManuallyDrop::new(load(pipeline, registry)?);
        Ok(Self { graph, store: open(cache)? })
    }

    /// Looks at the files outside the cache that some instances, all if there are none, and what they need read.
    pub fn scan(&self, targets: &[InstanceId]) -> Result<Sources, Failure> {
        Ok(Sources::scan(&self.graph, &self.store, targets)?)
    }

    /// The instances of references on the command line.
    pub fn select(&self, references: &[String]) -> Result<Vec<InstanceId>, Failure> {
        let mut ids = Vec::new();
        for reference in references {
            ids.extend(select(&self.graph, reference)?);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// What a run would do.
    pub fn plan(
        &self,
        sources: &Sources,
        targets: &[InstanceId],
        force: &[InstanceId],
    ) -> Result<Plan, Failure> {
        Plan::new(&self.graph, &self.store, sources, targets, force).map_err(Failure::usage)
    }
}

/// The instances of one reference.
pub fn select(graph: &Graph, reference: &str) -> Result<Vec<InstanceId>, Failure> {
    graph.select(reference).map_err(|message| {
        Failure::usage(message).help("`sndpipe graph FILE` lists the stages and their cells")
    })
}
