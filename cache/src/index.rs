//! The index of a dense artefact: which clip is which row of which shard.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::Digest;

/// The columns of an index file, by clip; a clip has either a place or a reason.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) ids: Vec<String>,
    pub(crate) hashes: Vec<Digest>,
    /// Number of the shard and row in it.
    pub(crate) places: Vec<(u32, u32)>,
    pub(crate) skipped: Vec<(String, String)>,
}

impl Index {
    /// Encodes the index, whose clips and skipped clips are each sorted, as Arrow IPC, all sorted by clip.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ArrowError> {
        let total = self.ids.len() + self.skipped.len();
        let text_bytes: usize = self.ids.iter().map(String::len).sum::<usize>()
            + self.skipped.iter().map(|(id, reason)| id.len() + reason.len()).sum::<usize>();
        if i32::try_from(text_bytes).is_err() || i32::try_from(total).is_err() {
            return Err(ArrowError::InvalidArgumentError(format!(
                "{total} clips with {text_bytes} bytes of ids and reasons do not fit into one index"
            )));
        }
        let (mut ids, mut reasons) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let (mut hashes, mut shards, mut rows) =
            (Vec::with_capacity(total * 32), Vec::with_capacity(total), Vec::with_capacity(total));
        let (mut i, mut s) = (0, 0);
        while ids.len() < total {
            let is_row = match (self.ids.get(i), self.skipped.get(s)) {
                (Some(id), Some((skipped, _))) => id < skipped,
                (row, _) => row.is_some(),
            };
            if is_row {
                ids.push(self.ids[i].as_str());
                hashes.extend(self.hashes[i].0);
                shards.push(self.places[i].0);
                rows.push(self.places[i].1);
                reasons.push(None);
                i += 1;
            } else {
                ids.push(self.skipped[s].0.as_str());
                hashes.extend([0; 32]);
                shards.push(0);
                rows.push(0);
                reasons.push(Some(self.skipped[s].1.as_str()));
                s += 1;
            }
        }
        let nulls: Option<NullBuffer> =
            (s > 0).then(|| reasons.iter().map(Option::is_none).collect::<Vec<bool>>().into());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(ids)),
            Arc::new(FixedSizeBinaryArray::try_new(32, Buffer::from_vec(hashes), nulls.clone())?),
            Arc::new(UInt32Array::new(shards.into(), nulls.clone())),
            Arc::new(UInt32Array::new(rows.into(), nulls)),
            Arc::new(StringArray::from(reasons)),
        ];
        let schema = Arc::new(Schema::new(vec![
            Field::new("clip_id", DataType::Utf8, false),
            Field::new("hash", DataType::FixedSizeBinary(32), true),
            Field::new("shard", DataType::UInt32, true),
            Field::new("row", DataType::UInt32, true),
            Field::new("reason", DataType::Utf8, true),
        ]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let mut writer = FileWriter::try_new(Vec::new(), &schema)?;
        writer.write(&batch)?;
        writer.into_inner()
    }

    /// Decodes an index; the caller has compared the bytes with their checksum.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Index, String> {
        let mut index = Index::default();
        let reader = FileReader::try_new(Cursor::new(bytes), None).map_err(|error| error.to_string())?;
        for batch in reader {
            let batch = batch.map_err(|error| error.to_string())?;
            index.append(&batch).ok_or("its columns are not those of an index")?;
        }
        let ids = index.ids.is_sorted_by(|a, b| a < b);
        if !ids || !index.skipped.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("its clips are not in order".to_owned());
        }
        Ok(index)
    }

    fn append(&mut self, batch: &RecordBatch) -> Option<()> {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let number = |name| batch.column_by_name(name)?.as_primitive_opt::<UInt32Type>();
        let (ids, reasons) = (text("clip_id")?, text("reason")?);
        let (shards, rows) = (number("shard")?, number("row")?);
        let hashes = batch.column_by_name("hash")?.as_fixed_size_binary_opt()?;
        self.ids.reserve(batch.num_rows());
        self.hashes.reserve(batch.num_rows());
        self.places.reserve(batch.num_rows());
        for i in 0..batch.num_rows() {
            let id = ids.value(i).to_owned();
            if reasons.is_valid(i) {
                self.skipped.push((id, reasons.value(i).to_owned()));
            } else {
                self.hashes.push(Digest(hashes.value(i).try_into().ok()?));
                self.places.push((shards.value(i), rows.value(i)));
                self.ids.push(id);
            }
        }
        Some(())
    }
}
