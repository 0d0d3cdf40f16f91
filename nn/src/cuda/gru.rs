//! Gated recurrent units: products by cuBLAS, gates by kernels.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError, Storage},
};

use super::{
    context::{Context, Launch, Matrix, launch},
    elementwise::column_sums,
    memory::{buffer, data, data_of, open, scratch, tensor},
    pointer::Pointer,
};
use crate::{
    ops::{GruGradients, GruKernel, GruParameters},
    tensor::{Buffer, InputGrad, Tensor3},
};

/// What a direction leaves behind at each step of each sample.
struct Trace {
    states: CudaSlice<f32>,
    /// Reset gate, update gate, new gate, and the recurrent part of the new gate.
    gates: CudaSlice<f32>,
}

/// The traces of all directions.
pub struct Traces(Vec<Trace>);

/// Sizes of a direction.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    samples: usize,
    steps: usize,
    inputs: usize,
    hidden: usize,
    reverse: bool,
}

impl Sizes {
    fn new(x: &Tensor3<Cuda>, direction: usize, p: &GruParameters<'_, Cuda>) -> Sizes {
        let (samples, steps, inputs) = *x.shape();
        Sizes { samples, steps, inputs, hidden: p.bias_hh.shape().0 / 3, reverse: direction == 1 }
    }

    /// The steps in their order.
    fn order(self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.steps).map(move |k| if self.reverse { self.steps - 1 - k } else { k })
    }

    fn rows(&self) -> usize {
        self.samples * self.steps
    }
}

/// One direction; its states go to `y`, which has `stride` numbers from step to step.
fn forward(
    gpu: &Context,
    x: Pointer,
    p: &GruParameters<'_, Cuda>,
    s: Sizes,
    (y, stride): (Pointer, usize),
) -> Result<Trace, CudaError> {
    let (rows, width, hidden) = (s.rows(), 3 * s.hidden, s.hidden);
    let n = s.samples * hidden;
    let inputs = scratch::<f32>(gpu, rows * width)?;
    let recurrents = scratch::<f32>(gpu, s.samples * width)?;
    let trace = Trace { states: scratch(gpu, rows * hidden)?, gates: scratch(gpu, rows * 4 * hidden)? };
    let state = gpu.device().alloc_zeros::<f32>(n)?;
    let (input, recurrent, state_at) = (data_of(&inputs), data_of(&recurrents), data_of(&state));
    let w = Matrix::new(data(p.weight_ih)?, s.inputs);
    let product = (Matrix::new(x, s.inputs), w.t(), Matrix::new(input, width));
    gpu.matmul(product, (rows, width, s.inputs), 0.0)?;
    let w = Matrix::new(data(p.weight_hh)?, hidden);
    let (input_bias, recurrent_bias) = (data(p.bias_ih)?, data(p.bias_hh)?);
    let (gates, states) = (data_of(&trace.gates), data_of(&trace.states));
    for step in s.order() {
        let product = (Matrix::new(state_at, hidden), w.t(), Matrix::new(recurrent, width));
        gpu.matmul(product, (s.samples, width, hidden), 0.0)?;
        launch!(
            gpu,
            "gru_cells",
            Launch::each(n),
            input,
            recurrent,
            input_bias,
            recurrent_bias,
            n,
            s.steps,
            hidden,
            step,
            stride,
            state_at,
            gates,
            states,
            y,
        )?;
    }
    Ok(trace)
}

