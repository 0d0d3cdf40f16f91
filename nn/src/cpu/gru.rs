//! Gated recurrent units over (sample, step, feature), forwards and through time backwards.
//!
//! The gates of a step lie one behind the other as in PyTorch: reset, update, new.

use rayon::prelude::*;

use super::activation::{sigmoid, tanh};
use super::elementwise::sum_partials;
use super::linear::bias_gradient;
use super::zeros::zeros;
use sndpipe_linalg::{Layout, matmul, multiversion};

/// Samples that a thread takes through all steps.
const SAMPLES: usize = 16;

/// Sizes of a direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) steps: usize,
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    /// Whether the last step comes first.
    pub(crate) reverse: bool,
}

impl Sizes {
    /// The step that is computed `k`-th.
    fn step(&self, k: usize) -> usize {
        if self.reverse { self.steps - 1 - k } else { k }
    }

    /// Input weights, recurrent weights and the two biases, one behind the other.
    fn lengths(&self) -> [usize; 4] {
        let gates = 3 * self.hidden;
        [gates * self.inputs, gates * self.hidden, gates, gates]
    }
}

/// Parameters of a direction: (3 hidden, inputs), (3 hidden, hidden), 3 hidden, 3 hidden.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) recurrent: &'a [f32],
    pub(crate) input_bias: &'a [f32],
    pub(crate) recurrent_bias: &'a [f32],
}

/// What a direction leaves behind at each step of each sample.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// The state behind the step.
    pub(crate) states: Vec<f32>,
    /// Reset gate, update gate, new gate, and the recurrent part of the new gate.
    gates: Vec<f32>,
}

/// Rows of equal numbers.
fn repeated(row: &[f32], rows: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(row.len() * rows);
    (0..rows).for_each(|_| all.extend_from_slice(row));
    all
}

multiversion! {
    /// One step of some samples: gates and states at `step`, and `state` itself.
    fn cells(x: &[f32], h: &[f32], s: &Sizes, step: usize, state: &mut [f32], gates: &mut [f32], states: &mut [f32]) {
        let hidden = s.hidden;
        for (sample, (state, h)) in
            state.chunks_exact_mut(hidden).zip(h.chunks_exact(3 * hidden)).enumerate()
        {
            let at = sample * s.steps + step;
            let (xr, rest) = x[3 * hidden * at..3 * hidden * (at + 1)].split_at(hidden);
            let (xz, xn) = rest.split_at(hidden);
            let (hr, rest) = h.split_at(hidden);
            let (hz, hn) = rest.split_at(hidden);
            let (r, rest) = gates[4 * hidden * at..4 * hidden * (at + 1)].split_at_mut(hidden);
            let (z, rest) = rest.split_at_mut(hidden);
            let (n, recurrent) = rest.split_at_mut(hidden);
            let (xn, hn, state) = (&xn[..hidden], &hn[..hidden], &mut state[..hidden]);
            for i in 0..hidden {
                r[i] = sigmoid(xr[i] + hr[i]);
                z[i] = sigmoid(xz[i] + hz[i]);
                n[i] = tanh(xn[i] + r[i] * hn[i]);
                state[i] = n[i] + z[i] * (state[i] - n[i]);
            }
            recurrent.copy_from_slice(hn);
            states[hidden * at..hidden * (at + 1)].copy_from_slice(state);
        }
    }
}

/// States of all samples and steps, from states of 0.
pub(crate) fn forward(x: &[f32], w: &Weights<'_>, s: &Sizes) -> Trace {
    let sample = s.steps * s.inputs;
    let rows = x.len() / s.inputs;
    let mut trace = Trace { states: vec![0.0; rows * s.hidden], gates: vec![0.0; rows * 4 * s.hidden] };
    trace
        .states
        .par_chunks_mut(SAMPLES * s.steps * s.hidden)
        .zip(trace.gates.par_chunks_mut(SAMPLES * s.steps * 4 * s.hidden))
        .zip(x.par_chunks(SAMPLES * sample))
        .for_each(|((states, gates), x)| forward_piece(x, w, s, gates, states));
    trace
}

