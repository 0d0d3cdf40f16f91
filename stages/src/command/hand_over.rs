//! Inputs of a program, as files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float16Builder, Float32Builder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use sndpipe_cache::{Meta, ValuesRef};
use sndpipe_engine::{FormKind, Kind, StageError, StageIo, canonical};

/// The key of the schema's metadata that holds an artefact's metadata as JSON.
pub(super) const META_KEY: &str = "sndpipe";

/// Bytes of rows that are held before they are written.
const BATCH_BYTES: usize = 32 << 20;

/// The extension of a file of some kind.
pub(super) fn extension(kind: Kind) -> &'static str {
    match (kind.form(), kind) {
        (FormKind::Table, _) => "parquet",
        (FormKind::Rows, _) => "arrow",
        (_, Kind::Model) => "safetensors",
        (_, Kind::Report) => "html",
        _ => "bin",
    }
}

/// The column with the numbers of a row.
pub(super) fn values_column(kind: Kind) -> &'static str {
    if kind == Kind::Audio { "samples" } else { "values" }
}

/// Writes every input to a file in a folder.
///
/// # Errors
/// [`StageError`] if an input cannot be read or a file cannot be written.
pub(super) fn write(
    inputs: &BTreeMap<String, Kind>,
    dir: &Path,
    io: &StageIo<'_>,
) -> Result<BTreeMap<String, PathBuf>, StageError> {
    let mut places = BTreeMap::new();
    for (name, kind) in inputs {
        io.tick()?;
        let path = dir.join(format!("in.{name}.{}", extension(*kind)));
        match kind.form() {
            FormKind::Table => write_table(&path, io.meta(name)?, &io.table(name)?)?,
            FormKind::Rows => write_rows(&path, name, *kind, io)?,
            FormKind::Blob => fs_err::write(&path, io.blob(name)?)?,
        }
        places.insert(name.clone(), path);
    }
    Ok(places)
}

fn json(meta: &Meta) -> Result<String, StageError> {
    let value = serde_json::to_value(meta).map_err(|error| StageError::failed(error.to_string()))?;
    Ok(canonical(&value))
}

fn failed(path: &Path, error: impl std::fmt::Display) -> StageError {
    StageError::failed(format!("`{}` cannot be written: {error}", path.display()))
}

fn write_table(path: &Path, meta: &Meta, table: &RecordBatch) -> Result<(), StageError> {
    let meta = vec![KeyValue::new(META_KEY.to_owned(), json(meta)?)];
    let properties = WriterProperties::builder().set_key_value_metadata(Some(meta)).build();
    let file = fs_err::File::create(path)?;
    let mut writer =
        ArrowWriter::try_new(file, table.schema(), Some(properties)).map_err(|error| failed(path, error))?;
    writer.write(table).and_then(|()| writer.close()).map_err(|error| failed(path, error))?;
    Ok(())
}

/// The rows of a batch as they come.
struct Batch {
    ids: StringBuilder,
    frames: UInt32Builder,
    single: ListBuilder<Float32Builder>,
    half: ListBuilder<Float16Builder>,
    bytes: usize,
}

impl Batch {
    fn new() -> Self {
        Self {
            ids: StringBuilder::new(),
            frames: UInt32Builder::new(),
            single: ListBuilder::new(Float32Builder::new()),
            half: ListBuilder::new(Float16Builder::new()),
            bytes: 0,
        }
    }

    fn finish(
        &mut self,
        schema: &Arc<Schema>,
        is_half: bool,
    ) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let values: ArrayRef =
            if is_half { Arc::new(self.half.finish()) } else { Arc::new(self.single.finish()) };
        self.bytes = 0;
        let columns: Vec<ArrayRef> =
            vec![Arc::new(self.ids.finish()), Arc::new(self.frames.finish()), values];
        RecordBatch::try_new(Arc::clone(schema), columns)
    }
}

fn write_rows(path: &Path, name: &str, kind: Kind, io: &StageIo<'_>) -> Result<(), StageError> {
    let rows = io.open_rows(name)?;
    let is_half = !rows.is_empty() && matches!(rows.row(0)?.values, ValuesRef::F16(_));
    let number = if is_half { DataType::Float16 } else { DataType::Float32 };
    let fields = vec![
        Field::new("clip_id", DataType::Utf8, false),
        Field::new("frames", DataType::UInt32, false),
        Field::new(values_column(kind), DataType::List(Arc::new(Field::new_list_field(number, true))), false),
    ];
    let meta = [(META_KEY.to_owned(), json(io.meta(name)?)?)];
    let schema = Arc::new(Schema::new(fields).with_metadata(meta));
    let file = std::io::BufWriter::new(fs_err::File::create(path)?);
    let mut writer = FileWriter::try_new(file, &schema).map_err(|error| failed(path, error))?;
    let mut batch = Batch::new();
    for (position, id) in rows.ids().iter().enumerate() {
        io.tick()?;
        let row = rows.row(position)?;
        batch.ids.append_value(id);
        batch.frames.append_value(row.frames);
        match row.values {
            ValuesRef::F16(values) if is_half => {
                batch.half.values().append_slice(values);
                batch.half.append(true);
            }
            values => {
                let values = values.to_f32();
                batch.single.values().append_slice(&values);
                batch.single.append(true);
            }
        }
        batch.bytes += row.values.len() * 4;
        if batch.bytes >= BATCH_BYTES || position + 1 == rows.len() {
            let full = batch.finish(&schema, is_half).map_err(|error| failed(path, error))?;
            writer.write(&full).map_err(|error| failed(path, error))?;
        }
    }
    writer.finish().map_err(|error| failed(path, error))?;
    // What the program reads is on its way to the disk before it starts; nothing needs to be durable.
    writer
        .into_inner()
        .map_err(|error| failed(path, error))?
        .into_inner()
        .map_err(|error| failed(path, error.error()))?;
    Ok(())
}
