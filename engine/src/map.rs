//! Runs a [`MapStage`]: rows that are known are reused, the rest is computed in parallel and committed as it goes.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::{Array as _, RecordBatch, StringArray};
use rayon::prelude::*;
use sndpipe_cache::{
    Claim, Claimed, Digest, Hasher, Holder, IndexBuilder, InputState, Row, RowMap, RowOutcome, Rows,
};

use crate::count::{agree, counted};
use crate::error::StageError;
use crate::event::RowCounts;
use crate::io::{StageIo, held_bytes, row_bytes};
use crate::key::{InputPart, SourcesPart, canonical};
use crate::kind::FormKind;
use crate::panic::catch;
use crate::stage::{MapContent, MapError, MapInput, MapStage, Mapped, Selector};

/// Rows are committed when about this much has been computed, …
const SHARD_BYTES: usize = 32 << 20;
/// … or when this much time has passed, whichever comes first.
const SHARD_TIME: Duration = Duration::from_secs(5);
/// Rows are claimed and computed in slices of about this much …
const SLICE_BYTES: usize = 8 << 20;
/// … and of at most so many.
const SLICE_ROWS: usize = 1 << 16;

/// Runs a map stage: see the module.
pub(crate) fn run<M: MapStage>(
    typed: &M::Params,
    params: &serde_json::Value,
    io: &mut StageIo<'_>,
) -> Result<(), StageError> {
    let port = M::input(typed);
    let mut wanted = Wanted::read(&port.name, io)?;
    if let Some(selector) = M::selector(typed) {
        wanted.select(&selector, io)?;
    }
    let map = io.store().row_map(&map_key::<M>(typed, params, io)?)?;
    let missing = wanted.missing(&map);
    io.memory(M::memory(typed, io)? + rows_memory(missing.len()))?;
    let (worker, meta) = M::prepare(typed, io)?;
    M::remarks(&worker).into_iter().for_each(|remark| io.remark(remark));
    let computed = compute::<M>(&worker, &wanted, missing, &map, io)?;

    let mut index = IndexBuilder::default();
    for at in 0..wanted.len() {
        match map.get(&wanted.input(at)) {
            Some(RowOutcome::Row(_, Some(remark))) if M::refuses_remarks(typed) => {
                index.skip(wanted.id(at), &remark);
            }
            Some(RowOutcome::Row(row, remark)) => {
                index.push(wanted.id(at), &row);
                remark.iter().for_each(|remark| index.remark(wanted.id(at), remark));
            }
            Some(RowOutcome::Skipped(reason)) => index.skip(wanted.id(at), &reason),
            None => return Err(StageError::failed(format!("the row of `{}` was not kept", wanted.id(at)))),
        }
    }
    report_skipped::<M>(typed, &index, io)?;
    report_remarks::<M>(&index, io);
    let reused = (wanted.len() as u64).saturating_sub(computed);
    let (skipped, remarked) = (index.skipped().len() as u64, index.remarks().len() as u64);
    io.count_rows(RowCounts { computed, reused, skipped, remarked });
    drop((map, wanted));
    io.write_index(&M::output(typed).name, meta, index)
}

/// Memory in bytes for computing rows: one batch grows, one waits and one is being written. What a row takes is not known before it is
/// computed: few rows are taken to be as large as they may be in a slice.
fn rows_memory(missing: usize) -> u64 {
    (3 * SHARD_BYTES).min(missing.saturating_mul(SLICE_BYTES)) as u64
}

/// The clips to map, sorted by id, each with the digest of what it is computed from.
struct Wanted {
    port: String,
    clips: Clips,
    /// Which of them, if not all.
    chosen: Option<Vec<u32>>,
}

enum Clips {
    /// Files, by their digests.
    Files { ids: StringArray, digests: Vec<Digest> },
    /// Rows of an artefact, by their hashes.
    Rows(Rows),
}

impl Wanted {
    fn read(port: &str, io: &StageIo<'_>) -> Result<Self, StageError> {
        let rows_form =
            io.manifest(port)?.kind.parse::<crate::Kind>().is_ok_and(|kind| kind.form() == FormKind::Rows);
        let clips =
            if rows_form { Clips::Rows(io.open_rows(port)?) } else { Clips::files(&io.table(port)?)? };
        Ok(Self { port: port.to_owned(), clips, chosen: None })
    }

    fn len(&self) -> usize {
        match (&self.chosen, &self.clips) {
            (Some(chosen), _) => chosen.len(),
            (None, Clips::Files { digests, .. }) => digests.len(),
            (None, Clips::Rows(rows)) => rows.len(),
        }
    }

