//! Outputs of a program: read, checked and brought into order.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, UInt32Array};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::DataType;
use arrow_select::take::take_record_batch;
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::Split;
use sndpipe_artefacts::columns;
use sndpipe_artefacts::composed;
use sndpipe_artefacts::scales;
use sndpipe_cache::{Digest, Meta, Row, Values};
use sndpipe_engine::{FormKind, Kind, StageError, StageIo};

use super::foreign::{self, Foreign};
use super::hand_over::{META_KEY, extension, values_column};
use super::params::CommandParams;

/// An output that is being read.
struct Output<'a> {
    name: &'a str,
    kind: Kind,
    path: &'a Path,
}

/// Reads every output and writes it into the cache.
///
/// # Errors
/// [`StageError::Failed`] naming the output and what is wrong with it.
pub(super) fn read(
    params: &CommandParams,
    places: &BTreeMap<String, PathBuf>,
    io: &mut StageIo<'_>,
) -> Result<(), StageError> {
    for (name, kind) in &params.outputs {
        io.tick()?;
        let Some(path) = places.get(name) else { continue };
        let output = Output { name, kind: *kind, path };
        if !path.is_file() {
            let message = format!("the program did not write its output `{name}`");
            return Err(StageError::failed(message).help(format!(
                "it is to write {{out.{name}}} (also in SNDPIPE_OUT_{})",
                name.to_uppercase()
            )));
        }
        match kind.form() {
            FormKind::Table => output.table(params, io)?,
            FormKind::Rows => output.rows(params, io)?,
            FormKind::Blob => {
                let bytes = fs_err::read(path)?;
                if *kind == Kind::Model {
                    check_safetensors(&bytes).map_err(|what| output.wrong(what))?;
                }
                let meta = output.meta(None, params, io)?;
                io.write_blob(name, meta, &bytes, extension(*kind))?;
            }
        }
    }
    Ok(())
}

