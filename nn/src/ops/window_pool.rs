//! Maxima and averages over windows of any size.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::concat::ConcatKernel;
use super::grad::pass_grad;
use super::pool::PoolKernel;
use super::{
    concat::try_reshape,
    pool::{image, try_max_pool_2x2},
};
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor2, Tensor4, take_grad},
    window::{Padding, PoolWindow, PoolWindows},
};

/// The windows of a pooling; each pair is (rows, columns).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSpec {
    /// Windows of one size at a constant distance.
    Sliding {
        /// Size of a window.
        kernel: (usize, usize),
        /// Distance between neighbouring windows.
        stride: (usize, usize),
        /// What windows may cover around the image: less than the kernel on each side.
        padding: Padding,
        /// Whether a last window may reach beyond the padded image, if it starts before its right or lower padding.
        ceil: bool,
    },
    /// As many windows as this along each axis; window `i` of `m` over `n` positions is
    /// `floor(i n / m)..ceil((i + 1) n / m)`, as in PyTorch's adaptive pooling.
    Adaptive {
        /// Rows and columns of the output.
        output: (usize, usize),
    },
}

/// What an average pooling divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divisor {
    /// Positions of the window within the padded image: PyTorch's `count_include_pad=True`, its default.
    Padded,
    /// Positions of the window within the image: `count_include_pad=False`, and what TensorFlow does.
    Image,
}

impl PoolSpec {
    /// Windows without padding.
    pub fn valid(kernel: (usize, usize), stride: (usize, usize)) -> PoolSpec {
        PoolSpec::Sliding { kernel, stride, padding: Padding::NONE, ceil: false }
    }

    /// Windows with TensorFlow's `SAME` padding for an image of `height` by `width`.
    pub fn same(kernel: (usize, usize), stride: (usize, usize), height: usize, width: usize) -> PoolSpec {
        let padding = Padding::same((height, width), kernel, stride, (1, 1));
        PoolSpec::Sliding { kernel, stride, padding, ceil: false }
    }

    /// Rows and columns of the output for an image of `height` by `width`.
    ///
    /// Fails where a size is 0, a window is larger than the padded image, or the padding is not less than the kernel.
    pub fn output(&self, height: usize, width: usize) -> Result<(usize, usize), NnError> {
        let windows = self.windows(height, width, Divisor::Image)?;
        Ok((windows.rows.len(), windows.columns.len()))
    }

    /// The windows over an image of `height` by `width`; fails as [`PoolSpec::output`] does.
    pub fn windows(&self, height: usize, width: usize, divisor: Divisor) -> Result<PoolWindows, NnError> {
        let axes = match *self {
            PoolSpec::Sliding { kernel, stride, padding: p, ceil } => [
                sliding(height, kernel.0, stride.0, (p.top, p.bottom), ceil, divisor),
                sliding(width, kernel.1, stride.1, (p.left, p.right), ceil, divisor),
            ],
            PoolSpec::Adaptive { output } => [adaptive(height, output.0), adaptive(width, output.1)],
        };
        let [Some(rows), Some(columns)] = axes else {
            let range = format!("of sizes above 0, with windows that see an image of {height} x {width}");
            return Err(NnError::range("pooling", format!("{self:?}"), &range));
        };
        Ok(PoolWindows { rows, columns })
    }
}

/// The windows along an axis of `length`, or nothing where they do not fit.
fn sliding(
    length: usize,
    kernel: usize,
    stride: usize,
    (before, after): (usize, usize),
    ceil: bool,
    divisor: Divisor,
) -> Option<Vec<PoolWindow>> {
    let padded = length + before + after;
    if length == 0 || stride == 0 || kernel <= before.max(after) || padded < kernel {
        return None;
    }
    let steps = padded - kernel;
    let mut last = if ceil { steps.div_ceil(stride) } else { steps / stride };
    if last * stride >= length + before {
        last -= 1;
    }
    let spans = (0..=last).map(|i| {
        let start = i * stride;
        let end = (start + kernel).min(padded);
        let inside = start.max(before) - before..end.min(before + length) - before;
        let count = match divisor {
            Divisor::Padded => end - start,
            Divisor::Image => inside.len(),
        };
        PoolWindow { inside, count }
    });
    Some(spans.collect())
}

fn adaptive(length: usize, output: usize) -> Option<Vec<PoolWindow>> {
    let spans = (0..output).map(|i| {
        let inside = i * length / output..((i + 1) * length).div_ceil(output);
        PoolWindow { count: inside.len(), inside }
    });
    (length > 0 && output > 0).then(|| spans.collect())
}

/// Kernels of [`try_max_pool`] and [`try_average_pool`]; shapes are checked before they are called.
pub trait WindowPoolKernel: ConcatKernel + PoolKernel {
    /// Output of [`try_max_pool`].
    fn window_max_forward(
        &self,
        x: &Tensor4<Self>,
        windows: &PoolWindows,
    ) -> Result<Tensor4<Self>, Self::Err>;

