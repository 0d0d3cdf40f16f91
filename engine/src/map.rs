//! Runs a [`MapStage`]: rows that are known are reused, the rest is computed in parallel and committed as it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use rayon::prelude::*;
use sndpipe_cache::{Digest, Hasher, IndexRow, Row, RowMap, RowOutcome, Rows};

use crate::event::RowCounts;
use crate::io::{StageIo, row_bytes};
use crate::key::{InputPart, canonical};
use crate::kind::FormKind;
use crate::panic::catch;
use crate::stage::{MapContent, MapError, MapInput, MapStage, Selector, StageError};

/// Rows are committed when about this much has been computed, …
const SHARD_BYTES: usize = 32 << 20;
/// … or when this much time has passed, whichever comes first.
const SHARD_TIME: Duration = Duration::from_secs(5);

/// Runs a map stage: see the module.
pub(crate) fn run<M: MapStage>(
    typed: &M::Params,
    params: &serde_json::Value,
    io: &mut StageIo<'_>,
) -> Result<(), StageError> {
    let (worker, meta) = M::prepare(typed, io)?;
    let port = M::input(typed);
    let mut wanted = Wanted::read(&port.name, io)?;
    if let Some(selector) = M::selector(typed) {
        wanted.select(&selector, io)?;
    }
    let map = io.store().row_map(&map_key::<M>(typed, params, io)?)?;

    let mut known: BTreeMap<Digest, RowOutcome> = BTreeMap::new();
    let mut missing: Vec<usize> = Vec::new();
    let mut asked: BTreeSet<Digest> = BTreeSet::new();
    for (position, (_, input)) in wanted.clips.iter().enumerate() {
        if !asked.insert(*input) {
            continue;
        }
        match map.get(input) {
            Some(outcome) => drop(known.insert(*input, outcome)),
            None => missing.push(position),
        }
    }
    let computed = missing.len() as u64;
    compute::<M>(&worker, &wanted, &missing, &map, io, &mut known)?;

    let (mut index, mut skipped) = (Vec::with_capacity(wanted.clips.len()), Vec::new());
    for (clip_id, input) in &wanted.clips {
        match known.get(input) {
            Some(RowOutcome::Row(row)) => index.push(IndexRow { clip_id: clip_id.clone(), row: *row }),
            Some(RowOutcome::Skipped(reason)) => skipped.push((clip_id.clone(), reason.clone())),
            None => return Err(StageError::failed(format!("the row of `{clip_id}` was not kept"))),
        }
    }
    report_skipped::<M>(typed, &index, &skipped, io)?;
    let reused = (wanted.clips.len() as u64).saturating_sub(computed);
    io.count_rows(RowCounts { computed, reused, skipped: skipped.len() as u64 });
    io.write_index(&M::output(typed).name, meta, index, skipped)
}

/// The clips to map, sorted by id, each with the digest of what it is computed from.
struct Wanted {
    port: String,
    clips: Vec<(String, Digest)>,
    rows: Option<Rows>,
}

impl Wanted {
    fn read(port: &str, io: &StageIo<'_>) -> Result<Self, StageError> {
        let rows_form =
            io.manifest(port)?.kind.parse::<crate::Kind>().is_ok_and(|kind| kind.form() == FormKind::Rows);
        if rows_form {
            let rows = io.open_rows(port)?;
            let clips = rows.ids().iter().enumerate().map(|(i, id)| (id.clone(), rows.hash(i))).collect();
            return Ok(Self { port: port.to_owned(), clips, rows: Some(rows) });
        }
        let table = io.table(port)?;
        let (ids, digests) = (text_column(&table, "clip_id")?, text_column(&table, "digest")?);
        let mut clips = Vec::with_capacity(ids.len());
        for (id, digest) in ids.into_iter().zip(digests) {
            let digest = digest
                .parse()
                .map_err(|_| StageError::failed(format!("`{digest}` is no digest (clip `{id}`)")))?;
            clips.push((id, digest));
        }
        Ok(Self { port: port.to_owned(), clips, rows: None })
    }

    fn select(&mut self, selector: &Selector, io: &StageIo<'_>) -> Result<(), StageError> {
        if !io.has(&selector.port.name) {
            return Ok(());
        }
        let table = io.table(&selector.port.name)?;
        let (ids, values) = (text_column(&table, "clip_id")?, text_column(&table, &selector.column)?);
        let chosen: BTreeSet<String> = ids
            .into_iter()
            .zip(values)
            .filter(|(_, value)| selector.values.contains(value))
            .map(|(id, _)| id)
            .collect();
        self.clips.retain(|(id, _)| chosen.contains(id));
        if self.clips.is_empty() {
            let message = format!(
                "`{}` selects no clip ({} = {})",
                selector.port.name,
                selector.column,
                selector.values.join(" or ")
            );
            return Err(StageError::failed(message).help("choose another subset or another split"));
        }
        Ok(())
    }
}

fn text_column(table: &arrow_array::RecordBatch, name: &str) -> Result<Vec<String>, StageError> {
    let column = table.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let column =
        column.ok_or_else(|| StageError::failed(format!("the table has no text column `{name}`")))?;
    Ok(column.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
}

/// What rows are remembered under: the stage, its parameters, the metadata of the mapped artefact and all other inputs.
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
    Ok(hasher.finish())
}

type Batch = (Vec<(Digest, Row)>, Vec<(Digest, String)>);

