//! Gated recurrent units.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape},
};
use rayon::prelude::*;

use super::grad::{GradKernel, pass_grad};
use crate::{
    NnError,
    cpu::{
        self,
        gru::{Sizes, Trace, Weights},
    },
    tensor::{Buffer, InputGrad, Tensor1, Tensor3, set_grad, take_grad},
};

/// Parameters of one direction, flat in PyTorch's order: the rows of reset, update and new gate, one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct GruParameters<'a, D: Storage<f32>> {
    /// (3 hidden, features).
    pub weight_ih: &'a Tensor1<D>,
    /// (3 hidden, hidden).
    pub weight_hh: &'a Tensor1<D>,
    /// 3 hidden.
    pub bias_ih: &'a Tensor1<D>,
    /// 3 hidden.
    pub bias_hh: &'a Tensor1<D>,
}

impl<'a, D: Storage<f32>> GruParameters<'a, D> {
    fn all(&self) -> [&'a Tensor1<D>; 4] {
        [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
    }
}

/// What the backward pass of [`try_gru`] gives.
pub struct GruGradients<D: Storage<f32>> {
    /// Gradient of the input, where it is wanted.
    pub input: Option<Buffer<D>>,
    /// For each direction, gradients in the order of the fields of [`GruParameters`].
    pub parameters: Vec<[Buffer<D>; 4]>,
}

/// Kernels of [`try_gru`]; shapes are checked before they are called. The second direction starts at the last step.
pub trait GruKernel: GradKernel {
    /// What the backward pass needs beside input and parameters.
    type Traces: 'static;

    /// The output, (n, steps, hidden of all directions).
    fn gru_forward(
        &self,
        x: &Tensor3<Self>,
        directions: &[GruParameters<'_, Self>],
    ) -> Result<(Tensor3<Self>, Self::Traces), Self::Err>;

    /// All gradients from that of the output.
    fn gru_backward(
        &self,
        x: &Tensor3<Self>,
        directions: &[GruParameters<'_, Self>],
        traces: &Self::Traces,
        dy: &Buffer<Self>,
        input_grad: InputGrad,
    ) -> Result<GruGradients<Self>, Self::Err>;
}

/// One layer of gated recurrent units: (n, steps, features) to (n, steps, hidden), or (n, steps, 2 hidden) with `reverse`.
///
/// From a state `h` of zeros, at each step
/// `r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)`, `z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)`,
/// `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`, `h = (1 - z) n + z h`; `h` is the output of the step. `reverse` are the
/// parameters of a second direction, from the last step to the first; its output of a step stands behind the other's.
/// Fails where the sizes of the parameters do not fit or something is empty. Source: Cho et al. 2014, in the form of
/// `torch.nn.GRU` with `batch_first`.
pub fn try_gru<D: GruKernel, T: Tape<f32, D>>(
    x: Tensor3<D, T>,
    forward: &GruParameters<'_, D>,
    reverse: Option<&GruParameters<'_, D>>,
    input_grad: InputGrad,
) -> Result<Tensor3<D, T>, NnError> {
    let (n, steps, features) = *x.shape();
    if n == 0 || steps == 0 || features == 0 {
        let least = [n.max(1), steps.max(1), features.max(1)];
        return Err(NnError::shape("input of gru, at least", &least, &[n, steps, features]));
    }
    let hidden = (forward.bias_hh.shape().0 / 3).max(1);
    let directions: Vec<GruParameters<'_, D>> = std::iter::once(forward).chain(reverse).cloned().collect();
    let (gates, names) = (3 * hidden, ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]);
    let shapes: [&[usize]; 4] = [&[gates, features], &[gates, hidden], &[gates], &[gates]];
    for direction in &directions {
        for ((name, shape), found) in names.into_iter().zip(shapes).zip(direction.all()) {
            if found.shape().0 != shape.iter().product::<usize>() {
                return Err(NnError::shape(format!("{name} of gru"), shape, &[found.shape().0]));
            }
        }
    }
    let (x, mut tape) = x.split_tape();
    let device = x.device().clone();
    let (y, traces) = device.gru_forward(&x, &directions).map_err(NnError::kernel("gru"))?;
    if T::OWNS_TAPE {
        let y = y.clone();
        let owned: Vec<[Tensor1<D>; 4]> = directions.iter().map(|d| d.all().map(Clone::clone)).collect();
        tape.add_backward_op(move |grads| {
            let dy = take_grad(grads, &y)?;
            drop(y);
            let directions: Vec<_> = owned
                .iter()
                .map(|[weight_ih, weight_hh, bias_ih, bias_hh]| GruParameters {
                    weight_ih,
                    weight_hh,
                    bias_ih,
                    bias_hh,
                })
                .collect();
            let found = device.gru_backward(&x, &directions, &traces, &dy, input_grad)?;
            for (parameters, gradients) in owned.iter().zip(found.parameters) {
                for (parameter, gradient) in parameters.iter().zip(gradients) {
                    set_grad(grads, parameter, gradient)?;
                }
            }
            found.input.map_or(Ok(()), |dx| pass_grad(grads, &device, &x, dx, input_grad))
        });
    }
    Ok(y.put_tape(tape))
}

/// Gates and states of the CPU kernel.
#[derive(Debug, Clone)]
pub struct CpuGruTraces(Vec<Trace>);

fn sizes<D: Storage<f32>>(x: &Tensor3<D>, direction: usize, parameters: &GruParameters<'_, D>) -> Sizes {
    let (_, steps, inputs) = *x.shape();
    Sizes { steps, inputs, hidden: parameters.bias_hh.shape().0 / 3, reverse: direction == 1 }
}

/// Calls `f` with the numbers of a direction's parameters.
fn with_weights<R>(p: &GruParameters<'_, Cpu>, f: impl FnOnce(&Weights<'_>) -> R) -> R {
    let [input, recurrent, input_bias, recurrent_bias] = p.all().map(cpu::data);
    f(&Weights {
        input: &input,
        recurrent: &recurrent,
        input_bias: &input_bias,
        recurrent_bias: &recurrent_bias,
    })
}

impl GruKernel for Cpu {
    type Traces = CpuGruTraces;

