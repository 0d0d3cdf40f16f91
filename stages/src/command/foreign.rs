//! Tables of other programs: Parquet of any writer, with the types that the cache stores.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Float32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use sndpipe_engine::StageError;

use super::hand_over::META_KEY;

/// A table, and what its writer says of it under [`META_KEY`].
pub(super) struct Foreign {
    pub table: RecordBatch,
    pub meta: Option<String>,
}

/// Reads a Parquet file. Integers become 64-bit ones, but for unsigned 64-bit ones, which stay as they are; single-precision numbers become
/// double-precision ones. Texts, dates, times and decimals keep their values whatever type of Arrow they were written from.
///
/// # Errors
/// [`StageError::Failed`] if it is no Parquet file, or naming a column that cannot be stored and what to do about it.
pub(super) fn read(path: &Path) -> Result<Foreign, StageError> {
    let wrong = |error: &dyn std::fmt::Display| StageError::failed(error.to_string());
    let file = fs_err::File::open(path)?.into_parts().0;
    // Types as Parquet has them: every writer's texts are then the same texts.
    let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, plain)
        .map_err(|error| StageError::failed(format!("not a Parquet file: {error}")))?;
    // What Parquet has no type for stands in the schema of the writer, where that is Arrow.
    let hints = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
    let hints = hints.map_or_else(|_| Arc::clone(metadata.schema()), |hints| Arc::clone(hints.schema()));
    let pairs = metadata.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let meta = pairs.clone().find(|pair| pair.key == META_KEY).and_then(|pair| pair.value.clone());
    let schema = Arc::clone(metadata.schema());
    check(&schema)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let reader = reader.build().map_err(|error| wrong(&error))?;
    let batches = reader.collect::<Result<Vec<RecordBatch>, _>>().map_err(|error| wrong(&error))?;
    let table = concat_batches(&schema, &batches).and_then(|table| widened(&table, &hints));
    Ok(Foreign { table: table.map_err(|error| wrong(&error))?, meta })
}

/// Finds a column that the cache does not store.
fn check(schema: &Schema) -> Result<(), StageError> {
    for (index, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if schema.fields()[..index].iter().any(|earlier| earlier.name() == name) {
            let message = format!("two columns are called `{name}`");
            return Err(StageError::failed(message).help("rename one of them, or leave it out"));
        }
        if !sndpipe_cache::is_stored(field.data_type()) {
            let (what, help) = unstored(field.data_type());
            return Err(StageError::failed(format!("column `{name}` {what}, which is not stored")).help(help));
        }
    }
    Ok(())
}

/// What a type is called, and what to write in its place.
fn unstored(data_type: &DataType) -> (String, &'static str) {
    match data_type {
        DataType::Null => (
            "has no type, for all of its values are absent".to_owned(),
            "give the column a type before writing it, such as `astype(\"float64\")` in pandas or `cast(pl.Float64)` in polars, or leave it out",
        ),
        DataType::Struct(_) => (
            "holds structs".to_owned(),
            "write a column for each of their fields (`unnest` in polars, `flatten` in pyarrow), or their JSON as text",
        ),
        DataType::Map(..) => ("holds maps".to_owned(), "write a row for each entry, or their JSON as text"),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            let (what, help) = unstored(item.data_type());
            let what = match item.data_type() {
                DataType::Struct(_) | DataType::Map(..) => what.replacen("holds", "holds lists of", 1),
                DataType::Null => "holds lists without values".to_owned(),
                _ => what,
            };
            (what, help)
        }
        other => (format!("has the type {other}"), "write it as text, a number or a timestamp"),
    }
}

/// The table with all numbers at their full width, and what Parquet lost of its types.
fn widened(table: &RecordBatch, hints: &Schema) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (index, (field, column)) in table.schema_ref().fields().iter().zip(table.columns()).enumerate() {
        let hint = hints.fields().get(index).filter(|hint| hint.name() == field.name());
        let array = hint.and_then(|hint| retyped(column, hint.data_type())).or_else(|| wide(column));
        let array = array.unwrap_or_else(|| Arc::clone(column));
        fields.push(Field::new(field.name(), array.data_type().clone(), true));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// A column as the writer meant it: moments with the name of their time zone, and durations, which are integers in Parquet.
fn retyped(column: &ArrayRef, hint: &DataType) -> Option<ArrayRef> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    macro_rules! zoned {
        ($kind:ty, $zone:expr) => {
            Arc::new(column.as_primitive::<$kind>().clone().with_timezone(Arc::clone($zone)))
        };
    }
    macro_rules! durations {
        ($kind:ty) => {
            Arc::new(column.as_primitive::<Int64Type>().reinterpret_cast::<$kind>())
        };
    }
    Some(match (column.data_type(), hint) {
        (DataType::Timestamp(Millisecond, Some(_)), DataType::Timestamp(_, Some(zone))) => {
            zoned!(TimestampMillisecondType, zone)
        }
        (DataType::Timestamp(Microsecond, Some(_)), DataType::Timestamp(_, Some(zone))) => {
            zoned!(TimestampMicrosecondType, zone)
        }
        (DataType::Timestamp(Nanosecond, Some(_)), DataType::Timestamp(_, Some(zone))) => {
            zoned!(TimestampNanosecondType, zone)
        }
        (DataType::Int64, DataType::Duration(Second)) => durations!(DurationSecondType),
        (DataType::Int64, DataType::Duration(Millisecond)) => durations!(DurationMillisecondType),
        (DataType::Int64, DataType::Duration(Microsecond)) => durations!(DurationMicrosecondType),
        (DataType::Int64, DataType::Duration(Nanosecond)) => durations!(DurationNanosecondType),
        _ => return None,
    })
}

/// A column of narrow numbers as wide ones.
fn wide(column: &ArrayRef) -> Option<ArrayRef> {
    macro_rules! each {
        ($kind:ty as $wide:ty) => {
            Arc::new(
                column.as_primitive::<$kind>().iter().map(|value| value.map(Into::into)).collect::<$wide>(),
            )
        };
    }
    Some(match column.data_type() {
        DataType::Int8 => each!(Int8Type as Int64Array),
        DataType::Int16 => each!(Int16Type as Int64Array),
        DataType::Int32 => each!(Int32Type as Int64Array),
        DataType::UInt8 => each!(UInt8Type as Int64Array),
        DataType::UInt16 => each!(UInt16Type as Int64Array),
        DataType::UInt32 => each!(UInt32Type as Int64Array),
        DataType::Float32 => each!(Float32Type as Float64Array),
        _ => return None,
    })
}