    /// Where a clip stands among all of the artefact.
    fn position(&self, at: usize) -> usize {
        self.chosen.as_ref().map_or(at, |chosen| chosen[at] as usize)
    }

    fn id(&self, at: usize) -> &str {
        let position = self.position(at);
        match &self.clips {
            Clips::Files { ids, .. } => ids.value(position),
            Clips::Rows(rows) => &rows.ids()[position],
        }
    }

    fn input(&self, at: usize) -> Digest {
        let position = self.position(at);
        match &self.clips {
            Clips::Files { digests, .. } => digests[position],
            Clips::Rows(rows) => rows.hash(position),
        }
    }

    /// Lists the clips whose row is not known, in order, one for each content.
    fn missing(&self, map: &RowMap) -> Vec<u32> {
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let mut missing: Vec<u32> = (0..count)
            .into_par_iter()
            .with_min_len(1024)
            .filter(|&at| map.get(&self.input(at as usize)).is_none())
            .collect();
        missing.par_sort_unstable_by_key(|&at| (self.input(at as usize), at));
        missing.dedup_by_key(|at| self.input(*at as usize));
        missing.par_sort_unstable();
        missing
    }

    fn select(&mut self, selector: &Selector, io: &StageIo<'_>) -> Result<(), StageError> {
        if !io.has(&selector.port.name) {
            return Ok(());
        }
        let table = io.table(&selector.port.name)?;
        let (ids, values) = (text_column(&table, "clip_id")?, text_column(&table, &selector.column)?);
        let mut chosen: Vec<&str> = (0..table.num_rows())
            .filter(|&row| selector.values.iter().any(|value| value == values.value(row)))
            .map(|row| ids.value(row))
            .collect();
        chosen.sort_unstable();
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let chosen: Vec<u32> =
            (0..count).filter(|&at| chosen.binary_search(&self.id(at as usize)).is_ok()).collect();
        if chosen.is_empty() {
            let message = format!(
                "`{}` selects no clip ({} = {})",
                selector.port.name,
                selector.column,
                selector.values.join(" or ")
            );
            return Err(StageError::failed(message).help("choose another subset or another split"));
        }
        self.chosen = Some(chosen);
        Ok(())
    }
}

impl Clips {
    fn files(table: &RecordBatch) -> Result<Self, StageError> {
        let (ids, texts) = (text_column(table, "clip_id")?.clone(), text_column(table, "digest")?);
        let mut digests = Vec::with_capacity(ids.len());
        for row in 0..ids.len() {
            let (id, digest) = (ids.value(row), texts.value(row));
            let parsed = digest.parse();
            digests.push(
                parsed.map_err(|_| StageError::failed(format!("`{digest}` is no digest (clip `{id}`)")))?,
            );
        }
        Ok(Self::Files { ids, digests })
    }
}

fn text_column<'a>(table: &'a RecordBatch, name: &str) -> Result<&'a StringArray, StageError> {
    let column = table.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| StageError::failed(format!("the table has no text column `{name}`")))
}

/// What rows are remembered under: the stage, its parameters, the metadata of the mapped artefact, all other inputs and declared files.
fn map_key<M: MapStage>(
    typed: &M::Params,
    params: &serde_json::Value,
    io: &StageIo<'_>,
) -> Result<Digest, StageError> {
    let mut hasher = Hasher::new("map");
    let mut params = params.clone();
    if let Some(map) = params.as_object_mut() {
        M::NOT_IN_ROWS.iter().for_each(|name| drop(map.remove(*name)));
    }
    hasher.str(M::NAME).u64(u64::from(M::VERSION)).str(&canonical(&params));
    let mapped = io.manifest(&M::input(typed).name)?;
    hasher.str(&mapped.kind).str(&canonical(&serde_json::to_value(&mapped.meta).unwrap_or_default()));
    for port in M::others(typed) {
        for item in io.items(&port.name)? {
            let part =
                InputPart::of_manifest(&port, item.axes.clone(), &item.manifest).map_err(|column| {
                    StageError::failed(format!("the input `{}` has no column `{column}`", port.name))
                })?;
            part.hash(&mut hasher);
        }
    }
    if !io.sources().is_empty() {
        hasher.digest(&SourcesPart::of(io.sources()).digest);
    }
    Ok(hasher.finish())
}

