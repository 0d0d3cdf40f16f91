//! Column ids: hashes of values, independent of how Arrow or Parquet lay them out.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::ToByteSlice;
use arrow_schema::{DataType, TimeUnit};

use crate::{CacheError, Column, Digest, Hasher};

/// Describes every column of a table.
pub(crate) fn columns(table: &RecordBatch) -> Result<Vec<Column>, CacheError> {
    let schema = table.schema();
    let mut columns: Vec<Column> = Vec::with_capacity(table.num_columns());
    for (field, array) in schema.fields().iter().zip(table.columns()) {
        let name = field.name();
        if columns.iter().any(|column| column.name == *name) {
            return Err(CacheError::invalid(format!("column `{name}` occurs twice in a table")));
        }
        let data_type = type_name(field.data_type()).ok_or_else(|| {
            CacheError::invalid(format!(
                "column `{name}` has type {}, which is not stored",
                field.data_type()
            ))
        })?;
        columns.push(Column { name: name.clone(), data_type, id: column_id(array.as_ref())? });
    }
    Ok(columns)
}

/// Hashes the values of a column: their number, then each as a null mark and little-endian bytes.
pub(crate) fn column_id(array: &dyn Array) -> Result<Digest, CacheError> {
    let mut hasher = Hasher::new("column");
    hasher.u64(array.len() as u64);
    let mut sink = Sink { hasher, buffer: Vec::with_capacity(Sink::SIZE + 1024) };
    encode(array, &mut sink)?;
    sink.flush();
    Ok(sink.hasher.finish())
}

/// Hashes texts exactly as [`column_id`] hashes a text column without nulls.
pub(crate) fn text_column_id<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> Digest {
    let mut hasher = Hasher::new("column");
    hasher.u64(texts.len() as u64);
    let mut sink = Sink { hasher, buffer: Vec::with_capacity(Sink::SIZE + 1024) };
    for text in texts {
        sink.value(true, |out| {
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        });
    }
    sink.flush();
    sink.hasher.finish()
}

/// Whether columns of a type can be part of a stored table: booleans, numbers, decimals, dates, times, texts, byte strings and lists of these.
#[must_use]
pub fn is_stored(data_type: &DataType) -> bool {
    type_name(data_type).is_some()
}

/// Returns the name of a type as it enters content ids, or `None` for one that is not stored.
pub(crate) fn type_name(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "Boolean".into(),
        DataType::Int8 => "Int8".into(),
        DataType::Int16 => "Int16".into(),
        DataType::Int32 => "Int32".into(),
        DataType::Int64 => "Int64".into(),
        DataType::UInt8 => "UInt8".into(),
        DataType::UInt16 => "UInt16".into(),
        DataType::UInt32 => "UInt32".into(),
        DataType::UInt64 => "UInt64".into(),
        DataType::Float16 => "Float16".into(),
        DataType::Float32 => "Float32".into(),
        DataType::Float64 => "Float64".into(),
        DataType::Decimal128(precision, scale) => format!("Decimal128<{precision}, {scale}>"),
        DataType::Decimal256(precision, scale) => format!("Decimal256<{precision}, {scale}>"),
        DataType::Date32 => "Date32".into(),
        DataType::Date64 => "Date64".into(),
        DataType::Time32(TimeUnit::Second | TimeUnit::Millisecond)
        | DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond)
        | DataType::Timestamp(..)
        | DataType::Duration(_) => time_name(data_type)?,
        DataType::Utf8 => "Utf8".into(),
        DataType::LargeUtf8 => "LargeUtf8".into(),
        DataType::Binary => "Binary".into(),
        DataType::LargeBinary => "LargeBinary".into(),
        DataType::FixedSizeBinary(size) => format!("FixedSizeBinary<{size}>"),
        DataType::List(field) => format!("List<{}>", type_name(field.data_type())?),
        DataType::LargeList(field) => format!("LargeList<{}>", type_name(field.data_type())?),
        DataType::FixedSizeList(field, size) => {
            format!("FixedSizeList<{}, {size}>", type_name(field.data_type())?)
        }
        _ => return None,
    })
}