fn forward_piece(x: &[f32], w: &Weights<'_>, s: &Sizes, gates: &mut [f32], states: &mut [f32]) {
    let (rows, width) = (x.len() / s.inputs, 3 * s.hidden);
    let samples = rows / s.steps;
    let mut inputs = repeated(w.input_bias, rows);
    matmul(
        (x, Layout::row_major(rows, s.inputs)),
        (w.input, Layout::row_major(width, s.inputs).t()),
        (&mut inputs, Layout::row_major(rows, width)),
        true,
    );
    let bias = repeated(w.recurrent_bias, samples);
    let (mut recurrent, mut state) = (vec![0.0; bias.len()], vec![0.0; samples * s.hidden]);
    for k in 0..s.steps {
        recurrent.copy_from_slice(&bias);
        matmul(
            (&state, Layout::row_major(samples, s.hidden)),
            (w.recurrent, Layout::row_major(width, s.hidden).t()),
            (&mut recurrent, Layout::row_major(samples, width)),
            true,
        );
        cells(&inputs, &recurrent, s, s.step(k), &mut state, gates, states);
    }
}

/// Gradients of a direction.
pub(crate) struct Gradients {
    /// Of the input, where it is wanted.
    pub(crate) input: Option<Vec<f32>>,
    /// Of [`Weights`], in its order.
    pub(crate) weights: [Vec<f32>; 4],
}

/// Of a piece: what flows into the two sums before the gates, and the states before each step.
struct Flow {
    input: Vec<f32>,
    recurrent: Vec<f32>,
    before: Vec<f32>,
}

multiversion! {
    /// One step backwards: turns the gradient of the state behind the step, plus `dy`, into that of the state before it,
    /// without the part through the gates.
    fn cells_backward(dy: &[f32], dy_stride: usize, trace: &[f32], s: &Sizes, step: usize, dh: &mut [f32], flow: &mut Flow) {
        let hidden = s.hidden;
        for (sample, dh) in dh.chunks_exact_mut(hidden).enumerate() {
            let at = sample * s.steps + step;
            let dy = &dy[dy_stride * at..dy_stride * at + hidden];
            let before = &flow.before[hidden * at..hidden * (at + 1)];
            let (r, rest) = trace[4 * hidden * at..4 * hidden * (at + 1)].split_at(hidden);
            let (z, rest) = rest.split_at(hidden);
            let (n, recurrent) = rest.split_at(hidden);
            let recurrent = &recurrent[..hidden];
            let gates = 3 * hidden * at..3 * hidden * (at + 1);
            let (xr, rest) = flow.input[gates.clone()].split_at_mut(hidden);
            let (xz, xn) = rest.split_at_mut(hidden);
            let (hr, rest) = flow.recurrent[gates].split_at_mut(hidden);
            let (hz, hn) = rest.split_at_mut(hidden);
            let (xn, hn) = (&mut xn[..hidden], &mut hn[..hidden]);
            for i in 0..hidden {
                let d = dh[i] + dy[i];
                let new = d * (1.0 - z[i]) * (1.0 - n[i] * n[i]);
                let reset = new * recurrent[i] * r[i] * (1.0 - r[i]);
                let update = d * (before[i] - n[i]) * z[i] * (1.0 - z[i]);
                (xr[i], xz[i], xn[i]) = (reset, update, new);
                (hr[i], hz[i], hn[i]) = (reset, update, new * r[i]);
                dh[i] = d * z[i];
            }
        }
    }
}

