//! The tensor types of this crate: dfdx tensors with dimensions known at run time.

use dfdx::{
    shapes::Shape,
    tensor::{Gradients, NoneTape, Storage, Tensor},
};

/// Images as (sample, row, column, channel): row is time, column is frequency, channels innermost.
pub type Tensor4<D, T = NoneTape> = Tensor<(usize, usize, usize, usize), f32, D, T>;
/// Sequences as (sample, step, feature).
pub type Tensor3<D, T = NoneTape> = Tensor<(usize, usize, usize), f32, D, T>;
/// Feature vectors as (sample, feature).
pub type Tensor2<D, T = NoneTape> = Tensor<(usize, usize), f32, D, T>;
/// A parameter of any shape, flat, in the order that PyTorch stores it in.
pub type Tensor1<D, T = NoneTape> = Tensor<(usize,), f32, D, T>;
/// One number, such as a loss.
pub type Scalar<D, T = NoneTape> = Tensor<(), f32, D, T>;
/// A device's buffer of numbers, the type of its gradients.
pub type Buffer<D> = <D as Storage<f32>>::Vec;

/// A shape whose last axis is channels (or features).
pub trait ChannelsLast: Shape {
    /// Length of the last axis.
    fn channels(&self) -> usize;

    /// The same shape with another last axis.
    fn with_channels(self, channels: usize) -> Self;
}

impl ChannelsLast for (usize, usize) {
    fn channels(&self) -> usize {
        self.1
    }

    fn with_channels(self, channels: usize) -> Self {
        (self.0, channels)
    }
}

impl ChannelsLast for (usize, usize, usize, usize) {
    fn channels(&self) -> usize {
        self.3
    }

    fn with_channels(self, channels: usize) -> Self {
        (self.0, self.1, self.2, channels)
    }
}

/// What an operation does with the gradient of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputGrad {
    /// Nobody needs it (the input is data, not computed).
    Skip,
    /// No other reader of the input has given a gradient before: this one is moved into place, nothing is added.
    Set,
    /// Another reader of the input has given a gradient before: this one is added to it.
    ///
    /// The backward pass runs from the last operation to the first, so where several operations read one tensor the
    /// last of them in the forward pass has [`InputGrad::Set`] and the others have [`InputGrad::Add`].
    Add,
}

/// Takes the gradient of `t` out; nothing else may read it afterwards. Zeros where nothing was written.
pub(crate) fn take_grad<S: Shape, D: Storage<f32>>(
    grads: &mut Gradients<f32, D>,
    t: &Tensor<S, f32, D>,
) -> Result<Buffer<D>, D::Err> {
    let empty = t.device().try_alloc_len(0)?;
    Ok(std::mem::replace(grads.get_or_alloc_mut(t)?, empty))
}

/// Makes `gradient` the gradient of `t`: of a parameter, or of an input whose only reader the operation is.
pub(crate) fn set_grad<S: Shape, D: Storage<f32>>(
    grads: &mut Gradients<f32, D>,
    t: &Tensor<S, f32, D>,
    gradient: Buffer<D>,
) -> Result<(), D::Err> {
    let set = || grads.get_or_alloc_mut(t).map(|place| *place = gradient);
    #[cfg(feature = "cuda")]
    let set = || crate::cuda::without_zeroing(set);
    set()
}
