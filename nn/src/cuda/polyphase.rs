//! Adaptive polyphase sampling.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::Cuda,
};

use super::{
    context::{Launch, launch},
    memory::{buffer, data_of, open, open_buffer, scratch, tensor},
};
use crate::{
    ops::{PolyphaseKernel, PolyphaseNorm},
    tensor::{Buffer, Tensor4},
};

impl PolyphaseKernel for Cuda {
    type Grids = CudaSlice<u32>;

    fn polyphase_forward(
        &self,
        x: &Tensor4<Self>,
        norm: PolyphaseNorm,
    ) -> Result<(Tensor4<Self>, Self::Grids), Self::Err> {
        let ((gpu, from), (samples, height, width, channels)) = (open(x)?, *x.shape());
        let (y, to) = tensor(self, (samples, height.div_ceil(2), width.div_ceil(2), channels))?;
        // The numbers of `polyphase.cu`.
        let norm: u32 = match norm {
            PolyphaseNorm::L1Induced => 0,
            PolyphaseNorm::L1Flat => 1,
            PolyphaseNorm::L2 => 2,
            PolyphaseNorm::LInf => 3,
        };
        let n = samples * 4 * channels;
        let (norms, grids) = (scratch::<f64>(&gpu, n)?, scratch::<u32>(&gpu, samples)?);
        let (norms_at, grids_at) = (data_of(&norms), data_of(&grids));
        launch!(gpu, "polyphase_norms", Launch::each(n), from, n, height, width, channels, norm, norms_at)?;
        launch!(gpu, "polyphase_choice", Launch::each(samples), norms_at, samples, channels, norm, grids_at)?;
        let n = y.shape().num_elements();
        launch!(gpu, "polyphase_forward", Launch::each(n), from, grids_at, n, height, width, channels, to)?;
        Ok((y, grids))
    }

    fn polyphase_backward(
        &self,
        dy: &Buffer<Self>,
        grids: &Self::Grids,
        (samples, height, width, channels): (usize, usize, usize, usize),
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), n) = (open_buffer(dy)?, samples * height * width * channels);
        let ((dx, to), grids) = (buffer(self, &gpu, n)?, data_of(grids));
        launch!(gpu, "polyphase_backward", Launch::each(n), from, grids, n, height, width, channels, to)?;
        Ok(dx)
    }
}