impl Output<'_> {
    fn wrong(&self, what: impl std::fmt::Display) -> StageError {
        StageError::failed(format!("output `{}` ({}): {what}", self.name, self.kind))
    }

    /// A failure, with the output that it is about.
    fn about(&self, error: StageError) -> StageError {
        let told = self.wrong("").to_string();
        match error {
            StageError::Failed { message, help } if !message.starts_with(&told) => {
                StageError::Failed { message: self.wrong(message).to_string(), help }
            }
            other => other,
        }
    }

    /// The metadata that the program wrote, or that of the first input of this kind.
    fn meta(
        &self,
        written: Option<&str>,
        params: &CommandParams,
        io: &StageIo<'_>,
    ) -> Result<Meta, StageError> {
        let mut meta: Meta = match written {
            Some(text) => serde_json::from_str(text).map_err(|error| {
                self.wrong(format!("the metadata `{META_KEY}` is no JSON object: {error}"))
            })?,
            None => match params.inputs.iter().find(|(_, kind)| **kind == self.kind) {
                Some((input, _)) => io.meta(input)?.clone(),
                None => Meta::new(),
            },
        };
        // Whoever repeats the recipe on a new file must know that a program is part of it.
        if let Some(recipe) = meta.get_mut("recipe").and_then(serde_json::Value::as_object_mut) {
            recipe.insert("command".to_owned(), params.program.clone().into());
        }
        Ok(meta)
    }

    fn table(&self, params: &CommandParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let Foreign { table, meta } = foreign::read(self.path).map_err(|error| self.about(error))?;
        let mut meta = self.meta(meta.as_deref(), params, io)?;
        let table = self.checked(table, &mut meta).map_err(|error| self.about(error))?;
        io.write_table(self.name, meta, &table)
    }

    /// Checks the columns that the kind needs, and sorts by clip.
    fn checked(&self, table: RecordBatch, meta: &mut Meta) -> Result<RecordBatch, StageError> {
        match self.kind {
            Kind::Clips => {
                for digest in columns::text(&table, "digest")? {
                    digest.parse::<Digest>().map_err(|_| {
                        StageError::failed(format!("`{digest}` in column `digest` is no digest"))
                            .help("keep the digests of the clips that came in")
                    })?;
                }
                columns::text(&table, "path")?;
                by_clip(&table)
            }
            Kind::Split => {
                by_clip(&table)?;
                Split::read(&table)?.to_table()
            }
            Kind::Labels => {
                if !meta.contains_key("classes") {
                    let classes = columns::text(&table, "class")?;
                    let mut classes: Vec<String> = classes.iter().map(|class| composed(class)).collect();
                    classes.sort();
                    classes.dedup();
                    meta.insert("classes".to_owned(), classes.into());
                }
                let labels = Labels::read(&table, meta)?;
                if labels.clips.values().map(BTreeMap::len).sum::<usize>() != table.num_rows() {
                    return Err(StageError::failed("a clip has one class twice"));
                }
                Ok(labels.to_table()?.1)
            }
            Kind::Metrics => {
                scales(&table)?;
                columns::number(&table, "value")?;
                Ok(table)
            }
            Kind::History => {
                columns::maybe_int(&table, "epoch")?;
                columns::text(&table, "subset")?;
                scales(&table)?;
                columns::number(&table, "value")?;
                Ok(table)
            }
            _ => Ok(table),
        }
    }

    fn rows(&self, params: &CommandParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let reader = self.open()?;
        let written = reader.schema().metadata().get(META_KEY).cloned();
        let meta = self.meta(written.as_deref(), params, io)?;
        let channels = meta.get("channels").and_then(serde_json::Value::as_u64).unwrap_or(1).max(1);
        let channels = usize::try_from(channels).unwrap_or(usize::MAX);
        let rows = reader.flat_map(|batch| {
            match batch.map_err(|error| self.wrong(error)).and_then(|batch| self.batch(&batch, channels)) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        });
        io.write_rows(self.name, meta, rows).map_err(|error| self.about(error))
    }

    /// Opens an Arrow IPC file (Feather version 2) or stream.
    fn open(&self) -> Result<Box<dyn RecordBatchReader>, StageError> {
        let mut file = BufReader::new(fs_err::File::open(self.path)?);
        let start = file.fill_buf()?;
        let is_file = start.starts_with(b"ARROW1");
        if start.starts_with(b"FEA1") {
            let old = self.wrong("a Feather file of version 1");
            return Err(
                old.help("write version 2, which is Arrow IPC: `write_feather(table, path, version=2)`")
            );
        }
        let failed = |error| self.wrong(format!("not an Arrow IPC file: {error}"));
        if is_file {
            Ok(Box::new(FileReader::try_new(file, None).map_err(failed)?))
        } else {
            Ok(Box::new(StreamReader::try_new(file, None).map_err(failed)?))
        }
    }

    fn batch(&self, batch: &RecordBatch, channels: usize) -> Result<Vec<(String, Row)>, StageError> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| {
                let names: Vec<&str> =
                    batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
                self.wrong(format!("no column `{name}`; its columns are {}", names.join(", ")))
            })
        };
        let texts = column("clip_id")?;
        let id = |at: usize| text(texts, at);
        let name = values_column(self.kind);
        let values = column(name)?;
        let frames = batch.column_by_name("frames").map(whole);
        let mut rows = Vec::with_capacity(batch.num_rows());
        for at in 0..batch.num_rows() {
            let id = id(at).ok_or_else(|| self.wrong(format!("row {at} of column `clip_id` is no text")))?;
            let numbers = list(values, at).ok_or_else(|| {
                let found = values.data_type();
                self.wrong(format!(
                    "clip `{id}`: column `{name}` is {found}, not a list of numbers without absent ones"
                ))
            })?;
            if !numbers.iter_finite() {
                return Err(
                    self.wrong(format!("clip `{id}`: column `{name}` holds a value that is not finite"))
                );
            }
            let given = frames
                .as_ref()
                .map(|frames| frames.as_ref().and_then(|frames| frames.get(at).copied().flatten()));
            let frames = match (given, self.kind) {
                (Some(Some(frames)), _) => u32::try_from(frames).ok(),
                (Some(None), _) => None,
                (None, Kind::Audio) => u32::try_from(numbers.len() / channels).ok(),
                (None, Kind::Scores | Kind::Embeddings) => Some(1),
                (None, _) => return Err(self.wrong("no column `frames`")),
            };
            let frames = frames
                .ok_or_else(|| self.wrong(format!("clip `{id}`: column `frames` is no number of frames")))?;
            if numbers.is_empty() || frames == 0 || numbers.len() % frames as usize != 0 {
                return Err(
                    self.wrong(format!("clip `{id}`: {} values are not {frames} frames", numbers.len()))
                );
            }
            rows.push((id.to_owned(), Row { frames, values: numbers }));
        }
        Ok(rows)
    }
}

