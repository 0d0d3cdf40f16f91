//! Two-dimensional convolution.
//!
//! Kernels of one tap with stride 1 are matrix products; other dense ones go through cuDNN, whose padding is symmetric: what
//! one side has more is put around the image before. Groups, and what cuDNN has no deterministic algorithm for, take
//! kernels that follow the definition.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError},
};

use super::{
    context::{Context, Launch, Matrix, Parameter, launch, pieces},
    cudnn::{Direction, Sizes},
    memory::{buffer, data, data_of, open, scratch, tensor},
    pointer::Pointer,
    times::timed,
};
use crate::{
    cpu::conv::Geometry,
    ops::{Conv2dKernel, Conv2dSpec},
    tensor::{Buffer, Tensor1, Tensor4},
};

/// `Convolution` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Convolution([u32; 16]);

impl Parameter for Convolution {
    type Form = Convolution;

    fn form(self) -> Convolution {
        self
    }
}

impl From<&Geometry> for Convolution {
    fn from(g: &Geometry) -> Self {
        let (rows, columns) = g.output();
        let sizes = [
            g.samples,
            g.height,
            g.width,
            g.inputs,
            g.outputs,
            rows,
            columns,
            g.kernel.0,
            g.kernel.1,
            g.stride.0,
            g.stride.1,
            g.dilation.0,
            g.dilation.1,
            g.padding.top,
            g.padding.left,
            g.groups,
        ];
        Convolution(sizes.map(|v| v as u32))
    }
}

/// Input, weight and output of a convolution, of which one is computed.
#[derive(Debug, Clone, Copy)]
struct Operands {
    x: Pointer,
    weight: Pointer,
    y: Pointer,
}

/// How an image is put into a larger one, so that the rest of its padding is symmetric.
#[derive(Debug, Clone, Copy)]
struct Frame {
    rows: usize,
    columns: usize,
    top: usize,
    left: usize,
}

impl Frame {
    fn new(g: &Geometry) -> Frame {
        let p = g.padding;
        Frame {
            rows: g.height + p.top.abs_diff(p.bottom),
            columns: g.width + p.left.abs_diff(p.right),
            top: p.top.saturating_sub(p.bottom),
            left: p.left.saturating_sub(p.right),
        }
    }

    fn changes(&self, g: &Geometry) -> bool {
        (self.rows, self.columns) != (g.height, g.width)
    }

    fn len(&self, g: &Geometry) -> usize {
        g.samples * self.rows * self.columns * g.inputs
    }

    /// The image `x` in its frame.
    fn pad(&self, gpu: &Context, g: &Geometry, x: Pointer) -> Result<CudaSlice<f32>, CudaError> {
        let n = self.len(g);
        let framed = scratch::<f32>(gpu, n)?;
        let to = data_of(&framed);
        let (height, width, channels) = (g.height, g.width, g.inputs);
        let Frame { rows, columns, top, left } = *self;
        let each = Launch::each(n);
        launch!(gpu, "pad_image", each, x, n, height, width, channels, rows, columns, top, left, to)?;
        Ok(framed)
    }

    /// Takes the image out of `framed`.
    fn crop(&self, gpu: &Context, g: &Geometry, framed: Pointer, x: Pointer) -> Result<(), CudaError> {
        let n = g.samples * g.input_len();
        let (height, width, channels) = (g.height, g.width, g.inputs);
        let Frame { rows, columns, top, left } = *self;
        let each = Launch::each(n);
        launch!(gpu, "crop_image", each, framed, n, height, width, channels, rows, columns, top, left, x)
    }
}

/// Computes what `direction` says by a matrix product over all pixels.
fn pointwise(gpu: &Context, direction: Direction, g: &Geometry, o: Operands) -> Result<(), CudaError> {
    let pixels = g.samples * g.height * g.width;
    let (x, w, y) =
        (Matrix::new(o.x, g.inputs), Matrix::new(o.weight, g.inputs), Matrix::new(o.y, g.outputs));
    match direction {
        Direction::Forward => gpu.matmul((x, w.t(), y), (pixels, g.outputs, g.inputs), 0.0),
        Direction::Input => gpu.matmul((y, w, x), (pixels, g.inputs, g.outputs), 0.0),
        Direction::Weight => gpu.matmul((y.t(), x, w), (g.outputs, g.inputs, pixels), 0.0),
    }
}

