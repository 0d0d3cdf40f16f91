//! Two-dimensional convolution.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError,
    cpu::{self, conv::Geometry},
    tensor::{Buffer, InputGrad, Tensor1, Tensor4, set_grad, take_grad},
    window::Padding,
};

/// Sizes of a convolution; each pair is (rows, columns).
///
/// A convolution over time alone is one whose kernel has one column: over (n, time, 1, channels), or over (n, time,
/// frequency, channels) with the same kernel for every frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dSpec {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Size of the kernel.
    pub kernel: (usize, usize),
    /// Distance between neighbouring kernel positions.
    pub stride: (usize, usize),
    /// Distance between neighbouring taps of the kernel.
    pub dilation: (usize, usize),
    /// Zeros around the image.
    pub padding: Padding,
    /// Into how many groups the channels are cut; outputs of a group see the inputs of that group alone.
    pub groups: usize,
}

impl Conv2dSpec {
    /// A convolution of all channels with stride 1, without padding.
    pub fn new(inputs: usize, outputs: usize, kernel: (usize, usize)) -> Conv2dSpec {
        Conv2dSpec {
            inputs,
            outputs,
            kernel,
            stride: (1, 1),
            dilation: (1, 1),
            padding: Padding::NONE,
            groups: 1,
        }
    }

    /// A 3x3 convolution that keeps the size of the image.
    pub fn same3x3(inputs: usize, outputs: usize) -> Conv2dSpec {
        Conv2dSpec { padding: Padding::symmetric(1, 1), ..Conv2dSpec::new(inputs, outputs, (3, 3)) }
    }

    /// A convolution of every channel by its own kernel, with stride 1, without padding.
    pub fn depthwise(channels: usize, kernel: (usize, usize)) -> Conv2dSpec {
        Conv2dSpec { groups: channels, ..Conv2dSpec::new(channels, channels, kernel) }
    }

    /// The same convolution with TensorFlow's `SAME` padding for an image of `height` by `width`.
    pub fn same(self, height: usize, width: usize) -> Conv2dSpec {
        let padding = Padding::same((height, width), self.kernel, self.stride, self.dilation);
        Conv2dSpec { padding, ..self }
    }

    /// Shape of the weight, as PyTorch has it: (outputs, inputs of a group, rows, columns).
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.outputs, self.inputs / self.groups.max(1), self.kernel.0, self.kernel.1]
    }

    /// Rows and columns of the output for an image of `height` by `width`.
    ///
    /// Fails where a size is 0, the groups do not divide the channels, or the kernel is larger than the padded image.
    pub fn output(&self, height: usize, width: usize) -> Result<(usize, usize), NnError> {
        let sizes = [self.kernel.0, self.kernel.1, self.stride.0, self.stride.1, self.inputs, self.outputs];
        let padded =
            (height + self.padding.top + self.padding.bottom, width + self.padding.left + self.padding.right);
        if self.groups == 0
            || !self.inputs.is_multiple_of(self.groups)
            || !self.outputs.is_multiple_of(self.groups)
        {
            let range = format!("a divisor of {} inputs and {} outputs", self.inputs, self.outputs);
            return Err(NnError::range("groups", self.groups, &range));
        }
        let extent = |kernel: usize, dilation: usize| kernel.saturating_sub(1) * dilation + 1;
        let least = (extent(self.kernel.0, self.dilation.0), extent(self.kernel.1, self.dilation.1));
        if sizes.contains(&0)
            || self.dilation.0 == 0
            || self.dilation.1 == 0
            || height == 0
            || width == 0
            || padded.0 < least.0
            || padded.1 < least.1
        {
            return Err(NnError::shape(
                format!("conv2d {self:?}: image of at least the kernel's size"),
                &[least.0, least.1],
                &[padded.0, padded.1],
            ));
        }
        Ok(self.geometry((1, height, width, self.inputs)).output())
    }

    pub(crate) fn geometry(&self, (samples, height, width, _): (usize, usize, usize, usize)) -> Geometry {
        Geometry {
            samples,
            height,
            width,
            inputs: self.inputs,
            outputs: self.outputs,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            padding: self.padding,
            groups: self.groups,
        }
    }
}

