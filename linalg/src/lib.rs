//! Matrix products on the calling thread, and one body of code for several instruction sets.

mod gemm;
mod simd;

pub use gemm::{Layout, ShapeMismatch, inner_products, matmul};
pub use simd::{Level, level, simd_level};
