//! Everything that a running stage can see and do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow_array::RecordBatch;
use sndpipe_cache::{Digest, IndexBuilder, Manifest, Meta, Row, Rows, Store, Texts, Values};

use crate::cell::{Axes, InstanceId};
use crate::device::Device;
use crate::error::StageError;
use crate::event::{Event, Observer, Progress, RowCounts};
use crate::gate::{Gate, Share};
use crate::kind::FormKind;
use crate::log::StageLog;
use crate::port::{Output, Port, columns_read};
use crate::scan::SourceFile;
use crate::usage::Usage;

/// One artefact behind a port.
pub struct IoItem {
    /// The cell, where the port collects.
    pub axes: Axes,
    /// The artefact.
    pub manifest: Manifest,
}

/// A port with what is behind it.
pub struct IoPort {
    /// The port.
    pub port: Port,
    /// The artefacts; empty where an optional port is left out.
    pub items: Vec<IoItem>,
}

/// What the run shares between its stages.
pub struct Surroundings<'a> {
    /// The cache that outputs go to.
    pub store: &'a Store,
    /// The cache that inputs come from.
    pub inputs: &'a Store,
    /// Where each source file of the pipeline lies, by digest.
    pub files: &'a BTreeMap<Digest, PathBuf>,
    /// Set when the run is to stop.
    pub cancel: &'a AtomicBool,
    /// Who shows what happens.
    pub observer: &'a dyn Observer,
    /// The device that was asked for.
    pub device: Device,
    /// CPU slots of the run.
    pub threads: usize,
    /// Bounds what runs side by side.
    pub gate: &'a Gate,
}

/// The inputs, outputs and surroundings of one running stage.
pub struct StageIo<'a> {
    around: &'a Surroundings<'a>,
    id: InstanceId,
    key: Digest,
    ports: Vec<IoPort>,
    outputs: Vec<Output>,
    sources: &'a [SourceFile],
    written: Vec<Option<Manifest>>,
    log: &'a StageLog,
    memory: Mutex<Option<Share<'a>>>,
    used: Mutex<Usage>,
    rows: RowCounts,
    remarks: Vec<String>,
    provenance: Mutex<BTreeMap<String, String>>,
}

/// What a stage left behind.
pub struct Written {
    /// One manifest for each output, in order.
    pub outputs: Vec<Manifest>,
    /// Rows, where it maps clips.
    pub rows: RowCounts,
    /// Remarks for the summary.
    pub remarks: Vec<String>,
    /// Facts about this run that change no content.
    pub provenance: BTreeMap<String, String>,
}

impl<'a> StageIo<'a> {
    /// The surroundings of an instance that is about to run.
    #[must_use]
    pub fn new(
        around: &'a Surroundings<'a>,
        id: InstanceId,
        key: Digest,
        ports: Vec<IoPort>,
        outputs: &[Output],
        sources: &'a [SourceFile],
        log: &'a StageLog,
    ) -> Self {
        Self {
            around,
            id,
            key,
            ports,
            outputs: outputs.to_vec(),
            sources,
            written: vec![None; outputs.len()],
            log,
            memory: Mutex::default(),
            used: Mutex::default(),
            rows: RowCounts::default(),
            remarks: Vec::new(),
            provenance: Mutex::new(BTreeMap::new()),
        }
    }

