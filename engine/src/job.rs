//! One stage at work: opens its inputs, runs it, looks at its files again and records the result.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sndpipe_cache::{CacheError, Digest, Manifest, Traffic};

use crate::cell::{InstanceId, Item};
use crate::error::StageError;
use crate::event::{Event, RowCounts};
use crate::graph::Graph;
use crate::io::{IoItem, IoPort, StageIo, Surroundings, Written};
use crate::key::{Face, Faces, KeyParts};
use crate::log::StageLog;
use crate::panic::catch;
use crate::plan::is_present;
use crate::record::{Provenance, Record, write_sources};
use crate::retry::Retry;
use crate::scan::SourceFile;
use crate::usage::Usage;
use crate::watch;

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
    /// It runs whatever is there, which may be damaged.
    pub forced: bool,
    /// Whether the outputs only pass through.
    pub passing: bool,
}

/// What became of it.
pub(crate) struct Done {
    pub id: InstanceId,
    pub key: Digest,
    pub wall: Duration,
    /// What the stage measured itself: its programs, and what it read and wrote.
    pub usage: Usage,
    /// The last lines of its log, where it failed.
    pub log: Vec<String>,
    pub result: Result<Finished, StageError>,
}

/// What a stage gave.
pub(crate) struct Finished {
    pub faces: Faces,
    pub rows: RowCounts,
    pub remarks: Vec<String>,
}

impl Job {
    /// The artefacts behind each port of an instance.
    pub fn inputs(graph: &Graph, id: InstanceId, faces: &[Option<Faces>]) -> Vec<Vec<Digest>> {
        let face = |item: &Item| Some(faces[item.from].as_ref()?.get(item.output)?.id);
        let inputs = graph.instances[id].inputs.iter();
        inputs.map(|input| input.items.iter().filter_map(face).collect()).collect()
    }

    /// Runs the stage and records what it gave.
    pub fn run(self, graph: &Graph, around: &Surroundings<'_>) -> Done {
        let started = Instant::now();
        let log = StageLog::new(around.store.log_path(&self.key));
        let mut usage = Usage::default();
        let result = self.compute(graph, around, &log, &mut usage, |written| {
            self.record(written, around, started.elapsed())
        });
        let mut lines = Vec::new();
        if let Err(StageError::Failed { message, .. }) = &result {
            lines = log.tail();
            log.line(&format!("failed: {message}"));
        }
        Done { id: self.id, key: self.key, wall: started.elapsed(), usage, log: lines, result }
    }

    /// Runs the stage and hands over what it gave; a panic is an error like any other, and what may pass is tried again.
    pub fn compute<T>(
        &self,
        graph: &Graph,
        around: &Surroundings<'_>,
        log: &StageLog,
        usage: &mut Usage,
        keep: impl Fn(Written) -> Result<T, StageError>,
    ) -> Result<T, StageError> {
        let _runs = around.gate.enter();
        let traffic = Arc::new(if self.forced { Traffic::doubting() } else { Traffic::default() });
        let (store, inputs) = (around.store.metered(&traffic), around.inputs.metered(&traffic));
        let metered = Surroundings { store: &store, inputs: &inputs, ..*around };
        let mut attempt = 1;
        let result = loop {
            let result = catch(|| keep(self.stage(graph, &metered, log, usage)?));
            let error = match result.unwrap_or_else(|panic| Err(panic.into())) {
                Ok(kept) => break Ok(kept),
                Err(error) => error,
            };
            let Some((wait, times)) =
                retry(&error).and_then(|retry| Some((retry.after(attempt)?, retry.times)))
            else {
                break Err(last(error, attempt));
            };
            let line = format!("{error}; try {} of {} in {wait:?}", attempt + 1, u64::from(times) + 1);
            log.line(&line);
            let text = format!("`{}`: {line}", graph.instances[self.id]);
            around.observer.event(&Event::Warning { text: &text });
            let cancelled = || match around.cancel.load(std::sync::atomic::Ordering::Relaxed) {
                true => Err(StageError::Interrupted),
                false => Ok(()),
            };
            if let Err(interrupted) = around.gate.pause(wait, cancelled) {
                break Err(interrupted);
            }
            attempt += 1;
        };
        (usage.read_bytes, usage.written_bytes) = (traffic.read(), traffic.written());
        result
    }

