//! Kernels of the CPU, on plain slices, and their link to dfdx's `Cpu` tensors.
//!
//! Everything here gives the same bits for any number of threads: work is cut into pieces whose size depends on
//! shapes alone, each piece is computed by one thread, and partial sums are added in a fixed order.

pub(crate) mod activation;
pub(crate) mod broadcast;
pub(crate) mod concat;
pub(crate) mod contrast;
pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod gather;
pub(crate) mod gru;
pub(crate) mod heap;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod low_pass;
pub(crate) mod norm;
pub(crate) mod polyphase;
pub(crate) mod pool;
pub(crate) mod resize;
pub(crate) mod rows;
mod tensor;
pub(crate) mod window_pool;
pub(crate) mod zeros;

pub use heap::{Heap, keep_large_buffers};
pub(crate) use tensor::{buffer, counted, data, data_mut, tensor};
