//! Views of dfdx's `Cpu` tensors as slices.

use std::{borrow::Cow, cell::Cell};

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, CpuError, Storage, Tensor, TensorFromVec},
};

use crate::tensor::Buffer;

thread_local! {
    /// Bytes of all tensors that this thread has made.
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// Runs `f` and counts the bytes of the tensors that it makes on this thread.
pub(crate) fn counted<T>(f: impl FnOnce() -> T) -> (T, u64) {
    let before = MADE.get();
    let result = f();
    (result, MADE.get() - before)
}

/// Offsets of the elements next to the first along each axis equal those of a contiguous tensor.
fn is_contiguous<S: Shape, T>(t: &Tensor<S, f32, Cpu, T>) -> bool {
    let dims = t.shape().concrete();
    let origin = S::Concrete::default();
    let first: *const f32 = &t[origin];
    let strides = t.shape().strides();
    (0..S::NUM_DIMS).filter(|&axis| dims[axis] > 1).all(|axis| {
        let mut index = origin;
        index[axis] = 1;
        let next: *const f32 = &t[index];
        next.addr() == first.addr() + strides[axis] * size_of::<f32>()
    })
}

/// The numbers of a tensor in row-major order; borrowed where the tensor is contiguous (all that this crate makes are).
pub(crate) fn data<S: Shape, T>(t: &Tensor<S, f32, Cpu, T>) -> Cow<'_, [f32]> {
    let length = t.shape().num_elements();
    if length == 0 {
        return Cow::Borrowed(&[]);
    }
    if !is_contiguous(t) {
        return Cow::Owned(t.as_vec());
    }
    let first: *const f32 = &t[S::Concrete::default()];
    // SAFETY: the tensor is contiguous and has `length` elements from `first` on, borrowed as long as `t` is.
    Cow::Borrowed(unsafe { std::slice::from_raw_parts(first, length) })
}

/// The numbers of a tensor, to be written. Copies them first where another tensor shares them.
pub(crate) fn data_mut(t: &mut Tensor<(usize,), f32, Cpu>) -> &mut [f32] {
    let length = t.shape().0;
    if length == 0 {
        return &mut [];
    }
    if !is_contiguous(t) {
        let copy = t.as_vec();
        t.copy_from(&copy);
    }
    let first: *mut f32 = &mut t[[0]];
    // SAFETY: the tensor is contiguous, `IndexMut` has made its data unshared, and it is borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(first, length) }
}

/// Moves numbers into a tensor, without a copy.
pub(crate) fn tensor<S: Shape>(
    device: &Cpu,
    values: Vec<f32>,
    shape: S,
) -> Result<Tensor<S, f32, Cpu>, CpuError> {
    MADE.set(MADE.get() + size_of_val(&values[..]) as u64);
    device.try_tensor_from_vec(values, shape)
}

/// Moves numbers into a gradient buffer, without a copy.
pub(crate) fn buffer(device: &Cpu, values: Vec<f32>) -> Result<Buffer<Cpu>, CpuError> {
    let mut buffer = Storage::<f32>::try_alloc_len(device, 0)?;
    *buffer = values;
    Ok(buffer)
}