/// Computes what `direction` says with cuDNN; false where it does not, then nothing has happened.
fn dense(gpu: &Context, direction: Direction, g: &Geometry, o: Operands) -> Result<bool, CudaError> {
    let (frame, p, taps) = (Frame::new(g), g.padding, g.kernel.0 * g.kernel.1);
    let sizes = Sizes {
        samples: g.samples,
        image: (frame.rows, frame.columns),
        inputs: g.inputs,
        output: g.output(),
        outputs: g.outputs,
        kernel: g.kernel,
        stride: g.stride,
        dilation: g.dilation,
        padding: (p.top.min(p.bottom), p.left.min(p.right)),
    };
    let weights = g.weight_len();
    // cuDNN has the taps outside, as its images have their pixels.
    let weight = scratch::<f32>(gpu, weights)?;
    let weight_at = data_of(&weight);
    if direction != Direction::Weight {
        launch!(gpu, "taps_outside", Launch::each(weights), o.weight, weights, g.inputs, taps, weight_at)?;
    }
    let framed = match direction {
        _ if !frame.changes(g) => None,
        Direction::Input => Some(scratch::<f32>(gpu, frame.len(g))?),
        Direction::Forward | Direction::Weight => Some(frame.pad(gpu, g, o.x)?),
    };
    let image = framed.as_ref().map_or(o.x, data_of);
    let operands = match direction {
        Direction::Forward => [image, weight_at, o.y],
        Direction::Input => [weight_at, o.y, image],
        Direction::Weight => [image, o.y, weight_at],
    };
    let mut libraries = gpu.libraries();
    if !timed("convolution", || libraries.convolve(gpu.device(), direction, &sizes, operands))? {
        return Ok(false);
    }
    drop(libraries);
    match direction {
        Direction::Input if framed.is_some() => frame.crop(gpu, g, image, o.x)?,
        Direction::Weight => {
            launch!(gpu, "taps_inside", Launch::each(weights), weight_at, weights, g.inputs, taps, o.weight)?;
        }
        Direction::Forward | Direction::Input => {}
    }
    Ok(true)
}

/// Computes what `direction` says by the definition.
fn direct(gpu: &Context, direction: Direction, g: &Geometry, o: Operands) -> Result<(), CudaError> {
    let sizes = Convolution::from(g);
    match direction {
        Direction::Forward => {
            let n = g.samples * g.output_len();
            launch!(gpu, "direct_forward", Launch::each(n), o.x, o.weight, n, sizes, o.y)
        }
        Direction::Input => {
            let n = g.samples * g.input_len();
            launch!(gpu, "direct_input_gradient", Launch::each(n), o.y, o.weight, n, sizes, o.x)
        }
        Direction::Weight if g.groups == g.inputs && g.groups == g.outputs => {
            let (taps, channels) = (g.kernel.0 * g.kernel.1, g.inputs);
            let (rows, columns) = g.output();
            let (piece, count) = pieces(g.samples * rows * columns);
            let parts = scratch::<f64>(gpu, count * taps * channels)?;
            let at = data_of(&parts);
            let blocks = Launch::columns(channels, count, taps);
            launch!(gpu, "depthwise_weight_sums", blocks, o.x, o.y, sizes, piece, at)?;
            let each = Launch::each(taps * channels);
            launch!(gpu, "depthwise_weight_totals", each, at, count, channels, taps, o.weight)
        }
        Direction::Weight => {
            let blocks = Launch::blocks(g.weight_len());
            launch!(gpu, "direct_weight_gradient", blocks, o.x, o.y, sizes, o.weight)
        }
    }
}

fn convolve(gpu: &Context, direction: Direction, g: &Geometry, o: Operands) -> Result<(), CudaError> {
    let one_tap = g.kernel == (1, 1) && g.stride == (1, 1) && g.output() == (g.height, g.width);
    if g.groups == 1 && one_tap {
        return pointwise(gpu, direction, g, o);
    }
    if g.groups == 1 && dense(gpu, direction, g, o)? {
        return Ok(());
    }
    direct(gpu, direction, g, o)
}

impl Conv2dKernel for Cuda {
    fn conv2d_forward(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        spec: &Conv2dSpec,
    ) -> Result<Tensor4<Self>, Self::Err> {
        let ((gpu, from), g) = (open(x)?, spec.geometry(*x.shape()));
        let (rows, columns) = g.output();
        let (y, to) = tensor(self, (g.samples, rows, columns, g.outputs))?;
        convolve(&gpu, Direction::Forward, &g, Operands { x: from, weight: data(weight)?, y: to })?;
        Ok(y)
    }

    fn conv2d_input_gradient(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        spec: &Conv2dSpec,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, w), g) = (open(weight)?, spec.geometry(*x.shape()));
        let (dx, to) = buffer(self, &gpu, x.shape().num_elements())?;
        convolve(&gpu, Direction::Input, &g, Operands { x: to, weight: w, y: data_of(dy) })?;
        Ok(dx)
    }

    fn conv2d_weight_gradient(
        &self,
        x: &Tensor4<Self>,
        spec: &Conv2dSpec,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let ((gpu, from), g) = (open(x)?, spec.geometry(*x.shape()));
        let (dw, to) = buffer(self, &gpu, g.weight_len())?;
        convolve(&gpu, Direction::Weight, &g, Operands { x: from, weight: to, y: data_of(dy) })?;
        Ok(dw)
    }
}