fn time_name(data_type: &DataType) -> Option<String> {
    let name = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    Some(match data_type {
        DataType::Time32(unit) => format!("Time32<{}>", name(unit)),
        DataType::Time64(unit) => format!("Time64<{}>", name(unit)),
        DataType::Timestamp(unit, None) => format!("Timestamp<{}>", name(unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("Timestamp<{}, {zone}>", name(unit)),
        DataType::Duration(unit) => format!("Duration<{}>", name(unit)),
        _ => return None,
    })
}

/// Collects bytes, so that the hasher sees long runs.
struct Sink {
    hasher: Hasher,
    buffer: Vec<u8>,
}

impl Sink {
    const SIZE: usize = 64 << 10;

    fn value(&mut self, valid: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.buffer.push(u8::from(valid));
        if valid {
            write(&mut self.buffer);
        }
        if self.buffer.len() >= Sink::SIZE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.hasher.raw(&self.buffer);
        self.buffer.clear();
    }
}

fn encode(array: &dyn Array, sink: &mut Sink) -> Result<(), CacheError> {
    macro_rules! numbers {
        ($type:ty) => {
            numbers::<$type>(array, sink)
        };
    }
    macro_rules! byte_strings {
        ($array:expr) => {{
            let array = $array;
            for i in 0..array.len() {
                sink.value(array.is_valid(i), |out| {
                    let value: &[u8] = array.value(i).as_ref();
                    out.extend((value.len() as u64).to_le_bytes());
                    out.extend(value);
                });
            }
        }};
    }
    macro_rules! lists {
        ($array:expr) => {{
            let array = $array;
            for i in 0..array.len() {
                let valid = array.is_valid(i);
                let items = array.value(i);
                sink.value(valid, |out| out.extend((items.len() as u64).to_le_bytes()));
                if valid {
                    encode(items.as_ref(), sink)?;
                }
            }
        }};
    }
    match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean();
            for i in 0..array.len() {
                sink.value(array.is_valid(i), |out| out.push(u8::from(array.value(i))));
            }
        }
        DataType::Int8 => numbers!(Int8Type),
        DataType::Int16 => numbers!(Int16Type),
        DataType::Int32 => numbers!(Int32Type),
        DataType::Int64 => numbers!(Int64Type),
        DataType::UInt8 => numbers!(UInt8Type),
        DataType::UInt16 => numbers!(UInt16Type),
        DataType::UInt32 => numbers!(UInt32Type),
        DataType::UInt64 => numbers!(UInt64Type),
        DataType::Float16 => numbers!(Float16Type),
        DataType::Float32 => numbers!(Float32Type),
        DataType::Float64 => numbers!(Float64Type),
        DataType::Decimal128(..) => numbers!(Decimal128Type),
        DataType::Decimal256(..) => numbers!(Decimal256Type),
        DataType::Date32 => numbers!(Date32Type),
        DataType::Date64 => numbers!(Date64Type),
        DataType::Time32(TimeUnit::Second) => numbers!(Time32SecondType),
        DataType::Time32(TimeUnit::Millisecond) => numbers!(Time32MillisecondType),
        DataType::Time64(TimeUnit::Microsecond) => numbers!(Time64MicrosecondType),
        DataType::Time64(TimeUnit::Nanosecond) => numbers!(Time64NanosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => numbers!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => numbers!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => numbers!(TimestampNanosecondType),
        DataType::Duration(TimeUnit::Second) => numbers!(DurationSecondType),
        DataType::Duration(TimeUnit::Millisecond) => numbers!(DurationMillisecondType),
        DataType::Duration(TimeUnit::Microsecond) => numbers!(DurationMicrosecondType),
        DataType::Duration(TimeUnit::Nanosecond) => numbers!(DurationNanosecondType),
        DataType::Utf8 => byte_strings!(array.as_string::<i32>()),
        DataType::LargeUtf8 => byte_strings!(array.as_string::<i64>()),
        DataType::Binary => byte_strings!(array.as_binary::<i32>()),
        DataType::LargeBinary => byte_strings!(array.as_binary::<i64>()),
        DataType::FixedSizeBinary(_) => byte_strings!(array.as_fixed_size_binary()),
        DataType::List(_) => lists!(array.as_list::<i32>()),
        DataType::LargeList(_) => lists!(array.as_list::<i64>()),
        DataType::FixedSizeList(..) => lists!(array.as_fixed_size_list()),
        other => return Err(CacheError::invalid(format!("values of type {other} are not stored"))),
    }
    Ok(())
}

/// Hashes numbers by their bytes, which are little-endian wherever Arrow runs.
fn numbers<T: ArrowPrimitiveType>(array: &dyn Array, sink: &mut Sink) {
    let array = array.as_primitive::<T>();
    for (i, value) in array.values().iter().enumerate() {
        sink.value(array.is_valid(i), |out| out.extend(value.to_byte_slice()));
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{Int16Array, Int64Array, LargeStringArray, StringArray};

    use super::*;

    /// The bytes that a column id is defined over, written out by hand.
    fn by_hand(count: u64, values: &[u8]) -> Digest {
        let mut bytes = 6u64.to_le_bytes().to_vec();
        bytes.extend(b"column");
        bytes.extend(count.to_le_bytes());
        bytes.extend(values);
        Digest::of(&bytes)
    }

    #[test]
    fn ids_follow_their_definition() {
        let numbers = Int16Array::from(vec![Some(258), None]);
        assert_eq!(column_id(&numbers).unwrap(), by_hand(2, &[1, 2, 1, 0]));
        let texts = StringArray::from(vec![Some("hi"), None, Some("")]);
        let want = by_hand(3, &[1, 2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i', 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(column_id(&texts).unwrap(), want);
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("x"), None]);
        lists.append_null();
        let want = by_hand(2, &[1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, b'x', 0, 0]);
        assert_eq!(column_id(&lists.finish()).unwrap(), want);
    }

    #[test]
    fn times_and_decimals_are_hashed_as_the_numbers_behind_them() {
        use arrow_array::{Date32Array, Decimal128Array, TimestampMicrosecondArray};
        let day = Date32Array::from(vec![Some(258), None]);
        assert_eq!(column_id(&day).unwrap(), by_hand(2, &[1, 2, 1, 0, 0, 0]));
        let time = TimestampMicrosecondArray::from(vec![258]).with_timezone("Europe/Berlin");
        assert_eq!(column_id(&time).unwrap(), by_hand(1, &[1, 2, 1, 0, 0, 0, 0, 0, 0]));
        assert_eq!(type_name(time.data_type()).unwrap(), "Timestamp<us, Europe/Berlin>");
        let decimal = Decimal128Array::from(vec![258]).with_precision_and_scale(5, 2).unwrap();
        let mut bytes = [0; 17];
        bytes[..3].copy_from_slice(&[1, 2, 1]);
        assert_eq!(column_id(&decimal).unwrap(), by_hand(1, &bytes));
        assert_eq!(type_name(decimal.data_type()).unwrap(), "Decimal128<5, 2>");
    }

    #[test]
    fn layout_in_memory_does_not_count() {
        let long = StringArray::from(vec!["skip", "a", "b"]);
        let part = column_id(&long.slice(1, 2)).unwrap();
        assert_eq!(part, column_id(&StringArray::from(vec!["a", "b"])).unwrap());
        assert_eq!(part, column_id(&LargeStringArray::from(vec!["a", "b"])).unwrap());
        assert_eq!(part, text_column_id(["a", "b"].into_iter()));
        // What lies under a null is not a value.
        let hidden = Int64Array::new(vec![1, 99].into(), Some(vec![true, false].into()));
        assert_eq!(column_id(&hidden).unwrap(), column_id(&Int64Array::from(vec![Some(1), None])).unwrap());
    }

    #[test]
    fn long_columns_are_hashed_whole() {
        let mut values: Vec<i64> = (0..50_000).collect();
        let id = column_id(&Int64Array::from(values.clone())).unwrap();
        let bytes: Vec<u8> =
            values.iter().flat_map(|v| [vec![1], v.to_le_bytes().to_vec()].concat()).collect();
        assert_eq!(id, by_hand(50_000, &bytes));
        values[49_999] = 0;
        assert_ne!(id, column_id(&Int64Array::from(values)).unwrap());
    }

    #[test]
    fn unknown_types_are_refused() {
        let table = RecordBatch::try_from_iter([(
            "t",
            std::sync::Arc::new(arrow_array::NullArray::new(1)) as arrow_array::ArrayRef,
        )])
        .unwrap();
        assert_eq!(columns(&table).unwrap_err().to_string(), "column `t` has type Null, which is not stored");
    }
}
