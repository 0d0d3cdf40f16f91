//! One row of a dense artefact: the samples, features or scores of one clip.

use std::borrow::Cow;

use arrow_buffer::ToByteSlice;
use half::f16;

use crate::{Digest, Hasher};

/// The numbers of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
}

/// A row to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Number of frames; what a frame is the artefact's metadata says.
    pub frames: u32,
    /// The numbers, frames × whatever a frame has, row-major.
    pub values: Values,
}

/// The numbers of a stored row, borrowed from the mapped file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValuesRef<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
}

/// A stored row, borrowed from the mapped file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowRef<'a> {
    /// Number of frames.
    pub frames: u32,
    /// The numbers.
    pub values: ValuesRef<'a>,
}

/// The number type of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Precision {
    F32,
    F16,
}

impl Precision {
    /// Returns the data type of a column of such rows.
    pub(crate) fn data_type(self) -> &'static str {
        match self {
            Precision::F32 => "List<Float32>",
            Precision::F16 => "List<Float16>",
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F16 => 2,
        }
    }
}

impl Values {
    /// Returns how many numbers there are.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Borrows the numbers.
    pub fn as_ref(&self) -> ValuesRef<'_> {
        match self {
            Values::F32(values) => ValuesRef::F32(values),
            Values::F16(values) => ValuesRef::F16(values),
        }
    }
}

impl Row {
    /// Returns the hash that names this row: over frames, precision and little-endian numbers.
    pub fn hash(&self) -> Digest {
        self.as_ref().hash()
    }

    /// Borrows the row.
    pub fn as_ref(&self) -> RowRef<'_> {
        RowRef { frames: self.frames, values: self.values.as_ref() }
    }
}

impl<'a> ValuesRef<'a> {
    /// Returns how many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            ValuesRef::F32(values) => values.len(),
            ValuesRef::F16(values) => values.len(),
        }
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the numbers in single precision, copying only if they are stored in half.
    pub fn to_f32(&self) -> Cow<'a, [f32]> {
        match self {
            ValuesRef::F32(values) => Cow::Borrowed(values),
            ValuesRef::F16(values) => {
                use half::slice::HalfFloatSliceExt;
                Cow::Owned(values.to_f32_vec())
            }
        }
    }

    pub(crate) fn precision(&self) -> Precision {
        match self {
            ValuesRef::F32(_) => Precision::F32,
            ValuesRef::F16(_) => Precision::F16,
        }
    }
}

impl<'a> RowRef<'a> {
    /// Returns the same hash as [`Row::hash`].
    pub fn hash(&self) -> Digest {
        let (precision, bytes) = match self.values {
            ValuesRef::F32(values) => ("f32", values.to_byte_slice()),
            ValuesRef::F16(values) => ("f16", values.to_byte_slice()),
        };
        let mut hasher = Hasher::new("row");
        hasher.u64(u64::from(self.frames)).str(precision).bytes(bytes);
        hasher.finish()
    }

    /// Returns the numbers in single precision, copying only if they are stored in half.
    pub fn to_f32(&self) -> Cow<'a, [f32]> {
        self.values.to_f32()
    }

    /// Copies the row out of the mapped file.
    pub fn to_row(&self) -> Row {
        let values = match self.values {
            ValuesRef::F32(values) => Values::F32(values.to_vec()),
            ValuesRef::F16(values) => Values::F16(values.to_vec()),
        };
        Row { frames: self.frames, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_follows_its_definition() {
        let row = Row { frames: 3, values: Values::F32(vec![1.0, -0.0]) };
        // 1.0 is 0x3f800000 and -0.0 is 0x80000000 in IEEE 754.
        let bytes = [0, 0, 0x80, 0x3f, 0, 0, 0, 0x80];
        assert_eq!(row.hash(), Hasher::new("row").u64(3).str("f32").bytes(&bytes).finish());
    }

    #[test]
    fn frames_precision_and_sign_of_zero_count() {
        let row = |frames, values| Row { frames, values }.hash();
        let one = row(1, Values::F32(vec![0.0]));
        assert_ne!(one, row(2, Values::F32(vec![0.0])));
        assert_ne!(one, row(1, Values::F32(vec![-0.0])));
        assert_ne!(row(1, Values::F32(vec![])), row(1, Values::F16(vec![])));
    }

    #[test]
    fn half_precision_widens_exactly() {
        let row = Row { frames: 1, values: Values::F16(vec![f16::from_f32(0.5), f16::from_f32(-2.0)]) };
        assert_eq!(row.as_ref().to_f32().as_ref(), [0.5, -2.0]);
        assert!(matches!(row.as_ref().to_f32(), Cow::Owned(_)));
        assert_eq!(row.as_ref().to_row(), row);
    }
}
