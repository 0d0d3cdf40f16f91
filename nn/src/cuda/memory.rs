//! Tensors and buffers on the GPU.

use std::{fmt::Debug, sync::Arc};

use cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr, DeviceSlice, result};
use dfdx::{
    shapes::Shape,
    tensor::{Cuda, CudaError, Storage, Tensor, ZerosTensor},
};

use super::{
    context::Context,
    fault::invalid,
    pointer::{Pointer, place},
    without_zeroing,
};
use crate::tensor::Buffer;

/// The context of a tensor's device, and the tensor's data.
pub(super) fn open<S: Shape, T: Debug>(
    t: &Tensor<S, f32, Cuda, T>,
) -> Result<(Arc<Context>, Pointer), CudaError> {
    let place = place(t)?;
    Ok((Context::of(place.device)?, place.pointer))
}

/// The data of a tensor.
pub(super) fn data<S: Shape, T: Debug>(t: &Tensor<S, f32, Cuda, T>) -> Result<Pointer, CudaError> {
    Ok(place(t)?.pointer)
}

/// The context of a buffer's device, and the buffer's data.
pub(super) fn open_buffer(buffer: &Buffer<Cuda>) -> Result<(Arc<Context>, Pointer), CudaError> {
    if i32::try_from(buffer.len()).is_err() {
        return Err(invalid());
    }
    Ok((Context::of(*buffer.device().cu_device())?, data_of(buffer)))
}

/// The data of a buffer.
pub(super) fn data_of<T>(buffer: &impl DevicePtr<T>) -> Pointer {
    Pointer(*buffer.device_ptr())
}

/// A tensor, to be written in full.
pub(super) fn tensor<S: Shape>(
    device: &Cuda,
    shape: S,
) -> Result<(Tensor<S, f32, Cuda>, Pointer), CudaError> {
    let t = without_zeroing(|| device.try_zeros_like(&shape))?;
    let place = data(&t)?;
    Ok((t, place))
}

/// A gradient buffer, to be written in full.
pub(super) fn buffer(
    device: &Cuda,
    gpu: &Context,
    length: usize,
) -> Result<(Buffer<Cuda>, Pointer), CudaError> {
    let mut buffer = Storage::<f32>::try_alloc_len(device, 0)?;
    *buffer = scratch(gpu, length)?;
    let data = data_of(&buffer);
    Ok((buffer, data))
}

/// Memory for `length` numbers, to be written in full.
pub(super) fn scratch<T: DeviceRepr>(gpu: &Context, length: usize) -> Result<CudaSlice<T>, CudaError> {
    // SAFETY: no kernel reads it before another has written it, and every bit pattern is a number.
    Ok(unsafe { gpu.device().alloc(length) }?)
}

/// Numbers of the host, on the GPU.
pub(super) fn upload<T: DeviceRepr + Unpin>(
    gpu: &Context,
    values: Vec<T>,
) -> Result<CudaSlice<T>, CudaError> {
    Ok(gpu.device().htod_copy(values)?)
}

/// Indices of the host, on the GPU; all of them are below 2^31.
pub(super) fn upload_indices(gpu: &Context, indices: &[usize]) -> Result<CudaSlice<u32>, CudaError> {
    upload(gpu, indices.iter().map(|&i| i as u32).collect())
}

/// The two halves of some numbers.
pub(super) fn halves(
    device: &Cuda,
    gpu: &Context,
    both: &CudaSlice<f32>,
) -> Result<(Buffer<Cuda>, Buffer<Cuda>), CudaError> {
    let (half, from) = (both.len() / 2, data_of(both));
    let ((first, to_first), (second, to_second)) = (buffer(device, gpu, half)?, buffer(device, gpu, half)?);
    copy(gpu, from, to_first, half)?;
    copy(gpu, from.at(half), to_second, half)?;
    Ok((first, second))
}

/// Copies `length` numbers.
pub(super) fn copy(gpu: &Context, from: Pointer, to: Pointer, length: usize) -> Result<(), CudaError> {
    let (bytes, stream) = (length * size_of::<f32>(), *gpu.device().cu_stream());
    // SAFETY: the callers see to it that both places have so many numbers.
    unsafe { result::memcpy_dtod_async(to.0, from.0, bytes, stream) }?;
    Ok(())
}