    /// Gradient of the input `x` of [`try_max_pool`] from its output and the output's gradient.
    fn window_max_backward(
        &self,
        x: &Tensor4<Self>,
        y: &Tensor4<Self>,
        dy: &Buffer<Self>,
        windows: &PoolWindows,
    ) -> Result<Buffer<Self>, Self::Err>;

    /// Output of [`try_average_pool`].
    fn window_average_forward(
        &self,
        x: &Tensor4<Self>,
        windows: &PoolWindows,
    ) -> Result<Tensor4<Self>, Self::Err>;

    /// Gradient of the input of [`try_average_pool`], whose shape is `shape`.
    fn window_average_backward(
        &self,
        dy: &Buffer<Self>,
        shape: (usize, usize, usize, usize),
        windows: &PoolWindows,
    ) -> Result<Buffer<Self>, Self::Err>;
}

fn check(shape: (usize, usize, usize, usize)) -> Result<(), NnError> {
    if shape.0 == 0 || shape.3 == 0 {
        return Err(NnError::shape(
            "input of a pooling, at least",
            &[1, shape.1.max(1), shape.2.max(1), 1],
            &[shape.0, shape.1, shape.2, shape.3],
        ));
    }
    Ok(())
}

/// Maxima of windows: (n, rows, columns, channels) to (n, rows', columns', channels).
///
/// Padding is never a maximum. The gradient goes to the first maximum of a window in row-major order, as in PyTorch.
pub fn try_max_pool<D: WindowPoolKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    spec: &PoolSpec,
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let shape = *x.shape();
    if *spec == PoolSpec::valid((2, 2), (2, 2)) {
        return try_max_pool_2x2(x, input_grad);
    }
    check(shape)?;
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let windows = spec.windows(shape.1, shape.2, Divisor::Image)?;
    let y = device.window_max_forward(&x, &windows).map_err(NnError::kernel("max-pooling"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            let dx = device.window_max_backward(&x, &y, &dy, &windows)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// Averages of windows: (n, rows, columns, channels) to (n, rows', columns', channels).
///
/// Padding counts as zeros in the sum, and in the divisor as `divisor` says.
pub fn try_average_pool<D: WindowPoolKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    spec: &PoolSpec,
    divisor: Divisor,
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let shape = *x.shape();
    check(shape)?;
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let windows = spec.windows(shape.1, shape.2, divisor)?;
    let y = device.window_average_forward(&x, &windows).map_err(NnError::kernel("average pooling"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let y = y.clone();
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            let dx = device.window_average_backward(&dy, shape, &windows)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

/// Maximum over rows and columns: (n, rows, columns, channels) to (n, channels).
pub fn try_global_max<D: WindowPoolKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let (n, _, _, channels) = *x.shape();
    let y = try_max_pool(x, &PoolSpec::Adaptive { output: (1, 1) }, input_grad)?;
    try_reshape(y, (n, channels))
}

/// Mean over rows and columns: (n, rows, columns, channels) to (n, channels).
pub fn try_global_average<D: WindowPoolKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let (n, _, _, channels) = *x.shape();
    let y = try_average_pool(x, &PoolSpec::Adaptive { output: (1, 1) }, Divisor::Image, input_grad)?;
    try_reshape(y, (n, channels))
}

impl WindowPoolKernel for Cpu {
    fn window_max_forward(
        &self,
        x: &Tensor4<Self>,
        windows: &PoolWindows,
    ) -> Result<Tensor4<Self>, Self::Err> {
        let shape = *x.shape();
        let y = windows.max(&cpu::data(x), image(shape));
        cpu::tensor(self, y, (shape.0, windows.rows.len(), windows.columns.len(), shape.3))
    }

    fn window_max_backward(
        &self,
        x: &Tensor4<Self>,
        y: &Tensor4<Self>,
        dy: &Buffer<Self>,
        windows: &PoolWindows,
    ) -> Result<Buffer<Self>, Self::Err> {
        let dx = windows.max_backward(&cpu::data(x), &cpu::data(y), dy, image(*x.shape()));
        cpu::buffer(self, dx)
    }

    fn window_average_forward(
        &self,
        x: &Tensor4<Self>,
        windows: &PoolWindows,
    ) -> Result<Tensor4<Self>, Self::Err> {
        let shape = *x.shape();
        let y = windows.average(&cpu::data(x), image(shape));
        cpu::tensor(self, y, (shape.0, windows.rows.len(), windows.columns.len(), shape.3))
    }

    fn window_average_backward(
        &self,
        dy: &Buffer<Self>,
        shape: (usize, usize, usize, usize),
        windows: &PoolWindows,
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, windows.average_backward(dy, image(shape)))
    }
}