    /// The cache that outputs go to.
    #[must_use]
    pub fn store(&self) -> &'a Store {
        self.around.store
    }

    /// CPU slots of the run. Nothing that a stage writes may depend on it.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.around.threads
    }

    /// Does work that runs in parallel, where it is made of many short pieces that wait for each other, as the step of a training is. On the CPU
    /// it gets threads of its own, the stage's share of all: on threads that every stage uses, the pieces of one would wait for those of
    /// another. What it gives must not depend on their number.
    pub fn spread<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self.around.device {
            Device::Cpu => self.around.gate.spread(work),
            _ => work(),
        }
    }

    /// The device that the run was asked to use.
    #[must_use]
    pub fn device(&self) -> Device {
        self.around.device
    }

    /// The files that the stage declared, sorted by label.
    #[must_use]
    pub fn sources(&self) -> &'a [SourceFile] {
        self.sources
    }

    /// Where the source file with this content lies.
    ///
    /// # Errors
    /// [`StageError::Failed`] if no data set of the pipeline declares it.
    pub fn file_of(&self, digest: &Digest) -> Result<&'a Path, StageError> {
        self.around.files.get(digest).map(PathBuf::as_path).ok_or_else(|| {
            StageError::failed(format!("no data set of the pipeline has a file with digest {digest}"))
                .help("the table of clips must come from a dataset stage of the same pipeline")
        })
    }

    /// The error of a stage that found other bytes in a source file than its key says; the digest that is remembered of the file is
    /// forgotten, so that the next run hashes it.
    #[must_use]
    pub fn found_changed(&self, path: &Path) -> StageError {
        self.around.inputs.forget_digest(path);
        StageError::failed(format!("`{}` changed while the pipeline ran", path.display()))
            .help("run again; nothing was recorded for this file")
    }

    fn port(&self, name: &str) -> Result<&IoPort, StageError> {
        self.ports.iter().find(|port| port.port.name == name).ok_or_else(|| {
            StageError::failed(format!("the stage asked for its input `{name}`, which it does not declare"))
        })
    }

    fn item(&self, name: &str) -> Result<(&IoPort, &IoItem), StageError> {
        let port = self.port(name)?;
        let item = port
            .items
            .first()
            .ok_or_else(|| StageError::failed(format!("the input `{name}` is not connected")))?;
        Ok((port, item))
    }

    /// Whether something is behind a port.
    #[must_use]
    pub fn has(&self, port: &str) -> bool {
        self.ports.iter().any(|io| io.port.name == port && !io.items.is_empty())
    }

    /// Every artefact behind a port; several where it collects.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the stage does not declare the port.
    pub fn items(&self, port: &str) -> Result<&[IoItem], StageError> {
        Ok(&self.port(port)?.items)
    }

    /// The manifest behind a port.
    ///
    /// # Errors
    /// [`StageError::Failed`] if nothing is connected.
    pub fn manifest(&self, port: &str) -> Result<&Manifest, StageError> {
        Ok(&self.item(port)?.1.manifest)
    }

    /// The metadata of the artefact behind a port.
    ///
    /// # Errors
    /// [`StageError::Failed`] if nothing is connected.
    pub fn meta(&self, port: &str) -> Result<&Meta, StageError> {
        Ok(&self.manifest(port)?.meta)
    }

    /// The table behind a port: the columns that the port declares it reads, no others.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a column is missing; [`StageError::Cache`] if the table cannot be read.
    pub fn table(&self, port: &str) -> Result<RecordBatch, StageError> {
        let (io, item) = self.item(port)?;
        self.read(&io.port, item)
    }

    /// The tables behind a port that collects, each with its cell.
    ///
    /// # Errors
    /// As [`StageIo::table`].
    pub fn tables(&self, port: &str) -> Result<Vec<(Axes, RecordBatch)>, StageError> {
        let io = self.port(port)?;
        io.items.iter().map(|item| Ok((item.axes.clone(), self.read(&io.port, item)?))).collect()
    }

    fn read(&self, port: &Port, item: &IoItem) -> Result<RecordBatch, StageError> {
        let columns = columns_read(port, &item.manifest).map_err(|column| {
            StageError::failed(format!("the input `{}` has no column `{column}`", port.name))
        })?;
        Ok(self.around.inputs.read_table(&item.manifest, Some(&columns))?)
    }

    /// The rows behind a port, memory-mapped.
    ///
    /// # Errors
    /// [`StageError::Cache`] if they cannot be opened.
    pub fn open_rows(&self, port: &str) -> Result<Rows, StageError> {
        Ok(self.around.inputs.open_rows(&self.item(port)?.1.manifest)?)
    }

    /// The bytes behind a port.
    ///
    /// # Errors
    /// [`StageError::Cache`] if they cannot be read.
    pub fn blob(&self, port: &str) -> Result<Vec<u8>, StageError> {
        Ok(self.around.inputs.read_blob(&self.item(port)?.1.manifest)?)
    }

    fn slot(&mut self, output: &str, form: FormKind) -> Result<(usize, &'static str), StageError> {
        let found =
            self.outputs.iter().position(|declared| declared.name == output && declared.kind.form() == form);
        let index = found.ok_or_else(|| {
            StageError::failed(format!("the stage wrote `{output}`, which it does not declare in that form"))
        })?;
        Ok((index, self.outputs[index].kind.name()))
    }

    /// Writes a table as an output.
    ///
    /// # Errors
    /// [`StageError::Cache`] if the cache cannot be written.
    pub fn write_table(&mut self, output: &str, meta: Meta, table: &RecordBatch) -> Result<(), StageError> {
        let (index, kind) = self.slot(output, FormKind::Table)?;
        self.written[index] = Some(self.around.store.put_table(kind, meta, table)?);
        Ok(())
    }

    /// Writes bytes as an output; the extension is what `show --export` names the file with.
    ///
    /// # Errors
    /// [`StageError::Cache`] if the cache cannot be written.
    pub fn write_blob(
        &mut self,
        output: &str,
        meta: Meta,
        bytes: &[u8],
        extension: &str,
    ) -> Result<(), StageError> {
        let (index, kind) = self.slot(output, FormKind::Blob)?;
        self.written[index] = Some(self.around.store.put_blob(kind, meta, bytes, extension)?);
        Ok(())
    }

    /// Writes rows whose shards are in the cache already.
    ///
    /// # Errors
    /// [`StageError::Cache`] if the cache cannot be written.
    pub fn write_index(&mut self, output: &str, meta: Meta, index: IndexBuilder) -> Result<(), StageError> {
        let (slot, kind) = self.slot(output, FormKind::Rows)?;
        self.written[slot] = Some(self.around.store.put_rows(kind, meta, index)?);
        Ok(())
    }

    /// Writes rows as an output, a shard for every few dozen megabytes. For stages that do not map clips to rows.
    ///
    /// # Errors
    /// [`StageError::Cache`] if the cache cannot be written; [`StageError::Interrupted`].
    pub fn write_rows(
        &mut self,
        output: &str,
        meta: Meta,
        rows: impl IntoIterator<Item = Result<(String, Row), StageError>>,
    ) -> Result<(), StageError> {
        const SHARD_BYTES: usize = 32 << 20;
        let store = self.around.store;
        let mut index = IndexBuilder::default();
        let (mut ids, mut pending, mut bytes) = (Texts::default(), Vec::new(), 0);
        let mut commit = |ids: &mut Texts, pending: &mut Vec<Row>| -> Result<(), StageError> {
            let (at, _) = store.put_shards(std::mem::take(pending))?;
            ids.iter().zip(&at).for_each(|(id, row)| index.push(id, row));
            *ids = Texts::default();
            Ok(())
        };
        for row in rows {
            self.tick()?;
            let (id, row) = row?;
            bytes += held_bytes(&row);
            pending.push(row);
            ids.push(&id);
            if bytes >= SHARD_BYTES {
                commit(&mut ids, &mut pending)?;
                bytes = 0;
            }
        }
        commit(&mut ids, &mut pending)?;
        self.write_index(output, meta, index)
    }

    /// The one place where a run can be stopped; called at least every second.
    ///
    /// # Errors
    /// [`StageError::Interrupted`] if the run is to stop.
    pub fn tick(&self) -> Result<(), StageError> {
        if self.around.cancel.load(Ordering::Relaxed) { Err(StageError::Interrupted) } else { Ok(()) }
    }

    /// The flag behind [`StageIo::tick`], for loops that have no `StageIo`.
    #[must_use]
    pub fn cancel(&self) -> &'a AtomicBool {
        self.around.cancel
    }

    /// Shows how far the stage is.
    pub fn progress(&self, done: u64, total: u64, unit: &'static str, note: impl Into<String>) {
        let progress = Progress { done, total, unit, note: note.into() };
        self.around.observer.event(&Event::Progress { id: self.id, progress: &progress });
    }

    /// Adds a line to the stage's log, which `sndpipe logs` prints later too. A log that cannot be written stops nothing.
    pub fn log(&self, line: &str) {
        self.log.line(line);
        self.around.observer.event(&Event::Log { id: self.id, line });
    }

    /// Says how much memory in bytes the stage is about to hold, beside mapped inputs. Waits, without a CPU slot, while other stages
    /// hold too much for both. To be called before the memory is taken, and once: who holds some must not wait for more.
    ///
    /// # Errors
    /// [`StageError::Failed`] with both numbers if it is more than the run may take; [`StageError::Interrupted`].
    pub fn memory(&self, bytes: u64) -> Result<(), StageError> {
        let mut held = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Err(StageError::failed("the stage asked for memory twice"));
        }
        tracing::debug!(bytes, "a stage asks for memory");
        *held = Some(self.around.gate.take(bytes, || self.tick())?);
        Ok(())
    }

    /// Adds what a program of the stage took: CPU seconds, and its peak memory in bytes.
    pub fn used(&self, cpu_seconds: f64, peak_bytes: u64) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).add(cpu_seconds, peak_bytes);
    }

    pub(crate) fn usage(&self) -> Usage {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a remark to the summary of the run.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Counts rows, for the summary.
    pub fn count_rows(&mut self, rows: RowCounts) {
        self.rows = rows;
    }

    /// Notes a fact that changes no content: a SIMD level, a device name.
    pub fn note(&self, name: &str, value: impl Into<String>) {
        if let Ok(mut notes) = self.provenance.lock() {
            notes.insert(name.to_owned(), value.into());
        }
    }

    /// A directory that outlives an interruption of this stage and is removed when it succeeds: for checkpoints.
    ///
    /// # Errors
    /// [`StageError::Cache`] if it cannot be made.
    pub fn work_dir(&self) -> Result<PathBuf, StageError> {
        Ok(self.around.store.work_dir(&self.key)?)
    }

    /// Writes a file into that directory: after a crash or a power failure it is the old one or the new one.
    ///
    /// # Errors
    /// [`StageError::Cache`] if the cache cannot be written.
    pub fn write_work(&self, name: &str, parts: &[&[u8]]) -> Result<(), StageError> {
        self.around.store.put_work(&self.key, name, parts)?;
        Ok(())
    }

    /// A failure as it is, or that the disk of the cache is full, where it is: programs and libraries say in many ways that they could
    /// not write.
    #[must_use]
    pub fn or_full(&self, error: StageError) -> StageError {
        match error {
            StageError::Failed { .. } => self.around.store.if_full().map_or(error, StageError::Cache),
            other => other,
        }
    }

    /// Ends the stage: every declared output must have been written.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming an output that is missing.
    pub fn finish(self) -> Result<Written, StageError> {
        let outputs = self
            .written
            .into_iter()
            .zip(&self.outputs)
            .map(|(manifest, output)| {
                manifest.ok_or_else(|| {
                    StageError::failed(format!("the stage did not write its output `{}`", output.name))
                })
            })
            .collect::<Result<_, _>>()?;
        let provenance = self.provenance.into_inner().unwrap_or_default();
        Ok(Written { outputs, rows: self.rows, remarks: self.remarks, provenance })
    }
}

/// The memory that a row takes while it waits to be committed, in bytes.
pub(crate) fn held_bytes(row: &Row) -> usize {
    row_bytes(row) + size_of::<(Digest, Row)>()
}

/// The size of a row in bytes.
pub(crate) fn row_bytes(row: &Row) -> usize {
    match &row.values {
        Values::F32(values) => 4 * values.len(),
        Values::F16(values) => 2 * values.len(),
    }
}