/// Gradients of a direction's parameters; the input's is added to `dx`, where there is one.
fn backward(
    device: &Cuda,
    gpu: &Context,
    (x, dx): (Pointer, Option<Pointer>),
    p: &GruParameters<'_, Cuda>,
    s: Sizes,
    trace: &Trace,
    (dy, stride): (Pointer, usize),
) -> Result<[Buffer<Cuda>; 4], CudaError> {
    let (rows, width, hidden) = (s.rows(), 3 * s.hidden, s.hidden);
    let n = s.samples * hidden;
    let (to_input, to_recurrent) = (scratch::<f32>(gpu, rows * width)?, scratch::<f32>(gpu, rows * width)?);
    let states_before = scratch::<f32>(gpu, rows * hidden)?;
    let state_gradient = gpu.device().alloc_zeros::<f32>(n)?;
    let (flow, back) = (data_of(&to_input), data_of(&to_recurrent));
    let (before, dh) = (data_of(&states_before), data_of(&state_gradient));
    let (gates, states, all) = (data_of(&trace.gates), data_of(&trace.states), rows * hidden);
    launch!(gpu, "gru_before", Launch::each(all), states, all, s.steps, hidden, s.reverse, before)?;
    let w = Matrix::new(data(p.weight_hh)?, hidden);
    for step in s.order().rev() {
        let each = Launch::each(n);
        launch!(
            gpu,
            "gru_cells_backward",
            each,
            dy,
            stride,
            gates,
            before,
            n,
            s.steps,
            hidden,
            step,
            dh,
            flow,
            back
        )?;
        let of_step = Matrix::new(back.at(step * width), s.steps * width);
        gpu.matmul((of_step, w, Matrix::new(dh, hidden)), (s.samples, hidden, width), 1.0)?;
    }
    let (flow, back) = (Matrix::new(flow, width), Matrix::new(back, width));
    let (dw_ih, to) = buffer(device, gpu, width * s.inputs)?;
    let product = (flow.t(), Matrix::new(x, s.inputs), Matrix::new(to, s.inputs));
    gpu.matmul(product, (width, s.inputs, rows), 0.0)?;
    let (dw_hh, to) = buffer(device, gpu, width * hidden)?;
    let product = (back.t(), Matrix::new(before, hidden), Matrix::new(to, hidden));
    gpu.matmul(product, (width, hidden, rows), 0.0)?;
    if let Some(dx) = dx {
        let w = Matrix::new(data(p.weight_ih)?, s.inputs);
        gpu.matmul((flow, w, Matrix::new(dx, s.inputs)), (rows, s.inputs, width), 1.0)?;
    }
    let db_ih = column_sums(device, gpu, data_of(&to_input), (rows, width))?;
    let db_hh = column_sums(device, gpu, data_of(&to_recurrent), (rows, width))?;
    Ok([dw_ih, dw_hh, db_ih, db_hh])
}

impl GruKernel for Cuda {
    type Traces = Traces;

    fn gru_forward(
        &self,
        x: &Tensor3<Self>,
        directions: &[GruParameters<'_, Self>],
    ) -> Result<(Tensor3<Self>, Self::Traces), Self::Err> {
        let ((gpu, from), (samples, steps, _)) = (open(x)?, *x.shape());
        let hidden = directions.first().map_or(0, |p| p.bias_hh.shape().0 / 3);
        let width = hidden * directions.len();
        let (y, to) = tensor(self, (samples, steps, width))?;
        let traces = directions
            .iter()
            .enumerate()
            .map(|(i, p)| forward(&gpu, from, p, Sizes::new(x, i, p), (to.at(i * hidden), width)));
        let traces = traces.collect::<Result<_, _>>()?;
        Ok((y, Traces(traces)))
    }

    fn gru_backward(
        &self,
        x: &Tensor3<Self>,
        directions: &[GruParameters<'_, Self>],
        traces: &Self::Traces,
        dy: &Buffer<Self>,
        input_grad: InputGrad,
    ) -> Result<GruGradients<Self>, Self::Err> {
        let (gpu, from) = open(x)?;
        let wanted = (input_grad != InputGrad::Skip).then(|| x.shape().num_elements());
        let input = wanted.map(|n| Storage::<f32>::try_alloc_len(self, n)).transpose()?;
        let dx = input.as_ref().map(data_of);
        let mut parameters = Vec::with_capacity(directions.len());
        for (i, (p, trace)) in directions.iter().zip(&traces.0).enumerate() {
            let s = Sizes::new(x, i, p);
            let dy = (data_of(dy).at(i * s.hidden), s.hidden * directions.len());
            parameters.push(backward(self, &gpu, (from, dx), p, s, trace, dy)?);
        }
        Ok(GruGradients { input, parameters })
    }
}
