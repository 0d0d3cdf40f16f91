//! Rows of a tensor, chosen by number.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Tape},
};

use super::grad::{GradKernel, pass_grad};
use super::shape::check_indices;
use crate::{
    NnError, cpu,
    tensor::{Buffer, InputGrad, Tensor2, take_grad},
};

/// Where each row of a tensor went: the places of row `r` are `places[starts[r]..starts[r + 1]]`, in their order.
#[derive(Debug)]
pub struct Places {
    /// One more than there are rows.
    pub starts: Vec<usize>,
    /// As many as rows were chosen.
    pub places: Vec<usize>,
}

impl Places {
    fn new(rows: usize, indices: &[usize]) -> Self {
        let mut starts = vec![0; rows + 1];
        indices.iter().for_each(|&row| starts[row + 1] += 1);
        (0..rows).for_each(|row| starts[row + 1] += starts[row]);
        let (mut next, mut places) = (starts.clone(), vec![0; indices.len()]);
        for (place, &row) in indices.iter().enumerate() {
            places[next[row]] = place;
            next[row] += 1;
        }
        Places { starts, places }
    }
}

/// Kernels of [`try_gather`]; indices are checked before they are called.
pub trait GatherKernel: GradKernel {
    /// The rows `indices` of `x`.
    fn gather_forward(&self, x: &Tensor2<Self>, indices: &[usize]) -> Result<Tensor2<Self>, Self::Err>;

    /// The gradient of an input with rows of `width` numbers: each the sum of the rows of `dy` at its places, in their order.
    fn gather_backward(
        &self,
        dy: &Buffer<Self>,
        width: usize,
        places: &Places,
    ) -> Result<Buffer<Self>, Self::Err>;
}

/// `y[k] = x[indices[k]]`: (rows, width) to (as many as indices, width). A row may be taken any number of times.
///
/// With all rows in their order this is a copy with a gradient of its own, for one of several readers of `x`. Fails where a
/// row does not exist, or none is taken.
pub fn try_gather<D: GatherKernel, T: Tape<f32, D>>(
    x: Tensor2<D, T>,
    indices: &[usize],
    input_grad: InputGrad,
) -> Result<Tensor2<D, T>, NnError> {
    let (rows, width) = *x.shape();
    if indices.is_empty() || width == 0 {
        return Err(NnError::shape("rows that are taken", &[1, 1], &[indices.len(), width]));
    }
    check_indices("rows that are taken", indices, rows)?;
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let y = device.gather_forward(&x, indices).map_err(NnError::kernel("gather"))?;
    if T::OWNS_TAPE && input_grad != InputGrad::Skip {
        let (y, places) = (y.clone(), Places::new(rows, indices));
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            let dx = device.gather_backward(&dy, width, &places)?;
            pass_grad(grads, &device, &x, dx, input_grad)
        });
    }
    Ok(y.put_tape(tape))
}

impl GatherKernel for Cpu {
    fn gather_forward(&self, x: &Tensor2<Self>, indices: &[usize]) -> Result<Tensor2<Self>, Self::Err> {
        let width = x.shape().1;
        let y = cpu::gather::rows(&cpu::data(x), width, indices);
        cpu::tensor(self, y, (indices.len(), width))
    }

    fn gather_backward(
        &self,
        dy: &Buffer<Self>,
        width: usize,
        places: &Places,
    ) -> Result<Buffer<Self>, Self::Err> {
        cpu::buffer(self, cpu::gather::sums(dy, width, &places.starts, &places.places))
    }
}
