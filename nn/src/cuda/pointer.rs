//! Where the numbers of a dfdx tensor are on the GPU.
//!
//! dfdx 0.13 keeps that to itself, but prints it: the `Debug` text of a tensor begins with its identity, then
//! `cu_device_ptr`, `len` and `cu_device` of its data. Printing stops as soon as they have been written.

use std::fmt::{Debug, Write};

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError, Tensor},
};

use super::fault::invalid;

/// A place in the memory of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer(pub(super) u64);

impl Pointer {
    /// No place: what kernels take for an operand that is missing.
    pub(super) const NULL: Pointer = Pointer(0);

    /// The place of the `index`-th f32 from here.
    pub(super) fn at(self, index: usize) -> Pointer {
        Pointer(self.0 + (index * size_of::<f32>()) as u64)
    }

    /// The place of the `index`-th f64 from here.
    pub(super) fn at_f64(self, index: usize) -> Pointer {
        Pointer(self.0 + (index * size_of::<f64>()) as u64)
    }
}

/// The data of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pointer: Pointer,
    /// The device's handle.
    pub(super) device: i32,
}

/// The first letters of a text, up to the field behind those that are looked for.
struct Beginning {
    text: String,
}

/// No text is longer than this before its fields come.
const LONGEST: usize = 512;

impl Write for Beginning {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        self.text.push_str(piece);
        if piece == "cu_primary_ctx" || self.text.len() > LONGEST { Err(std::fmt::Error) } else { Ok(()) }
    }
}

/// The number behind `name`.
fn number<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    let rest = &text[text.find(name)? + name.len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// Pointer, length and device handle in a `Debug` text.
fn parse(value: &impl Debug) -> Option<(u64, usize, i32)> {
    let mut beginning = Beginning { text: String::with_capacity(LONGEST) };
    // It always fails: there is more text than is wanted.
    let _ = write!(beginning, "{value:?}");
    let text = &beginning.text;
    Some((number(text, "cu_device_ptr: ")?, number(text, "len: ")?, number(text, "cu_device: ")?))
}

/// The place of a tensor's data; the tensor must be contiguous, as all are that this crate makes.
///
/// Fails where the tensor is a view of fewer numbers than its shape has, or has 2^31 numbers or more.
pub(super) fn place<S: Shape, T: Debug>(t: &Tensor<S, f32, Cuda, T>) -> Result<Place, CudaError> {
    let (pointer, length, device) = parse(t).ok_or_else(invalid)?;
    if length != t.shape().num_elements() || i32::try_from(length).is_err() {
        return Err(invalid());
    }
    Ok(Place { pointer: Pointer(pointer), device })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "they are printed")]
    struct CudaDevice {
        cu_device: i32,
        cu_primary_ctx: *const u8,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "they are printed")]
    struct CudaSlice {
        cu_device_ptr: u64,
        len: usize,
        device: CudaDevice,
    }

    /// The names of fields are those of dfdx 0.13 and cudarc 0.9.
    #[test]
    fn fields_are_read_from_the_beginning() {
        let device = CudaDevice { cu_device: 3, cu_primary_ctx: std::ptr::null() };
        let slice = CudaSlice { cu_device_ptr: 140_000_000_000, len: 77, device };
        assert_eq!(parse(&("id", slice)), Some((140_000_000_000, 77, 3)));
        assert_eq!(parse(&"cu_device_ptr"), None);
        assert_eq!(parse(&"x".repeat(2 * LONGEST)), None);
    }
}
