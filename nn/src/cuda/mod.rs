//! Kernels of NVIDIA GPUs, on dfdx's `Cuda` tensors.
//!
//! The kernels' text (`*.cu`) is compiled by NVRTC when a device is first used. Dense convolutions go through cuDNN, which
//! is loaded then, matrix products through cuBLAS, everything else through the kernels here. Nothing waits for the GPU
//! except where a number goes to the caller: at the end of a step, and with logits and checkpoints.
//!
//! The same calls on one GPU model with the same libraries give the same bits: sums have a fixed order, and of cuDNN's
//! algorithms only deterministic ones are taken, by its heuristics and not by timing. Other GPUs, drivers or library
//! versions, and the CPU, give the same numbers within rounding.

mod activation;
mod batch_norm;
mod concat;
mod context;
mod contrast;
mod conv2d;
mod cudnn;
mod elementwise;
mod fault;
mod gather;
mod gru;
mod instance_norm;
mod l2_normalise;
mod last_product;
mod layer_norm;
mod libraries;
mod linear;
#[cfg(target_os = "linux")]
mod linkage;
mod loss;
mod low_pass;
mod memory;
mod pointer;
mod polyphase;
mod pool;
mod precision;
mod prelu;
mod resize;
mod shared;
mod times;
mod update;
mod window_pool;

pub(crate) use context::open;
#[cfg(target_os = "linux")]
pub(crate) use linkage::without_zeroing;
pub(crate) use precision::with_tf32;
pub(crate) use shared::Shared;
pub use times::{KernelTime, time_kernels};

/// Runs `f`; what it zeroes may be zeroed.
#[cfg(not(target_os = "linux"))]
pub(crate) fn without_zeroing<R>(f: impl FnOnce() -> R) -> R {
    f()
}