    fn stage(
        &self,
        graph: &Graph,
        around: &Surroundings<'_>,
        log: &StageLog,
        usage: &mut Usage,
    ) -> Result<Written, StageError> {
        let instance = &graph.instances[self.id];
        let bound = &*instance.bound;
        around.inputs.hold(&self.inputs.iter().flatten().copied().collect::<Vec<_>>())?;
        let mut ports = Vec::with_capacity(self.inputs.len());
        for ((port, input), ids) in bound.inputs().iter().zip(&instance.inputs).zip(&self.inputs) {
            let mut items = Vec::with_capacity(ids.len());
            for (item, id) in input.items.iter().zip(ids) {
                let manifest = around.inputs.manifest(id).ok_or_else(|| missing(around, *id))?;
                items.push(IoItem { axes: item.axes.clone(), manifest });
            }
            ports.push(IoPort { port: port.clone(), items });
        }
        let no_sources = Vec::new();
        let sources = self.sources.as_deref().unwrap_or(&no_sources);
        let files = watch::settle(around, sources)?;
        let mut io = StageIo::new(around, self.id, self.key, ports, bound.outputs(), sources, log);
        let result = bound.run(&mut io);
        let used = io.usage();
        usage.add(used.cpu_seconds, used.peak_bytes);
        result?;
        let mut written = io.finish()?;
        written.rows.computed += self.computed;
        written.rows.reused = written.rows.reused.saturating_sub(self.computed);
        watch::check(around, &files)?;
        Ok(written)
    }

    /// The record is the last write: with it the outputs are there.
    fn record(
        &self,
        written: Written,
        around: &Surroundings<'_>,
        wall: Duration,
    ) -> Result<Finished, StageError> {
        let store = around.store;
        if let (Some(part), Some(files)) = (&self.parts.sources, &self.sources) {
            write_sources(store, &part.digest, files)?;
        }
        let mut earlier = Record::read(store, &self.key);
        // Others may note at any time that they keep what was recorded before.
        let mut _alone = None;
        if earlier.is_some() {
            _alone = Some(Record::lock(store, &self.key)?);
            earlier = Record::read(store, &self.key);
        }
        let passing = self.passing && earlier.as_ref().is_none_or(|earlier| earlier.passing);
        // Where locks do not keep two from computing one key, the first record counts, for others may have read it.
        if let Some(first) = earlier.filter(|_| !self.forced)
            && first.outputs.iter().all(|face| is_present(store, face))
        {
            store.remove_work_dir(&self.key);
            if first.passing != passing {
                Record { passing, ..first.clone() }.write(store, &self.key)?;
            }
            return Ok(Finished { faces: first.outputs, rows: written.rows, remarks: written.remarks });
        }
        let faces: Faces = written.outputs.iter().map(|manifest: &Manifest| Face::of(manifest)).collect();
        let provenance = Provenance {
            finished_ms: now_ms(),
            seconds: wall.as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host(),
            device: around.device.to_string(),
            threads: around.threads,
            rows: written.rows,
            notes: written.provenance,
        };
        let record = Record { parts: self.parts.clone(), outputs: faces.clone(), provenance, passing };
        record.write(store, &self.key)?;
        store.remove_work_dir(&self.key);
        Ok(Finished { faces, rows: written.rows, remarks: written.remarks })
    }
}

/// Whether the error may pass; one of the cache may, where that lies on a network.
fn retry(error: &StageError) -> Option<Retry> {
    match error {
        StageError::Passing { retry, .. } => Some(*retry),
        StageError::Cache(CacheError::Io { source, .. }) if Retry::helps(source) => Some(Retry::READING),
        _ => None,
    }
}

/// The error of the last try, which did not pass.
fn last(error: StageError, tries: u32) -> StageError {
    match error {
        StageError::Passing { message, help, .. } if tries > 1 => {
            StageError::Failed { message: format!("{message} ({tries} tries)"), help }
        }
        StageError::Passing { message, help, .. } => StageError::Failed { message, help },
        other => other,
    }
}

/// An artefact that was there a moment ago.
fn missing(around: &Surroundings<'_>, artefact: Digest) -> CacheError {
    CacheError::Damaged { path: around.inputs.dir().to_owned(), artefact, what: "it is missing".to_owned() }
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