/// Computes the missing rows in batches; a second thread commits them meanwhile.
fn compute<M: MapStage>(
    worker: &M::Worker,
    wanted: &Wanted,
    missing: &[usize],
    map: &RowMap,
    io: &StageIo<'_>,
    known: &mut BTreeMap<Digest, RowOutcome>,
) -> Result<(), StageError> {
    if missing.is_empty() {
        return Ok(());
    }
    let meta = io.meta(&wanted.port)?;
    let one = |position: usize| -> Result<Result<Row, String>, StageError> {
        io.tick()?;
        let (clip_id, input) = &wanted.clips[position];
        let bytes;
        let content = match &wanted.rows {
            Some(rows) => {
                let at = rows
                    .position(clip_id)
                    .ok_or_else(|| StageError::failed(format!("`{clip_id}` has no row")))?;
                MapContent::Row(rows.row(at)?)
            }
            None => {
                bytes = read_verified(clip_id, input, io)?;
                MapContent::File(&bytes)
            }
        };
        match catch(|| M::map(worker, &MapInput { content, meta })) {
            Ok(Ok(row)) => Ok(Ok(row)),
            Ok(Err(MapError::Unusable(reason))) => Ok(Err(reason)),
            Ok(Err(MapError::Failed(error))) => Err(error.at(&format!("clip `{clip_id}`"))),
            Err(panic) => Err(StageError::from(panic).at(&format!("clip `{clip_id}`"))),
        }
    };
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Batch>(1);
        let committer = scope.spawn(move || -> Result<BTreeMap<Digest, RowOutcome>, StageError> {
            let mut done = BTreeMap::new();
            for (rows, skipped) in receive {
                done.extend(
                    skipped.iter().map(|(input, reason)| (*input, RowOutcome::Skipped(reason.clone()))),
                );
                done.extend(
                    map.commit(rows, skipped)?.into_iter().map(|(input, at)| (input, RowOutcome::Row(at))),
                );
            }
            Ok(done)
        });
        let mut failure = None;
        let (mut batch, mut bytes, mut since): (Batch, usize, Instant) =
            (Batch::default(), 0, Instant::now());
        let (mut done, mut step) = (0, 4 * rayon::current_num_threads().max(1));
        io.progress(0, missing.len() as u64, M::UNIT, "");
        while done < missing.len() && failure.is_none() {
            let slice = &missing[done..(done + step).min(missing.len())];
            let begun = Instant::now();
            let results: Vec<_> =
                slice.par_iter().with_max_len(1).map(|&position| (position, one(position))).collect();
            for (position, result) in results {
                let input = wanted.clips[position].1;
                match result {
                    Ok(Ok(row)) => {
                        bytes += row_bytes(&row);
                        batch.0.push((input, row));
                    }
                    Ok(Err(reason)) => batch.1.push((input, reason)),
                    Err(error) if failure.is_none() => failure = Some(error),
                    Err(_) => {}
                }
            }
            done += slice.len();
            io.progress(done as u64, missing.len() as u64, M::UNIT, "");
            // About a quarter of a second between looks: rows may take microseconds or seconds.
            let taken = begun.elapsed();
            step = if taken < Duration::from_millis(125) {
                (step * 2).min(4096)
            } else if taken > Duration::from_millis(500) {
                (step / 2).max(1)
            } else {
                step
            };
            let full = bytes >= SHARD_BYTES || since.elapsed() >= SHARD_TIME;
            if full || done == missing.len() || failure.is_some() {
                bytes = 0;
                since = Instant::now();
                if send.send(std::mem::take(&mut batch)).is_err() {
                    break;
                }
            }
        }
        drop(send);
        let committed =
            committer.join().map_err(|_| StageError::failed("the thread that writes rows panicked"))?;
        match (failure, committed) {
            (_, Err(error)) | (Some(error), Ok(_)) => Err(error),
            (None, Ok(done)) => {
                known.extend(done);
                Ok(())
            }
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
    let message = format!("clip `{clip_id}`: {} changed while the pipeline ran", path.display());
    Err(StageError::failed(message).help("run again; nothing was recorded for this file"))
}

fn report_skipped<M: MapStage>(
    typed: &M::Params,
    index: &[IndexRow],
    skipped: &[(String, String)],
    io: &mut StageIo<'_>,
) -> Result<(), StageError> {
    if skipped.is_empty() {
        return Ok(());
    }
    for (clip_id, reason) in skipped {
        io.log(&format!("{clip_id}: {reason}"));
    }
    let (all, shown) = (index.len() + skipped.len(), 5);
    let mut lines = String::new();
    for (clip_id, reason) in skipped.iter().take(shown) {
        lines.push_str(&format!("\n  {clip_id}: {reason}"));
    }
    if skipped.len() > shown {
        lines.push_str(&format!("\n  and {} more (`sndpipe logs` lists all)", skipped.len() - shown));
    }
    if !M::skips(typed) {
        let message = format!("{} of {all} clips cannot be used:{lines}", skipped.len());
        return Err(StageError::failed(message).help("repair or remove the files, or set `on_error: skip`"));
    }
    if index.is_empty() {
        return Err(StageError::failed(format!("none of the {all} clips can be used:{lines}")));
    }
    io.remark(format!("{} of {all} clips skipped:{lines}", skipped.len()));
    Ok(())
}
