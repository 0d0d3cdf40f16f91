//! Shards: Arrow IPC files with many rows, mapped into memory and read in place.
//!
//! A shard is one record batch of `frames: UInt32` and `values: List<Float32 | Float16>`, without nulls and
//! compression. Files are written by the Arrow writer; they are read here from the places that the (verified)
//! flatbuffers name, every bound checked, because a damaged file must not bring the process down.

use std::fs::Metadata;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use arrow_array::{Array, ArrayRef, Float16Array, Float32Array, ListArray, RecordBatch, UInt32Array};
use arrow_buffer::OffsetBuffer;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use half::f16;
use memmap2::Mmap;

use crate::arrow_file;
use crate::folder::{DENIED, FILES, sharded};
use crate::row::Precision;
use crate::touched::Touched;
use crate::{Digest, Row, RowRef, Store, Values, ValuesRef};

pub(crate) const EXTENSION: &str = "arrow";

#[cfg(not(target_endian = "little"))]
compile_error!("shards are little-endian and read in place");

/// Encodes rows of one precision as an Arrow IPC file.
pub(crate) fn encode(rows: Vec<Row>, precision: Precision) -> Result<Vec<u8>, ArrowError> {
    let frames: UInt32Array = rows.iter().map(|row| row.frames).collect::<Vec<_>>().into();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.values.len()));
    let total = rows.iter().map(|row| row.values.len()).sum();
    let values: ArrayRef = match precision {
        Precision::F32 => {
            let mut all: Vec<f32> = Vec::with_capacity(total);
            for row in rows {
                if let Values::F32(values) = row.values {
                    all.extend_from_slice(&values);
                }
            }
            Arc::new(Float32Array::from(all))
        }
        Precision::F16 => {
            let mut all: Vec<f16> = Vec::with_capacity(total);
            for row in rows {
                if let Values::F16(values) = row.values {
                    all.extend_from_slice(&values);
                }
            }
            Arc::new(Float16Array::from(all))
        }
    };
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    let schema = Arc::new(Schema::new(vec![
        Field::new("frames", DataType::UInt32, false),
        Field::new("values", DataType::List(Arc::clone(&item)), false),
    ]));
    let bytes = total * precision.bytes() + frames.len() * 8 + 4096;
    let lists = ListArray::try_new(item, offsets, values, None)?;
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(frames), Arc::new(lists)])?;
    let mut writer = FileWriter::try_new(Vec::with_capacity(bytes), &schema)?;
    writer.write(&batch)?;
    drop(batch);
    writer.into_inner()
}

/// Why a shard cannot be used.
pub(crate) enum ShardError {
    /// It cannot be read; nothing is known about its content.
    Io(io::Error),
    /// It is not what was written.
    Damaged(String),
}

/// A mapped shard.
pub(crate) struct Shard {
    path: PathBuf,
    map: Mmap,
    layout: Layout,
    touched: Arc<Touched>,
}

/// Where in the file the arrays lie.
struct Layout {
    rows: usize,
    precision: Precision,
    frames: Range<usize>,
    offsets: Range<usize>,
    values: Range<usize>,
}

impl Store {
    /// Maps a shard after checking its length, if that is known, and its structure.
    pub(crate) fn open_shard(&self, id: &Digest, bytes: Option<u64>) -> Result<Shard, ShardError> {
        let path = self.shard_path(id);
        let file = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ShardError::Damaged("it is missing".to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(ShardError::Damaged(DENIED.to_owned()));
            }
            Err(error) => return Err(ShardError::Io(error)),
        };
        let meta = file.metadata().map_err(ShardError::Io)?;
        if let Some(bytes) = bytes
            && meta.len() != bytes
        {
            return Err(ShardError::Damaged(format!("it has {} bytes instead of {bytes}", meta.len())));
        }
        if meta.len() == 0 || !meta.is_file() {
            return Err(ShardError::Damaged("it is empty".to_owned()));
        }
        // SAFETY: the mapping is read-only and private to this struct. Files of the cache are never written in
        // place: they appear by renaming and go by unlinking, which leaves mappings intact. Bytes that a fault
        // changes are only ever read as numbers, whose every bit pattern is valid, and bounds come from `layout`,
        // which was copied out.
        let map = unsafe { Mmap::map(file.file()) }.map_err(ShardError::Io)?;
        let layout = layout(&map).map_err(|what| ShardError::Damaged(what.to_owned()))?;
        let touched = self.touched(id, &meta, layout.rows);
        Ok(Shard { path, map, layout, touched })
    }

    pub(crate) fn shard_path(&self, id: &Digest) -> PathBuf {
        sharded(&self.inner.dir, FILES, &format!("{id}.{EXTENSION}"))
    }

    /// Returns the bits of a shard, fresh ones if the file is not the one they speak of.
    fn touched(&self, id: &Digest, meta: &Metadata, rows: usize) -> Arc<Touched> {
        use std::os::unix::fs::MetadataExt;
        let stat = (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), meta.ino());
        let mut all = self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(id) {
            Some(known) if known.stat == stat && known.bits.len() == rows.div_ceil(64) => Arc::clone(known),
            _ => {
                let bits = (0..rows.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
                let fresh = Arc::new(Touched { stat, bits });
                all.insert(*id, Arc::clone(&fresh));
                fresh
            }
        }
    }
}