/// What was computed and is not committed yet.
#[derive(Default)]
struct Batch {
    rows: Vec<(Digest, Row)>,
    remarks: Vec<(Digest, String)>,
    skipped: Vec<(Digest, String)>,
    /// Memory that it takes, in bytes.
    bytes: usize,
    /// Keep others away until the rows are committed.
    claims: Vec<Claim>,
}

/// Clips to compute now, and what keeps others from them.
struct Slice {
    clips: Vec<u32>,
    claim: Option<Claim>,
}

/// What is left to do.
struct Queue {
    /// Clips to claim next, in order.
    next: VecDeque<u32>,
    /// Clips that somebody else is computing, and one who does.
    elsewhere: (Vec<u32>, Option<Holder>),
    /// Whether anything was claimed or found since the clips in `elsewhere` were last asked for.
    moved: bool,
}

impl Queue {
    fn new(missing: Vec<u32>) -> Self {
        Self { next: missing.into(), elsewhere: (Vec::new(), None), moved: false }
    }

    /// Claims about `count` clips. `None`: there is nothing left to claim, done or being computed elsewhere.
    fn claim(&mut self, count: usize, wanted: &Wanted, map: &RowMap) -> Result<Option<Slice>, StageError> {
        if self.next.is_empty() {
            if self.elsewhere.0.is_empty() || !self.moved {
                return Ok(None);
            }
            self.next.extend(self.elsewhere.0.drain(..));
            self.moved = false;
        }
        let clips: Vec<u32> = self.next.drain(..count.min(self.next.len())).collect();
        let inputs: Vec<Digest> = clips.iter().map(|&at| wanted.input(at as usize)).collect();
        let Claimed { states, claim, holder } = map.claim(&inputs)?;
        self.elsewhere.1 = holder.or(self.elsewhere.1.take());
        let mut mine = Vec::with_capacity(clips.len());
        for (at, state) in clips.into_iter().zip(states) {
            match state {
                InputState::Mine => mine.push(at),
                InputState::Elsewhere => self.elsewhere.0.push(at),
                InputState::Known => self.moved = true,
            }
        }
        self.moved |= !mine.is_empty();
        Ok(Some(Slice { clips: mine, claim }))
    }
}

/// Computes the missing rows in slices, each claimed first; a second thread commits them meanwhile. Returns how many were computed.
fn compute<M: MapStage>(
    worker: &M::Worker,
    wanted: &Wanted,
    missing: Vec<u32>,
    map: &RowMap,
    io: &StageIo<'_>,
) -> Result<u64, StageError> {
    if missing.is_empty() {
        return Ok(0);
    }
    let meta = io.meta(&wanted.port)?;
    let one = |at: usize| -> Result<Result<Mapped, String>, StageError> {
        io.tick()?;
        let clip_id = wanted.id(at);
        let bytes;
        let content = match &wanted.clips {
            Clips::Rows(rows) => MapContent::Row(rows.row(wanted.position(at))?),
            Clips::Files { .. } => {
                bytes = read_verified(clip_id, &wanted.input(at), io)?;
                MapContent::File(&bytes)
            }
        };
        match catch(|| M::map(worker, &MapInput { content, meta })) {
            Ok(Ok(mapped)) => Ok(Ok(mapped)),
            Ok(Err(MapError::Unusable(reason))) => Ok(Err(reason)),
            Ok(Err(MapError::Failed(error))) => Err(error.at(&format!("clip `{clip_id}`"))),
            Err(panic) => Err(StageError::from(panic).at(&format!("clip `{clip_id}`"))),
        }
    };
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Batch>(1);
        let committer = scope.spawn(move || -> Result<(), StageError> {
            for Batch { rows, remarks, skipped, claims, .. } in receive {
                map.commit(rows, remarks, skipped)?;
                drop(claims);
            }
            Ok(())
        });
        let total = missing.len() as u64;
        let mut queue = Queue::new(missing);
        let mut failure = None;
        let (mut batch, mut since, mut largest) = (Batch::default(), Instant::now(), 1);
        let threads = rayon::current_num_threads().clamp(1, SLICE_ROWS);
        let (mut computed, mut step) = (0, 4 * threads);
        io.progress(0, total, M::UNIT, "");
        while failure.is_none() {
            let Slice { clips: slice, claim } = match queue.claim(step, wanted, map) {
                Ok(Some(claimed)) => claimed,
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            batch.claims.extend(claim);
            let begun = Instant::now();
            let results: Vec<_> = slice
                .par_iter()
                .with_max_len((slice.len() >> 10).max(1))
                .map(|&at| (at, one(at as usize)))
                .collect();
            for (at, result) in results {
                let input = wanted.input(at as usize);
                match result {
                    Ok(Ok(Mapped { row, remark })) => {
                        batch.remarks.extend(remark.map(|remark| (input, remark)));
                        largest = largest.max(row_bytes(&row));
                        batch.bytes += held_bytes(&row);
                        batch.rows.push((input, row));
                    }
                    Ok(Err(reason)) => {
                        batch.bytes += reason.len();
                        batch.skipped.push((input, reason));
                    }
                    Err(error) if failure.is_none() => failure = Some(error),
                    Err(_) => {}
                }
            }
            computed += slice.len() as u64;
            let left = (queue.next.len() + queue.elsewhere.0.len()) as u64;
            io.progress(total - left, total, M::UNIT, "");
            // About a quarter of a second between looks: rows may take microseconds or seconds.
            let taken = begun.elapsed();
            if taken < Duration::from_millis(125) {
                step *= 2;
            } else if taken > Duration::from_millis(500) {
                step /= 2;
            }
            step = step.clamp(1, (SLICE_BYTES / largest).clamp(threads, SLICE_ROWS));
            if batch.bytes >= SHARD_BYTES || since.elapsed() >= SHARD_TIME || failure.is_some() {
                since = Instant::now();
                if send.send(std::mem::take(&mut batch)).is_err() {
                    break;
                }
            }
        }
        // A committer that failed says why below.
        let _ = send.send(batch);
        drop(send);
        let committed =
            committer.join().map_err(|_| StageError::failed("the thread that writes rows panicked"))?;
        match (failure, committed, queue.elsewhere) {
            (_, Err(error), _) | (Some(error), Ok(()), _) => Err(error),
            (None, Ok(()), (clips, Some(holder))) if !clips.is_empty() => {
                Err(StageError::Elsewhere { holder, computed })
            }
            (None, Ok(()), _) => Ok(computed),
        }
    })
}

