//! Columns of tables, read and written with errors that name them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use sndpipe_engine::StageError;

/// The values of one column.
pub enum Values {
    /// Text, always there.
    Text(Vec<String>),
    /// Text that may be absent.
    MaybeText(Vec<Option<String>>),
    /// Whole numbers.
    Int(Vec<i64>),
    /// Whole numbers that may be absent.
    MaybeInt(Vec<Option<i64>>),
    /// Numbers; an absent one is null.
    Number(Vec<Option<f64>>),
}

impl Values {
    fn into_array(self) -> ArrayRef {
        match self {
            Self::Text(values) => Arc::new(StringArray::from(values)),
            Self::MaybeText(values) => Arc::new(StringArray::from(values)),
            Self::Int(values) => Arc::new(Int64Array::from(values)),
            Self::MaybeInt(values) => Arc::new(Int64Array::from(values)),
            Self::Number(values) => Arc::new(Float64Array::from(values)),
        }
    }

    const fn data_type(&self) -> (DataType, bool) {
        match self {
            Self::Text(_) => (DataType::Utf8, false),
            Self::MaybeText(_) => (DataType::Utf8, true),
            Self::Int(_) => (DataType::Int64, false),
            Self::MaybeInt(_) => (DataType::Int64, true),
            Self::Number(_) => (DataType::Float64, true),
        }
    }
}

/// Makes a table of columns of one length.
///
/// # Errors
/// [`StageError::Failed`] if the lengths differ.
pub fn table(columns: Vec<(&str, Values)>) -> Result<RecordBatch, StageError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, values) in columns {
        let (data_type, nullable) = values.data_type();
        fields.push(Field::new(name, data_type, nullable));
        arrays.push(values.into_array());
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| StageError::failed(error.to_string()))
}

fn missing(table: &RecordBatch, name: &str, what: &str) -> StageError {
    let schema = table.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    StageError::failed(format!("the table has no {what} column `{name}`; it has {}", names.join(", ")))
}

/// A text column without absent values.
///
/// # Errors
/// [`StageError::Failed`] if it is missing, of another type, or has an absent value.
pub fn text(table: &RecordBatch, name: &str) -> Result<Vec<String>, StageError> {
    let values = maybe_text(table, name)?;
    let row = values.iter().position(Option::is_none);
    row.map_or_else(
        || Ok(values.into_iter().flatten().collect()),
        |row| Err(StageError::failed(format!("row {row} of column `{name}` is empty"))),
    )
}

/// A text column.
///
/// # Errors
/// [`StageError::Failed`] if it is missing or of another type.
pub fn maybe_text(table: &RecordBatch, name: &str) -> Result<Vec<Option<String>>, StageError> {
    let column = table.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let column = column.ok_or_else(|| missing(table, name, "text"))?;
    Ok(column.iter().map(|value| value.map(str::to_owned)).collect())
}

/// A column of text, numbers or truth values, each as it is written.
///
/// # Errors
/// [`StageError::Failed`] if it is missing or of another type.
pub fn written(table: &RecordBatch, name: &str) -> Result<Vec<Option<String>>, StageError> {
    fn each<T: ToString>(values: impl Iterator<Item = Option<T>>) -> Vec<Option<String>> {
        values.map(|value| value.map(|value| value.to_string())).collect()
    }
    let column = table.column_by_name(name);
    let found = column.and_then(|column| match column.data_type() {
        DataType::Utf8 => column.as_string_opt::<i32>().map(|values| each(values.iter())),
        DataType::Int64 => column.as_primitive_opt::<Int64Type>().map(|values| each(values.iter())),
        DataType::UInt64 => column.as_primitive_opt::<UInt64Type>().map(|values| each(values.iter())),
        DataType::Float64 => column.as_primitive_opt::<Float64Type>().map(|values| each(values.iter())),
        DataType::Boolean => column.as_boolean_opt().map(|values| each(values.iter())),
        _ => None,
    });
    found.ok_or_else(|| missing(table, name, "text, number or truth"))
}

/// A column of whole numbers.
///
/// # Errors
/// [`StageError::Failed`] if it is missing, of another type, or has an unsigned value that no `i64` holds.
pub fn maybe_int(table: &RecordBatch, name: &str) -> Result<Vec<Option<i64>>, StageError> {
    let column = table.column_by_name(name).ok_or_else(|| missing(table, name, "integer"))?;
    if let Some(column) = column.as_primitive_opt::<UInt64Type>() {
        let signed = |value: u64| {
            i64::try_from(value).map_err(|_| {
                StageError::failed(format!("{value} in column `{name}` is more than {}", i64::MAX))
            })
        };
        return column.iter().map(|value| value.map(signed).transpose()).collect();
    }
    let column = column.as_primitive_opt::<Int64Type>();
    Ok(column.ok_or_else(|| missing(table, name, "integer"))?.iter().collect())
}

/// A column of numbers.
///
/// # Errors
/// [`StageError::Failed`] if it is missing or of another type.
pub fn number(table: &RecordBatch, name: &str) -> Result<Vec<Option<f64>>, StageError> {
    let column = table.column_by_name(name).and_then(|column| column.as_primitive_opt::<Float64Type>());
    Ok(column.ok_or_else(|| missing(table, name, "number"))?.iter().collect())
}