impl Shard {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn rows(&self) -> usize {
        self.layout.rows
    }

    pub(crate) fn precision(&self) -> Precision {
        self.layout.precision
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// Borrows a row; its hash is compared at the first touch in this process.
    pub(crate) fn row(&self, row: usize, hash: &Digest) -> Result<RowRef<'_>, &'static str> {
        let found = self.peek(row).ok_or("its offsets are wrong")?;
        let (word, bit) = (&self.touched.bits[row / 64], 1u64 << (row % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            if found.hash() != *hash {
                return Err("the hash of a row does not match");
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// Returns everything, for checksums.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.map
    }

    /// Returns how many bytes the values of a row take.
    pub(crate) fn row_bytes(&self, row: usize) -> Option<u64> {
        let row = self.peek(row)?;
        Some((row.values.len() * row.values.precision().bytes()) as u64)
    }

    /// Borrows a row as the file has it; `None` if there is no such row or its bounds are impossible.
    pub(crate) fn peek(&self, row: usize) -> Option<RowRef<'_>> {
        let layout = &self.layout;
        if row >= layout.rows {
            return None;
        }
        let frames = *self.slice::<u32>(&layout.frames)?.get(row)?;
        let offsets = self.slice::<i32>(&layout.offsets)?;
        let start = usize::try_from(*offsets.get(row)?).ok()?;
        let end = usize::try_from(*offsets.get(row + 1)?).ok()?;
        let values = match layout.precision {
            Precision::F32 => ValuesRef::F32(self.slice::<f32>(&layout.values)?.get(start..end)?),
            Precision::F16 => ValuesRef::F16(self.slice::<f16>(&layout.values)?.get(start..end)?),
        };
        Some(RowRef { frames, values })
    }

    fn slice<T: Number>(&self, range: &Range<usize>) -> Option<&[T]> {
        // SAFETY: `Number` is implemented below for plain numbers only, for which every bit pattern is valid.
        let (head, numbers, tail) = unsafe { self.map.get(range.clone())?.align_to::<T>() };
        (head.is_empty() && tail.is_empty()).then_some(numbers)
    }
}

/// A number of which every bit pattern is valid.
trait Number {}
impl Number for u32 {}
impl Number for i32 {}
impl Number for f32 {}
impl Number for f16 {}

/// Finds the arrays of a shard in its bytes, trusting none of them.
fn layout(file: &[u8]) -> Result<Layout, &'static str> {
    const SCHEMA: &str = "its columns are not those of a shard";
    const PLACE: &str = "its footer points outside of it";
    let footer = arrow_file::footer(file)?;
    let footer = arrow_ipc::root_as_footer(&footer).map_err(|_| "its footer is unreadable")?;
    let precision = precision(&footer).ok_or(SCHEMA)?;

    let blocks = footer.recordBatches().ok_or(PLACE)?;
    if blocks.len() != 1 {
        return Err("it does not have one record batch");
    }
    let (middle, end) = arrow_file::body(file, blocks.get(0))?;
    let length = end - middle;
    let message = arrow_file::message(file, blocks.get(0))?;
    let message = arrow_ipc::root_as_message(&message).map_err(|_| "its record batch is unreadable")?;
    let batch = message.header_as_record_batch().ok_or("its record batch is unreadable")?;
    if batch.compression().is_some() {
        return Err("it is compressed");
    }
    let rows = usize::try_from(batch.length()).map_err(|_| PLACE)?;
    if u32::try_from(rows).is_err() {
        return Err("it has more rows than a shard can have");
    }
    if batch.nodes().is_none_or(|nodes| nodes.len() != 3 || nodes.iter().any(|node| node.null_count() != 0)) {
        return Err(SCHEMA);
    }
    // Validity and data of `frames`, validity and offsets of `values`, validity and data of its items.
    let buffers = batch.buffers().filter(|buffers| buffers.len() == 6).ok_or(SCHEMA)?;
    let place = |index: usize, bytes: Option<usize>| -> Option<Range<usize>> {
        let buffer = buffers.get(index);
        let from = usize::try_from(buffer.offset()).ok()?;
        let has = usize::try_from(buffer.length()).ok()?;
        let bytes = bytes.unwrap_or(has);
        let to = from.checked_add(bytes)?;
        (bytes <= has && to <= length).then(|| middle + from..middle + to)
    };
    let frames = place(1, rows.checked_mul(4)).ok_or(PLACE)?;
    let offsets = place(3, rows.checked_add(1).and_then(|n| n.checked_mul(4))).ok_or(PLACE)?;
    let mut values = place(5, None).ok_or(PLACE)?;
    values.end -= values.len() % precision.bytes();
    Ok(Layout { rows, precision, frames, offsets, values })
}

/// Checks the schema and returns the precision of the values.
fn precision(footer: &arrow_ipc::Footer<'_>) -> Option<Precision> {
    let fields = footer.schema()?.fields()?;
    if fields.len() != 2 {
        return None;
    }
    let (frames, values) = (fields.get(0), fields.get(1));
    let frames_type = frames.type_as_int()?;
    if frames.name()? != "frames" || frames_type.bitWidth() != 32 || frames_type.is_signed() {
        return None;
    }
    values.type_as_list()?;
    let items = values.children()?;
    if values.name()? != "values" || items.len() != 1 {
        return None;
    }
    match items.get(0).type_as_floating_point()?.precision() {
        arrow_ipc::Precision::SINGLE => Some(Precision::F32),
        arrow_ipc::Precision::HALF => Some(Precision::F16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, UInt32Type};
    use arrow_ipc::reader::FileReader;

    use super::*;

    fn rows() -> Vec<Row> {
        let row = |frames, values| Row { frames, values: Values::F32(values) };
        vec![row(2, vec![1.0, 2.0]), row(0, vec![]), row(3, vec![4.0, 5.0, 6.0])]
    }

    #[test]
    fn any_arrow_reader_reads_a_shard() {
        let bytes = encode(rows(), Precision::F32).unwrap();
        let mut reader = FileReader::try_new(io::Cursor::new(bytes), None).unwrap();
        let batch = reader.next().unwrap().unwrap();
        assert!(reader.next().is_none());
        assert_eq!(batch.column(0).as_primitive::<UInt32Type>().values(), &[2, 0, 3]);
        let lists = batch.column(1).as_list::<i32>();
        for (i, row) in rows().into_iter().enumerate() {
            let Values::F32(values) = row.values else { panic!("not single precision") };
            assert_eq!(lists.value(i).as_primitive::<Float32Type>().values(), &values);
        }
    }

    #[test]
    fn arrays_are_found_where_they_are() {
        let bytes = encode(rows(), Precision::F32).unwrap();
        let Layout { rows, precision, frames, offsets, values } = layout(&bytes).unwrap();
        assert_eq!((rows, precision), (3, Precision::F32));
        assert_eq!(bytes[frames], [2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[offsets], [0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(values.len(), 20);
        assert_eq!(values.start % 64, 0);
    }

    /// Hostile bytes are refused or lead to places inside the file.
    #[test]
    fn no_bytes_lead_outside_the_file() {
        let good = encode(rows(), Precision::F32).unwrap();
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let (mut refused, mut kept) = (0, 0);
        for _ in 0..50_000 {
            let mut bad = good.clone();
            for _ in 0..1 + random(4) {
                let at = 6 + random(good.len() - 12);
                bad[at] = [0, 1, 0x7f, 0x80, 0xff, random(256) as u8][random(6)];
            }
            match layout(&bad) {
                Ok(Layout { frames, offsets, values, .. }) => {
                    kept += 1;
                    for range in [frames, offsets, values] {
                        assert!(range.start <= range.end && range.end <= bad.len(), "{range:?}");
                    }
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 1000 && kept > 1000, "{refused} {kept}");
    }
}