/// Gradients from that of the states, which starts at `dy` and has `dy_stride` numbers from step to step.
pub(crate) fn backward(
    x: &[f32],
    w: &Weights<'_>,
    s: &Sizes,
    trace: &Trace,
    (dy, dy_stride): (&[f32], usize),
    wants_input: bool,
) -> Gradients {
    let sample = s.steps * s.inputs;
    let pieces: Vec<(Vec<f32>, Vec<f32>)> = x
        .par_chunks(SAMPLES * sample)
        .enumerate()
        .map(|(piece, x)| {
            let start = piece * SAMPLES * s.steps;
            let rows = x.len() / s.inputs;
            let states = &trace.states[start * s.hidden..][..rows * s.hidden];
            let gates = &trace.gates[start * 4 * s.hidden..];
            let flow = flow(w, s, (states, gates), (&dy[start * dy_stride..], dy_stride));
            let dx = if wants_input { input_gradient(w, s, &flow) } else { Vec::new() };
            (weight_gradients(x, s, &flow), dx)
        })
        .collect();
    let (partials, inputs): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
    let lengths = s.lengths();
    let total = sum_partials(partials.concat(), lengths.iter().sum());
    let mut start = 0;
    let weights = lengths.map(|length| {
        start += length;
        total[start - length..start].to_vec()
    });
    Gradients { input: wants_input.then(|| inputs.concat()), weights }
}

fn flow(
    w: &Weights<'_>,
    s: &Sizes,
    (states, gates): (&[f32], &[f32]),
    (dy, dy_stride): (&[f32], usize),
) -> Flow {
    let (hidden, width) = (s.hidden, 3 * s.hidden);
    let rows = states.len() / hidden;
    let samples = rows / s.steps;
    let mut flow = Flow {
        input: vec![0.0; rows * width],
        recurrent: vec![0.0; rows * width],
        before: vec![0.0; rows * hidden],
    };
    for sample in 0..samples {
        for k in 1..s.steps {
            let (from, to) = (sample * s.steps + s.step(k - 1), sample * s.steps + s.step(k));
            let state = &states[from * hidden..(from + 1) * hidden];
            flow.before[to * hidden..(to + 1) * hidden].copy_from_slice(state);
        }
    }
    let mut dh = vec![0.0; samples * hidden];
    for k in (0..s.steps).rev() {
        let step = s.step(k);
        cells_backward(dy, dy_stride, gates, s, step, &mut dh, &mut flow);
        let of_step = Layout { rows: samples, cols: width, row_stride: s.steps * width, col_stride: 1 };
        matmul(
            (&flow.recurrent[step * width..], of_step),
            (w.recurrent, Layout::row_major(width, hidden)),
            (&mut dh, Layout::row_major(samples, hidden)),
            true,
        );
    }
    flow
}

/// `[dW_ih, dW_hh, db_ih, db_hh]` of a piece, one behind the other.
fn weight_gradients(x: &[f32], s: &Sizes, flow: &Flow) -> Vec<f32> {
    let (rows, width) = (x.len() / s.inputs, 3 * s.hidden);
    let gates = Layout::row_major(rows, width).t();
    let mut all = vec![0.0; width * (s.inputs + s.hidden)];
    let (input, recurrent) = all.split_at_mut(width * s.inputs);
    let pairs = [(&flow.input, x, s.inputs, input), (&flow.recurrent, &flow.before, s.hidden, recurrent)];
    for (flow, values, cols, out) in pairs {
        let (values, out) = ((values, Layout::row_major(rows, cols)), (out, Layout::row_major(width, cols)));
        matmul((flow, gates), values, out, false);
    }
    all.extend(bias_gradient(&flow.input, width));
    all.extend(bias_gradient(&flow.recurrent, width));
    all
}

fn input_gradient(w: &Weights<'_>, s: &Sizes, flow: &Flow) -> Vec<f32> {
    let width = 3 * s.hidden;
    let rows = flow.input.len() / width;
    let mut dx = zeros(rows * s.inputs);
    matmul(
        (&flow.input, Layout::row_major(rows, width)),
        (w.input, Layout::row_major(width, s.inputs)),
        (&mut dx, Layout::row_major(rows, s.inputs)),
        false,
    );
    dx
}
