//! One stage at work: opens its inputs, runs it, looks at its files again and records the result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sndpipe_cache::{CacheError, Digest, Manifest};

use crate::event::RowCounts;
use crate::graph::{Graph, InstanceId};
use crate::io::{IoItem, IoPort, StageIo, Surroundings};
use crate::key::{Face, KeyParts};
use crate::record::{Provenance, Record, write_sources};
use crate::scan::SourceFile;
use crate::stage::StageError;

/// What a job needs to know.
pub(crate) struct Job {
    pub id: InstanceId,
    pub key: Digest,
    pub parts: KeyParts,
    /// For each port, the content id and cell of each item.
    pub inputs: Vec<Vec<Digest>>,
    pub sources: Option<Arc<Vec<SourceFile>>>,
    /// Rows that this run computed for it before it waited for others.
    pub computed: u64,
}

/// What became of it.
pub(crate) struct Done {
    pub id: InstanceId,
    pub key: Digest,
    pub wall: Duration,
    pub result: Result<Finished, StageError>,
}

/// What a stage gave.
pub(crate) struct Finished {
    pub faces: Vec<Face>,
    pub rows: RowCounts,
    pub remarks: Vec<String>,
}

impl Job {
    /// Runs the stage; a panic in it is an error like any other.
    pub fn run(self, graph: &Graph, around: &Surroundings<'_>) -> Done {
        let started = Instant::now();
        let (id, key) = (self.id, self.key);
        let result =
            catch_unwind(AssertUnwindSafe(|| self.stage(graph, around, started))).unwrap_or_else(|panic| {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".to_owned());
                Err(StageError::failed(format!("the stage panicked: {text}"))
                    .help("this is a bug in the stage; nothing was recorded"))
            });
        Done { id, key, wall: started.elapsed(), result }
    }

    fn stage(
        self,
        graph: &Graph,
        around: &Surroundings<'_>,
        started: Instant,
    ) -> Result<Finished, StageError> {
        let instance = &graph.instances[self.id];
        let bound = &*instance.bound;
        let store = around.store;
        store.hold(&self.inputs.iter().flatten().copied().collect::<Vec<_>>())?;
        let mut ports = Vec::with_capacity(self.inputs.len());
        for ((port, input), ids) in bound.inputs().iter().zip(&instance.inputs).zip(&self.inputs) {
            let mut items = Vec::with_capacity(ids.len());
            for (item, id) in input.items.iter().zip(ids) {
                let manifest = store.manifest(id).ok_or_else(|| missing(around, *id))?;
                items.push(IoItem { axes: item.axes.clone(), manifest });
            }
            ports.push(IoPort { port: port.clone(), items });
        }
        let no_sources = Vec::new();
        let sources = self.sources.as_deref().unwrap_or(&no_sources);
        let mut io = StageIo::new(around, self.id, self.key, ports, bound.outputs(), sources);
        if let Err(error) = bound.run(&mut io) {
            if let StageError::Failed { message, .. } = &error {
                io.log(&format!("failed: {message}"));
            }
            return Err(error);
        }
        let mut written = io.finish()?;
        written.rows.computed += self.computed;
        written.rows.reused = written.rows.reused.saturating_sub(self.computed);
        check_unchanged(around, sources)?;
        if let (Some(part), Some(files)) = (&self.parts.sources, &self.sources) {
            write_sources(store, &part.digest, files)?;
        }
        let faces: Vec<Face> = written.outputs.iter().map(|manifest: &Manifest| Face::of(manifest)).collect();
        let provenance = Provenance {
            finished_ms: now_ms(),
            seconds: started.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host(),
            device: around.device.to_string(),
            threads: around.threads,
            rows: written.rows,
            notes: written.provenance,
        };
        let record = Record { parts: self.parts, outputs: faces.clone(), provenance };
        record.write(store, &self.key)?;
        store.remove_work_dir(&self.key);
        Ok(Finished { faces, rows: written.rows, remarks: written.remarks })
    }
}

/// An artefact that was there a moment ago.
fn missing(around: &Surroundings<'_>, artefact: Digest) -> CacheError {
    CacheError::Damaged { path: around.store.dir().to_owned(), artefact, what: "it is missing".to_owned() }
}

/// A file that changed while the stage read it makes the result worthless.
fn check_unchanged(around: &Surroundings<'_>, sources: &[SourceFile]) -> Result<(), StageError> {
    let files: Vec<_> = sources.iter().map(|source| source.file.clone()).collect();
    let changed = around.store.recheck(&files);
    let Some(&first) = changed.first() else { return Ok(()) };
    let more =
        if changed.len() > 1 { format!(" and {} more files", changed.len() - 1) } else { String::new() };
    let message = format!("{}{more} changed while the stage ran", sources[first].file.path.display());
    Err(StageError::failed(message).help("run again; nothing was recorded"))
}

/// Milliseconds since 1970; 0 if the clock stands before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
