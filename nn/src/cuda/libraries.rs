//! The libraries of NVIDIA that a GPU is used through.

use std::{ffi::c_void, sync::Arc};

use cudarc::{
    cublas::CudaBlas,
    driver::{CudaDevice, CudaSlice, DevicePtr, DeviceSlice},
};
use dfdx::tensor::CudaError;

use super::{
    cudnn::{Cudnn, Direction, Plans, Sizes},
    pointer::Pointer,
};

/// The libraries and what belongs to them; one thread at a time.
pub(super) struct Libraries {
    pub(super) blas: CudaBlas,
    cudnn: Cudnn,
    plans: Plans,
    workspace: CudaSlice<u8>,
}

impl Libraries {
    /// The libraries without any plan.
    pub(super) fn new(blas: CudaBlas, cudnn: Cudnn, workspace: CudaSlice<u8>) -> Libraries {
        Libraries { blas, cudnn, plans: Plans::default(), workspace }
    }

    /// Computes `result` from two operands, in the order that [`Direction`] names them in; false where cuDNN has no
    /// deterministic algorithm, then nothing has happened.
    pub(super) fn convolve(
        &mut self,
        device: &Arc<CudaDevice>,
        direction: Direction,
        sizes: &Sizes,
        operands: [Pointer; 3],
    ) -> Result<bool, CudaError> {
        let Libraries { cudnn, plans, workspace, .. } = self;
        plans.convolve(cudnn, direction, sizes, operands, |bytes| {
            // What was in it before is lost.
            if workspace.num_bytes() < bytes {
                // SAFETY: nothing reads the workspace before it is written.
                *workspace = unsafe { device.alloc(bytes) }?;
            }
            Ok(*workspace.device_ptr() as *mut c_void)
        })
    }
}