/// The text of a row, which may be one of a dictionary (`categorical`).
fn text(column: &ArrayRef, at: usize) -> Option<&str> {
    match column.data_type() {
        _ if column.is_null(at) => None,
        DataType::Utf8 => Some(column.as_string::<i32>().value(at)),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(at)),
        DataType::Utf8View => Some(column.as_string_view().value(at)),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            text(dictionary.values(), *dictionary.normalized_keys().get(at)?)
        }
        _ => None,
    }
}

/// Whether every number is one.
trait Finite {
    fn iter_finite(&self) -> bool;
}

impl Finite for Values {
    fn iter_finite(&self) -> bool {
        match self {
            Self::F32(values) => values.iter().all(|value| value.is_finite()),
            Self::F16(values) => values.iter().all(|value| value.is_finite()),
        }
    }
}

/// The numbers of one row; 64-bit numbers become 32-bit ones.
fn list(column: &ArrayRef, at: usize) -> Option<Values> {
    if column.is_null(at) {
        return None;
    }
    let numbers: ArrayRef = match column.data_type() {
        DataType::List(_) => column.as_list::<i32>().value(at),
        DataType::LargeList(_) => column.as_list::<i64>().value(at),
        DataType::FixedSizeList(..) => column.as_fixed_size_list().value(at),
        _ => return None,
    };
    if numbers.null_count() > 0 {
        return None;
    }
    match numbers.data_type() {
        DataType::Float32 => Some(Values::F32(numbers.as_primitive::<Float32Type>().values().to_vec())),
        DataType::Float16 => Some(Values::F16(numbers.as_primitive::<Float16Type>().values().to_vec())),
        DataType::Float64 => Some(Values::F32(
            numbers.as_primitive::<Float64Type>().values().iter().map(|&value| value as f32).collect(),
        )),
        _ => None,
    }
}

/// Whole numbers of any type.
fn whole(column: &ArrayRef) -> Option<Vec<Option<i64>>> {
    macro_rules! widened {
        ($($name:ident: $kind:ty),*) => {
            match column.data_type() {
                $(DataType::$name => {
                    let values = column.as_primitive::<$kind>().iter();
                    Some(values.map(|value| value.and_then(|value| i64::try_from(value).ok())).collect())
                })*
                _ => None,
            }
        };
    }
    widened!(Int8: Int8Type, Int16: Int16Type, Int32: Int32Type, Int64: Int64Type, UInt8: UInt8Type, UInt16: UInt16Type, UInt32: UInt32Type, UInt64: UInt64Type)
}

/// The table sorted by `clip_id`, each of which may be there once.
fn by_clip(table: &RecordBatch) -> Result<RecordBatch, StageError> {
    let ids = columns::text(table, "clip_id")?;
    let mut order: Vec<u32> = (0..u32::try_from(ids.len()).unwrap_or(u32::MAX)).collect();
    order.sort_by(|&a, &b| ids[a as usize].cmp(&ids[b as usize]));
    if let Some(pair) = order.windows(2).find(|pair| ids[pair[0] as usize] == ids[pair[1] as usize]) {
        return Err(StageError::failed(format!(
            "clip `{}` is there twice in column `clip_id`",
            ids[pair[0] as usize]
        )));
    }
    take_record_batch(table, &UInt32Array::from(order)).map_err(|error| StageError::failed(error.to_string()))
}

/// Looks at the header of a safetensors file.
fn check_safetensors(bytes: &[u8]) -> Result<(), &'static str> {
    let header = bytes
        .get(..8)
        .and_then(|length| usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok())
        .and_then(|length| bytes.get(8..8_usize.checked_add(length)?))
        .and_then(|header| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(header).ok());
    header.map(|_| ()).ok_or("no safetensors file")
}
