//! Dates and times of tables as ISO 8601 writes them.

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTemporalType, Date32Type, Date64Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_schema::{DataType, TimeUnit};

/// The date, time, moment or duration at a row. A moment that belongs to a time zone is given in UTC, marked by `Z`.
pub(crate) fn text(array: &dyn Array, row: usize) -> String {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Date32 => date::<Date32Type>(array, row),
        DataType::Date64 => date::<Date64Type>(array, row),
        DataType::Time32(Second) => time::<Time32SecondType>(array, row),
        DataType::Time32(_) => time::<Time32MillisecondType>(array, row),
        DataType::Time64(Microsecond) => time::<Time64MicrosecondType>(array, row),
        DataType::Time64(_) => time::<Time64NanosecondType>(array, row),
        DataType::Timestamp(unit, zone) => {
            let text = match unit {
                Second => moment::<TimestampSecondType>(array, row),
                Millisecond => moment::<TimestampMillisecondType>(array, row),
                Microsecond => moment::<TimestampMicrosecondType>(array, row),
                Nanosecond => moment::<TimestampNanosecondType>(array, row),
            };
            if zone.is_some() { format!("{text}Z") } else { text }
        }
        DataType::Duration(Second) => duration::<DurationSecondType>(array, row, 0),
        DataType::Duration(Millisecond) => duration::<DurationMillisecondType>(array, row, 3),
        DataType::Duration(Microsecond) => duration::<DurationMicrosecondType>(array, row, 6),
        DataType::Duration(Nanosecond) => duration::<DurationNanosecondType>(array, row, 9),
        other => format!("<{other}>"),
    }
}

/// What lies outside of the calendar is the number behind it.
fn date<T: ArrowTemporalType>(array: &dyn Array, row: usize) -> String
where
    i64: From<T::Native>,
{
    let array = array.as_primitive::<T>();
    array
        .value_as_date(row)
        .map_or_else(|| i64::from(array.value(row)).to_string(), |date| format!("{date:?}"))
}

fn time<T: ArrowTemporalType>(array: &dyn Array, row: usize) -> String
where
    i64: From<T::Native>,
{
    let array = array.as_primitive::<T>();
    array
        .value_as_time(row)
        .map_or_else(|| i64::from(array.value(row)).to_string(), |time| format!("{time:?}"))
}

fn moment<T: ArrowTemporalType>(array: &dyn Array, row: usize) -> String
where
    i64: From<T::Native>,
{
    let array = array.as_primitive::<T>();
    array
        .value_as_datetime(row)
        .map_or_else(|| i64::from(array.value(row)).to_string(), |time| format!("{time:?}"))
}

/// Seconds with `digits` digits behind the point, less zeros at the end: `PT90.5S`.
fn duration<T: ArrowPrimitiveType>(array: &dyn Array, row: usize, digits: u32) -> String
where
    i64: From<T::Native>,
{
    let value = i64::from(array.as_primitive::<T>().value(row));
    let (sign, size, unit) = (if value < 0 { "-" } else { "" }, value.unsigned_abs(), 10_u64.pow(digits));
    let (whole, rest) = (size / unit, size % unit);
    let rest = format!("{rest:0width$}", width = digits as usize);
    let rest = rest.trim_end_matches('0');
    if digits == 0 || rest.is_empty() {
        format!("{sign}PT{whole}S")
    } else {
        format!("{sign}PT{whole}.{rest}S")
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        Date32Array, DurationMicrosecondArray, DurationSecondArray, Time64NanosecondArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    /// Expected values: ISO 8601, by hand from seconds and days since 1970.
    #[test]
    fn dates_and_times_are_exact() {
        assert_eq!(text(&Date32Array::from(vec![19_723]), 0), "2024-01-01");
        assert_eq!(text(&Time64NanosecondArray::from(vec![3_600_000_000_001]), 0), "01:00:00.000000001");
        assert_eq!(text(&TimestampSecondArray::from(vec![1_704_067_200]), 0), "2024-01-01T00:00:00");
        assert_eq!(text(&TimestampNanosecondArray::from(vec![-1]), 0), "1969-12-31T23:59:59.999999999");
        let zoned =
            TimestampMicrosecondArray::from(vec![1_704_067_200_000_001]).with_timezone("Europe/Berlin");
        assert_eq!(text(&zoned, 0), "2024-01-01T00:00:00.000001Z");
        assert_eq!(text(&DurationMicrosecondArray::from(vec![-90_500_000]), 0), "-PT90.5S");
        assert_eq!(text(&DurationSecondArray::from(vec![0]), 0), "PT0S");
        assert_eq!(text(&TimestampSecondArray::from(vec![i64::MAX]), 0), i64::MAX.to_string());
    }
}