    fn gru_forward(
        &self,
        x: &Tensor3<Self>,
        directions: &[GruParameters<'_, Self>],
    ) -> Result<(Tensor3<Self>, Self::Traces), Self::Err> {
        let values = cpu::data(x);
        let traces: Vec<Trace> = directions
            .par_iter()
            .enumerate()
            .map(|(i, p)| with_weights(p, |w| cpu::gru::forward(&values, w, &sizes(x, i, p))))
            .collect();
        let (n, steps, _) = *x.shape();
        let hidden = sizes(x, 0, &directions[0]).hidden;
        let width = hidden * directions.len();
        let mut y = vec![0.0; n * steps * width];
        for (i, trace) in traces.iter().enumerate() {
            for (y, state) in y.chunks_exact_mut(width).zip(trace.states.chunks_exact(hidden)) {
                y[i * hidden..(i + 1) * hidden].copy_from_slice(state);
            }
        }
        Ok((cpu::tensor(self, y, (n, steps, width))?, CpuGruTraces(traces)))
    }

    fn gru_backward(
        &self,
        x: &Tensor3<Self>,
        directions: &[GruParameters<'_, Self>],
        traces: &Self::Traces,
        dy: &Buffer<Self>,
        input_grad: InputGrad,
    ) -> Result<GruGradients<Self>, Self::Err> {
        let (values, wants_input) = (cpu::data(x), input_grad != InputGrad::Skip);
        let found: Vec<cpu::gru::Gradients> = directions
            .par_iter()
            .zip(&traces.0)
            .enumerate()
            .map(|(i, (p, trace))| {
                let s = sizes(x, i, p);
                let dy = (&dy[i * s.hidden..], s.hidden * directions.len());
                with_weights(p, |w| cpu::gru::backward(&values, w, &s, trace, dy, wants_input))
            })
            .collect();
        let mut input: Option<Vec<f32>> = None;
        let mut parameters = Vec::with_capacity(found.len());
        for direction in found {
            match (&mut input, direction.input) {
                (Some(sum), Some(dx)) => cpu::elementwise::add_assign(sum, &dx),
                (_, dx) => input = dx,
            }
            let [a, b, c, d] = direction.weights.map(|values| cpu::buffer(self, values));
            parameters.push([a?, b?, c?, d?]);
        }
        Ok(GruGradients { input: input.map(|dx| cpu::buffer(self, dx)).transpose()?, parameters })
    }
}
