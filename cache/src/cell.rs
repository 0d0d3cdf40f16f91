//! One value of a table.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde_json::{Value, json};

use crate::moment;

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// Words.
    Text(String),
    /// A whole number.
    Int(i128),
    /// A decimal, digit by digit.
    Exact(String),
    /// Any other number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Several values.
    List(Vec<Cell>),
}

/// Whether values of the type are numbers.
pub fn is_numeric(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || data_type.is_decimal()
}

/// The value at a row; a type that no table of ours has reads as its name.
pub fn cell(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Cell::Text(array.as_string::<i64>().value(row).to_owned()),
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int8 => Cell::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Cell::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Cell::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt8 => Cell::Int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Cell::Int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Cell::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Cell::Int(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float16 => Cell::Float(array.as_primitive::<Float16Type>().value(row).to_f64()),
        // The shortest decimal that means this single-precision number, rather than its digits in double precision.
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            Cell::Float(value.to_string().parse().unwrap_or(f64::from(value)))
        }
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => Cell::Exact(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(..) => Cell::Exact(array.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_) => Cell::Text(moment::text(array, row)),
        DataType::FixedSizeBinary(_) => Cell::Text(hex(array.as_fixed_size_binary().value(row))),
        DataType::Binary => Cell::Text(hex(array.as_binary::<i32>().value(row))),
        DataType::LargeBinary => Cell::Text(hex(array.as_binary::<i64>().value(row))),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(_, _) => list(&array.as_fixed_size_list().value(row)),
        other => Cell::Text(format!("<{other}>")),
    }
}

fn list(values: &ArrayRef) -> Cell {
    Cell::List((0..values.len()).map(|index| cell(values, index)).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Cell {
    /// With every digit, for programs; nothing for no value.
    pub fn exact(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) | Self::Exact(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(_) => self.json().to_string(),
        }
    }

    /// As JSON; numbers that JSON cannot write are null.
    pub fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            // A decimal as text: as a number most readers would round it.
            Self::Text(text) | Self::Exact(text) => json!(text),
            Self::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => json!(number),
                (_, Ok(number)) => json!(number),
                _ => json!(number.to_string()),
            },
            Self::Float(number) => json!(number),
            Self::Bool(value) => json!(value),
            Self::List(list) => Value::Array(list.iter().map(Self::json).collect()),
        }
    }

    /// For people, where the digits behind the point say how exact a number is: what is less than half of the last one is 0.
    pub fn fixed(&self, decimals: usize) -> String {
        match self {
            Self::Float(number) if number.is_finite() => {
                let text = format!("{number:.decimals$}");
                let zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
                if zero { text.trim_start_matches('-').to_owned() } else { text }
            }
            other => other.rounded(decimals),
        }
    }

    /// For people: `decimals` digits behind the point, of what is smaller two that count.
    pub fn rounded(&self, decimals: usize) -> String {
        match self {
            Self::Null => "-".to_owned(),
            Self::Float(number) if !number.is_finite() => number.to_string(),
            Self::Float(number)
                if *number != 0.0 && number.abs() < 0.5 * 10_f64.powi(-decimals_i32(decimals)) =>
            {
                format!("{number:.2e}")
            }
            Self::Float(number) => format!("{number:.decimals$}"),
            Self::List(list) => {
                const SHOWN: usize = 6;
                let mut parts: Vec<String> =
                    list.iter().take(SHOWN).map(|cell| cell.rounded(decimals)).collect();
                if list.len() > SHOWN {
                    parts.push("…".to_owned());
                }
                format!("[{}]", parts.join(", "))
            }
            other => other.exact(),
        }
    }
}

fn decimals_i32(decimals: usize) -> i32 {
    i32::try_from(decimals).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_zero_or_keep_two_digits() {
        let number = |value: f64| (Cell::Float(value).fixed(1), Cell::Float(value).rounded(1));
        let both = |fixed: &str, rounded: &str| (fixed.to_owned(), rounded.to_owned());
        assert_eq!(number(-1.85e-15), both("0.0", "-1.85e-15"));
        assert_eq!(number(-0.0463), both("0.0", "-4.63e-2"));
        assert_eq!(number(-0.06), both("-0.1", "-0.1"));
        assert_eq!(number(0.0), both("0.0", "0.0"));
        assert_eq!(Cell::Null.fixed(1), "-");
    }
}
