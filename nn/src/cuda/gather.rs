//! Rows chosen by number.

use dfdx::{shapes::HasShape, tensor::Cuda};

use super::{
    context::{Launch, launch},
    memory::{buffer, data_of, open, open_buffer, tensor, upload_indices},
};
use crate::{
    ops::{GatherKernel, Places},
    tensor::{Buffer, Tensor2},
};

impl GatherKernel for Cuda {
    fn gather_forward(&self, x: &Tensor2<Self>, indices: &[usize]) -> Result<Tensor2<Self>, Self::Err> {
        let ((gpu, from), width) = (open(x)?, x.shape().1);
        let (y, to) = tensor(self, (indices.len(), width))?;
        let (n, indices) = (indices.len() * width, upload_indices(&gpu, indices)?);
        launch!(gpu, "gather_rows", Launch::each(n), from, n, width, data_of(&indices), to)?;
        Ok(y)
    }

    fn gather_backward(
        &self,
        dy: &Buffer<Self>,
        width: usize,
        places: &Places,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), n) = (open_buffer(dy)?, (places.starts.len() - 1) * width);
        let (dx, to) = buffer(self, &gpu, n)?;
        let (starts, places) = (upload_indices(&gpu, &places.starts)?, upload_indices(&gpu, &places.places)?);
        let (starts, places) = (data_of(&starts), data_of(&places));
        launch!(gpu, "sum_places", Launch::each(n), from, n, width, starts, places, to)?;
        Ok(dx)
    }
}
