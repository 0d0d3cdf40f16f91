//! Errors of the driver that this crate finds itself.

use cudarc::driver::{DriverError, sys};
use dfdx::tensor::CudaError;

/// The error of an operand that no kernel takes.
pub(super) fn invalid() -> CudaError {
    driver_error(sys::CUresult::CUDA_ERROR_INVALID_VALUE)
}

pub(super) fn driver_error(result: sys::CUresult) -> CudaError {
    CudaError::Driver(DriverError(result))
}