/// Reads a source file and proves that it still is what the plan saw.
fn read_verified(clip_id: &str, digest: &Digest, io: &StageIo<'_>) -> Result<Vec<u8>, StageError> {
    let path = io.file_of(digest)?;
    let bytes =
        fs_err::read(path).map_err(|error| StageError::from(error).at(&format!("clip `{clip_id}`")))?;
    if Digest::of(&bytes) == *digest {
        return Ok(bytes);
    }
    Err(io.found_changed(path).at(&format!("clip `{clip_id}`")))
}

fn report_skipped<M: MapStage>(
    typed: &M::Params,
    index: &IndexBuilder,
    io: &mut StageIo<'_>,
) -> Result<(), StageError> {
    let skipped = index.skipped();
    if skipped.is_empty() {
        return Ok(());
    }
    log(skipped, io);
    let (all, lines) = (index.len() + skipped.len(), listed(skipped));
    if !M::skips(typed) {
        let message = format!("{} of {} cannot be used:{lines}", skipped.len(), counted(all, "clip"));
        return Err(StageError::failed(message).help("repair or remove the files, or set `on_error: skip`"));
    }
    if index.is_empty() {
        return Err(StageError::failed(format!("none of {} can be used:{lines}", counted(all, "clip"))));
    }
    io.remark(format!("{} of {} skipped:{lines}", skipped.len(), counted(all, "clip")));
    Ok(())
}

/// Tells what is to be known of rows, those that were reused among them.
fn report_remarks<M: MapStage>(index: &IndexBuilder, io: &mut StageIo<'_>) {
    let (remarks, all) = (index.remarks(), index.len() + index.skipped().len());
    if remarks.is_empty() {
        return;
    }
    log(remarks, io);
    let [one, more] = M::REMARKED;
    let said = agree(remarks.len(), one, more);
    io.remark(format!("{} of {} {said}:{}", remarks.len(), counted(all, "clip"), listed(remarks)));
}

fn log(texts: &[(String, String)], io: &StageIo<'_>) {
    for (clip_id, text) in texts {
        io.log(&format!("{clip_id}: {text}"));
    }
}

/// The first few of many clips, each on a line of its own.
fn listed(texts: &[(String, String)]) -> String {
    const SHOWN: usize = 5;
    let mut lines = String::new();
    for (clip_id, text) in texts.iter().take(SHOWN) {
        lines.push_str(&format!("\n  {clip_id}: {text}"));
    }
    if texts.len() > SHOWN {
        lines.push_str(&format!("\n  and {} more (`sndpipe logs` lists all)", texts.len() - SHOWN));
    }
    lines
}
