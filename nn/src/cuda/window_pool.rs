//! Maxima and averages over windows of any size.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError},
};

use super::{
    context::{Context, Launch, Parameter, launch},
    memory::{buffer, data, data_of, open, open_buffer, scratch, tensor, upload},
    pointer::Pointer,
};
use crate::{
    ops::{PoolWindows, WindowPoolKernel},
    tensor::{Buffer, Tensor4},
    window::PoolWindow,
};

/// `Windows` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Sizes {
    height: u32,
    width: u32,
    channels: u32,
    rows: u32,
    columns: u32,
}

impl Parameter for Sizes {
    type Form = Sizes;

    fn form(self) -> Sizes {
        self
    }
}

/// The table of the windows along an axis of `length`, as `window_pool.cu` describes it.
fn table(windows: &[PoolWindow], length: usize) -> impl Iterator<Item = u32> {
    let spans = windows.iter().flat_map(|w| [w.inside.start, w.inside.end, w.count]);
    let seen = (0..length).flat_map(|position| {
        let first = windows.partition_point(|w| w.inside.end <= position);
        let behind = windows.partition_point(|w| w.inside.start <= position);
        [first, behind.max(first)]
    });
    spans.chain(seen).map(|v| v as u32)
}

/// Tables on the GPU.
struct Tables {
    sizes: Sizes,
    both: CudaSlice<u32>,
}

impl Tables {
    fn new(
        gpu: &Context,
        windows: &PoolWindows,
        (_, height, width, channels): (usize, usize, usize, usize),
    ) -> Result<Tables, CudaError> {
        let (rows, columns) = (windows.rows.len(), windows.columns.len());
        let [h, w, c, r, k] = [height, width, channels, rows, columns].map(|v| v as u32);
        let sizes = Sizes { height: h, width: w, channels: c, rows: r, columns: k };
        let both = table(&windows.rows, height).chain(table(&windows.columns, width)).collect();
        Ok(Tables { sizes, both: upload(gpu, both)? })
    }

    fn rows(&self) -> Pointer {
        data_of(&self.both)
    }

    fn columns(&self) -> Pointer {
        self.rows().at((3 * self.sizes.rows + 2 * self.sizes.height) as usize)
    }
}

/// Numbers of the output for an input of `shape`.
fn outputs(windows: &PoolWindows, shape: (usize, usize, usize, usize)) -> (usize, usize, usize, usize) {
    (shape.0, windows.rows.len(), windows.columns.len(), shape.3)
}

impl WindowPoolKernel for Cuda {
    fn window_max_forward(
        &self,
        x: &Tensor4<Self>,
        windows: &PoolWindows,
    ) -> Result<Tensor4<Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, outputs(windows, *x.shape()))?);
        let (t, n) = (Tables::new(&gpu, windows, *x.shape())?, y.shape().num_elements());
        launch!(gpu, "window_max_forward", Launch::each(n), from, n, t.sizes, t.rows(), t.columns(), to)?;
        Ok(y)
    }

    fn window_max_backward(
        &self,
        x: &Tensor4<Self>,
        y: &Tensor4<Self>,
        dy: &Buffer<Self>,
        windows: &PoolWindows,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), y_at) = (open(x)?, data(y)?);
        let (t, n) = (Tables::new(&gpu, windows, *x.shape())?, y.shape().num_elements());
        let places = scratch::<u32>(&gpu, n)?;
        let (rows, columns, place) = (t.rows(), t.columns(), data_of(&places));
        launch!(gpu, "window_max_place", Launch::each(n), from, y_at, n, t.sizes, rows, columns, place)?;
        let n = x.shape().num_elements();
        let ((dx, to), dy) = (buffer(self, &gpu, n)?, data_of(dy));
        launch!(gpu, "window_max_backward", Launch::each(n), dy, place, n, t.sizes, rows, columns, to)?;
        Ok(dx)
    }

    fn window_average_forward(
        &self,
        x: &Tensor4<Self>,
        windows: &PoolWindows,
    ) -> Result<Tensor4<Self>, Self::Err> {
        let ((gpu, from), (y, to)) = (open(x)?, tensor(self, outputs(windows, *x.shape()))?);
        let (t, n) = (Tables::new(&gpu, windows, *x.shape())?, y.shape().num_elements());
        launch!(gpu, "window_average_forward", Launch::each(n), from, n, t.sizes, t.rows(), t.columns(), to)?;
        Ok(y)
    }

    fn window_average_backward(
        &self,
        dy: &Buffer<Self>,
        shape: (usize, usize, usize, usize),
        windows: &PoolWindows,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), n) = (open_buffer(dy)?, shape.0 * shape.1 * shape.2 * shape.3);
        let (t, (dx, to)) = (Tables::new(&gpu, windows, shape)?, buffer(self, &gpu, n)?);
        launch!(
            gpu,
            "window_average_backward",
            Launch::each(n),
            from,
            n,
            t.sizes,
            t.rows(),
            t.columns(),
            to
        )?;
        Ok(dx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_name_the_windows_that_see_a_position() {
        let windows = [(0, 2, 3), (1, 4, 3), (3, 5, 2)];
        let windows = windows.map(|(start, end, count)| PoolWindow { inside: start..end, count });
        let found: Vec<u32> = table(&windows, 6).collect();
        assert_eq!(found[..9], [0, 2, 3, 1, 4, 3, 3, 5, 2]);
        // Position 0 is seen by the first, 1 by two, 2 by the second, 3 by two, 4 by the last, 5 by none.
        assert_eq!(found[9..], [0, 1, 0, 2, 1, 2, 1, 3, 2, 3, 3, 3]);
    }
}
