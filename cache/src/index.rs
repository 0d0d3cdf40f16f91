//! The index of a dense artefact: which clip is which row of which shard.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt32Array};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::texts::Texts;
use crate::{Digest, arrow_file};

/// Clips in one record batch: reading and writing hold one batch beside the index.
const BATCH: usize = 1 << 16;

/// The column with the reasons of clips that have no row, and the remarks on rows.
const NOTE: &str = "note";

/// The columns of an index file, by clip; a clip has either a place or a reason, and one with a place may have a remark. A clip takes
/// 48 bytes and its id.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) ids: Texts,
    pub(crate) hashes: Vec<Digest>,
    /// Number of the shard and row in it.
    pub(crate) places: Vec<(u32, u32)>,
    /// Clips that have a place, with a remark.
    pub(crate) remarks: Vec<(String, String)>,
    pub(crate) skipped: Vec<(String, String)>,
}

impl Index {
    /// Encodes the index, whose clips and skipped clips are each sorted, as Arrow IPC, all sorted by clip.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ArrowError> {
        let total = self.ids.len() + self.skipped.len();
        let schema = Arc::new(Schema::new(vec![
            Field::new("clip_id", DataType::Utf8, false),
            Field::new("hash", DataType::FixedSizeBinary(32), true),
            Field::new("shard", DataType::UInt32, true),
            Field::new("row", DataType::UInt32, true),
            Field::new(NOTE, DataType::Utf8, true),
        ]));
        let mut writer = FileWriter::try_new(Vec::with_capacity(self.ids.bytes() + total * 56), &schema)?;
        let mut lines = self.lines();
        loop {
            let batch = columns(lines.by_ref().take(BATCH))?;
            let batch = RecordBatch::try_new(Arc::clone(&schema), batch)?;
            let written = batch.num_rows();
            if written > 0 || total == 0 {
                writer.write(&batch)?;
            }
            if written < BATCH {
                return writer.into_inner();
            }
        }
    }

    /// Lists clips and skipped clips together, sorted.
    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let (mut i, mut s, mut r) = (0, 0, 0);
        std::iter::from_fn(move || {
            let is_row = match (self.ids.get(i), self.skipped.get(s)) {
                (Some(id), Some((skipped, _))) => id < skipped.as_str(),
                (row, _) => row.is_some(),
            };
            if is_row {
                let (shard, row) = self.places[i];
                i += 1;
                let id = &self.ids[i - 1];
                let remark = self.remarks.get(r).filter(|(remarked, _)| remarked == id);
                r += usize::from(remark.is_some());
                let note = remark.map(|(_, text)| text.as_str());
                Some(Line { id, row: Some((&self.hashes[i - 1], shard, row)), note })
            } else {
                let (id, reason) = self.skipped.get(s)?;
                s += 1;
                Some(Line { id, row: None, note: Some(reason) })
            }
        })
    }

    /// Decodes an index, trusting none of its bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Index, String> {
        arrow_file::check(bytes)?;
        // What the reader does with bytes that contradict themselves is not ours to know.
        let read = catch_unwind(AssertUnwindSafe(|| -> Result<Index, String> {
            let mut index = Index::default();
            let reader = FileReader::try_new(Cursor::new(bytes), None).map_err(|error| error.to_string())?;
            for batch in reader {
                let batch = batch.map_err(|error| error.to_string())?;
                index.append(&batch).ok_or("its columns are not those of an index")?;
            }
            Ok(index)
        }));
        let index = read.unwrap_or_else(|_| Err("its record batches are unreadable".to_owned()))?;
        let ids = index.ids.iter().zip(index.ids.iter().skip(1)).all(|(a, b)| a < b);
        let sorted = |texts: &[(String, String)]| texts.is_sorted_by(|a, b| a.0 < b.0);
        if !ids || !sorted(&index.skipped) || !sorted(&index.remarks) {
            return Err("its clips are not in order".to_owned());
        }
        Ok(index)
    }

    fn append(&mut self, batch: &RecordBatch) -> Option<()> {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let number = |name| batch.column_by_name(name)?.as_primitive_opt::<UInt32Type>();
        let (ids, notes) = (text("clip_id")?, text(NOTE)?);
        let (shards, rows) = (number("shard")?, number("row")?);
        let hashes = batch.column_by_name("hash")?.as_fixed_size_binary_opt()?;
        self.ids.reserve(batch.num_rows());
        self.hashes.reserve(batch.num_rows());
        self.places.reserve(batch.num_rows());
        for i in 0..batch.num_rows() {
            let id = ids.value(i);
            let note = notes.is_valid(i).then(|| (id.to_owned(), notes.value(i).to_owned()));
            if hashes.is_null(i) {
                self.skipped.push(note?);
            } else {
                self.remarks.extend(note);
                self.hashes.push(Digest(hashes.value(i).try_into().ok()?));
                self.places.push((shards.value(i), rows.value(i)));
                self.ids.push(id);
            }
        }
        Some(())
    }
}

/// One line of an index file: a clip with the hash, shard and row of its row, if it has one, and the remark on it or the reason why
/// there is none.
struct Line<'a> {
    id: &'a str,
    row: Option<(&'a Digest, u32, u32)>,
    note: Option<&'a str>,
}

fn columns<'a>(lines: impl Iterator<Item = Line<'a>>) -> Result<Vec<ArrayRef>, ArrowError> {
    let (mut ids, mut notes) = (StringBuilder::new(), StringBuilder::new());
    let (mut hashes, mut shards, mut rows, mut valid) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Line { id, row, note } in lines {
        ids.append_value(id);
        notes.append_option(note);
        valid.push(row.is_some());
        let (hash, shard, row) = row.unwrap_or((&Digest([0; 32]), 0, 0));
        hashes.extend(hash.0);
        shards.push(shard);
        rows.push(row);
    }
    let nulls: Option<NullBuffer> = valid.contains(&false).then(|| valid.into());
    Ok(vec![
        Arc::new(ids.finish()),
        Arc::new(FixedSizeBinaryArray::try_new(32, Buffer::from_vec(hashes), nulls.clone())?),
        Arc::new(UInt32Array::new(shards.into(), nulls.clone())),
        Arc::new(UInt32Array::new(rows.into(), nulls)),
        Arc::new(notes.finish()),
    ])
}