/// Kernels of [`try_conv2d`]; shapes are checked before they are called.
pub trait Conv2dKernel: GradKernel {
    /// The output.
    fn conv2d_forward(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        spec: &Conv2dSpec,
    ) -> Result<Tensor4<Self>, Self::Err>;

    /// Gradient of the input from that of the output.
    fn conv2d_input_gradient(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        spec: &Conv2dSpec,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err>;

    /// Gradient of the weight from that of the output.
    fn conv2d_weight_gradient(
        &self,
        x: &Tensor4<Self>,
        spec: &Conv2dSpec,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// `y[n, r, c, o] = sum over i, a, b of w[o, i, a, b] x[n, r s - top + a d, c s - left + b d, i]`, without bias.
///
/// `x` is (n, rows, columns, `spec.inputs`), `weight` flat in PyTorch's order; the result is (n, rows', columns',
/// `spec.outputs`). `s` is the stride and `d` the dilation; `i` runs over the inputs in the group of `o`. A bias is
/// [`try_bias`](super::try_bias). Fails where the shapes do not fit or memory is out.
pub fn try_conv2d<D: Conv2dKernel, T: Tape<f32, D>>(
    x: Tensor4<D, T>,
    weight: &Tensor1<D>,
    spec: &Conv2dSpec,
    input_grad: InputGrad,
) -> Result<Tensor4<D, T>, NnError> {
    let (n, height, width, channels) = *x.shape();
    if n == 0 || channels != spec.inputs {
        return Err(NnError::shape(
            "input of conv2d",
            &[n.max(1), height, width, spec.inputs],
            &[n, height, width, channels],
        ));
    }
    spec.output(height, width)?;
    let expected: usize = spec.weight_shape().iter().product();
    if weight.shape().0 != expected {
        return Err(NnError::shape("weight of conv2d", &spec.weight_shape(), &[weight.shape().0]));
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.conv2d_forward(&x, weight, spec).map_err(NnError::kernel("conv2d"))?;
    if T::OWNS_TAPE {
        let (weight, spec, y) = (weight.clone(), *spec, y.clone());
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            let dw = device.conv2d_weight_gradient(&x, &spec, &dy)?;
            set_grad(grads, &weight, dw)?;
            if input_grad != InputGrad::Skip {
                let dx = device.conv2d_input_gradient(&x, &weight, &spec, &dy)?;
                pass_grad(grads, &device, &x, dx, input_grad)?;
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

impl Conv2dKernel for Cpu {
    fn conv2d_forward(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        spec: &Conv2dSpec,
    ) -> Result<Tensor4<Self>, Self::Err> {
        let g = spec.geometry(*x.shape());
        let y = cpu::conv::forward(&cpu::data(x), &cpu::data(weight), &g);
        let (rows, cols) = g.output();
        cpu::tensor(self, y, (g.samples, rows, cols, g.outputs))
    }

    fn conv2d_input_gradient(
        &self,
        x: &Tensor4<Self>,
        weight: &Tensor1<Self>,
        spec: &Conv2dSpec,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let g = spec.geometry(*x.shape());
        cpu::buffer(self, cpu::conv::input_gradient(dy, &cpu::data(weight), &g))
    }

    fn conv2d_weight_gradient(
        &self,
        x: &Tensor4<Self>,
        spec: &Conv2dSpec,
        dy: &Buffer<Self>,
    ) -> Result<Buffer<Self>, Self::Err> {
        let g = spec.geometry(*x.shape());
        cpu::buffer(self, cpu::conv::weight_gradient(&cpu::data(x), dy, &g))
    }
}
