//! The recurrent layer against its definition in f64.

use crate::check::{Dev, backward, close, device, differences, random, tensor, two_readers, wide};
use dfdx::prelude::{HasShape, NoneTape, PutTape, Trace};
use sndpipe_nn::{
    Gru, InputGrad, Parameters, Tensor1,
    ops::{GruParameters, try_gru},
};
use sndpipe_random::Rng;

#[derive(Clone, Copy)]
struct Sizes {
    n: usize,
    steps: usize,
    inputs: usize,
    hidden: usize,
}

impl Sizes {
    fn parameters(self) -> [usize; 4] {
        let gates = 3 * self.hidden;
        [gates * self.inputs, gates * self.hidden, gates, gates]
    }
}

/// One direction, element by element; the output of each step is written from `offset` on, in rows of `width`.
fn direction(x: &[f64], w: &[Vec<f64>], s: Sizes, reverse: bool, (y, offset): (&mut [f64], usize)) {
    let width = y.len() / (s.n * s.steps);
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    for sample in 0..s.n {
        let mut h = vec![0.0; s.hidden];
        for k in 0..s.steps {
            let step = if reverse { s.steps - 1 - k } else { k };
            let x = &x[(sample * s.steps + step) * s.inputs..][..s.inputs];
            let row = |w: &[f64], row: usize, v: &[f64]| -> f64 {
                w[row * v.len()..].iter().zip(v).map(|(w, v)| w * v).sum()
            };
            let new: Vec<f64> = (0..s.hidden)
                .map(|i| {
                    let input = |gate: usize| {
                        let at = gate * s.hidden + i;
                        row(&w[0], at, x) + w[2][at]
                    };
                    let recurrent = |gate: usize| {
                        let at = gate * s.hidden + i;
                        row(&w[1], at, &h) + w[3][at]
                    };
                    let r = sigmoid(input(0) + recurrent(0));
                    let z = sigmoid(input(1) + recurrent(1));
                    let n = (input(2) + r * recurrent(2)).tanh();
                    (1.0 - z) * n + z * h[i]
                })
                .collect();
            h = new;
            let at = (sample * s.steps + step) * width + offset;
            y[at..at + s.hidden].copy_from_slice(&h);
        }
    }
}

/// The layer with one set of parameters for each direction.
fn definition(x: &[f64], w: &[Vec<Vec<f64>>], s: Sizes) -> Vec<f64> {
    let mut y = vec![0.0; s.n * s.steps * s.hidden * w.len()];
    for (i, w) in w.iter().enumerate() {
        direction(x, w, s, i == 1, (&mut y, i * s.hidden));
    }
    y
}

fn parameters(w: &[Tensor1<Dev>]) -> GruParameters<'_, Dev> {
    GruParameters { weight_ih: &w[0], weight_hh: &w[1], bias_ih: &w[2], bias_hh: &w[3] }
}

/// For each direction, its four parameters.
type Directions<T> = Vec<Vec<T>>;

/// Parameters of `directions` directions, and the same as tensors.
fn weights(rng: &mut Rng, s: Sizes, directions: usize) -> (Directions<Vec<f32>>, Directions<Tensor1<Dev>>) {
    let values: Directions<Vec<f32>> =
        (0..directions).map(|_| s.parameters().iter().map(|&n| random(rng, n)).collect()).collect();
    let tensors = tensors(&values);
    (values, tensors)
}

fn tensors(values: &Directions<Vec<f32>>) -> Directions<Tensor1<Dev>> {
    values.iter().map(|w| w.iter().map(|v| tensor(v, (v.len(),))).collect()).collect()
}

#[test]
fn gru_agrees_with_its_definition() {
    let mut rng = Rng::new(1, "gru");
    let sizes = [(1, 1, 1, 1), (3, 4, 2, 3), (2, 7, 5, 4), (18, 2, 3, 2), (1, 3, 4, 17)];
    for (n, steps, inputs, hidden) in sizes {
        let s = Sizes { n, steps, inputs, hidden };
        for directions in [1, 2] {
            let x = random(&mut rng, n * steps * inputs);
            let r = random(&mut rng, n * steps * hidden * directions);
            let (w, tw) = weights(&mut rng, s, directions);
            let ww: Directions<Vec<f64>> = w.iter().map(|w| w.iter().map(|v| wide(v)).collect()).collect();
            let tx = tensor(&x, (n, steps, inputs));
            let reverse = tw.get(1).map(|w| parameters(w));
            let y = try_gru(tx.leaky_trace(), &parameters(&tw[0]), reverse.as_ref(), InputGrad::Set).unwrap();
            assert_eq!(*y.shape(), (n, steps, hidden * directions));
            close("output", &y.as_vec(), &definition(&wide(&x), &ww, s), 2e-6);
            two_readers(&mut rng, &tx, |x, g| try_gru(x, &parameters(&tw[0]), reverse.as_ref(), g));
            let grads = backward(y, &r);
            let dx = differences(&x, &r, |x| definition(x, &ww, s));
            close("dx", &grads.get(&tx).as_vec(), &dx, 1e-5);
            for (i, w) in w.iter().enumerate() {
                for (j, v) in w.iter().enumerate() {
                    let expected = differences(v, &r, |v| {
                        let mut other = ww.clone();
                        other[i][j] = v.to_vec();
                        definition(&wide(&x), &other, s)
                    });
                    let name = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"][j];
                    close(name, &grads.get(&tw[i][j]).as_vec(), &expected, 1e-5);
                }
            }
        }
    }
}

#[test]
fn a_unit_has_the_values_worked_out_by_hand() {
    // All weights 0: r = z = sigmoid(0) = 1/2, n = tanh(b + r c), h = (n + h) / 2.
    let zero = tensor(&[0.0; 3], (3,));
    let w = [zero.clone(), zero, tensor(&[0.0, 0.0, 0.5], (3,)), tensor(&[0.0, 0.0, 1.0], (3,))];
    let y = try_gru(tensor(&[7.0; 3], (1, 3, 1)), &parameters(&w), None, InputGrad::Set).unwrap();
    let n = 1f64.tanh();
    close("states", &y.as_vec(), &[n / 2.0, n * 0.75, n * 0.875], 1e-6);
    // An update gate of 1 keeps the state of 0, one of 0 takes the new one.
    for (bias, expected) in [(100.0, 0.0), (-100.0, n)] {
        let w = [w[0].clone(), w[1].clone(), tensor(&[0.0, bias, 0.5], (3,)), w[3].clone()];
        let y = try_gru(tensor(&[7.0; 2], (1, 2, 1)), &parameters(&w), None, InputGrad::Set).unwrap();
        close("gated", &y.as_vec(), &[expected, expected], 1e-6);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut rng = Rng::new(2, "threads");
    let s = Sizes { n: 50, steps: 5, inputs: 12, hidden: 9 };
    let (values, _) = weights(&mut rng, s, 2);
    let (x, r) = (random(&mut rng, s.n * s.steps * s.inputs), random(&mut rng, s.n * s.steps * 18));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (tx, w) = (tensor(&x, (s.n, s.steps, s.inputs)), tensors(&values));
            let reverse = parameters(&w[1]);
            let y = try_gru(tx.leaky_trace(), &parameters(&w[0]), Some(&reverse), InputGrad::Set).unwrap();
            let mut all = vec![y.as_vec()];
            let grads = backward(y, &r);
            all.push(grads.get(&tx).as_vec());
            all.extend(w.iter().flatten().map(|w| grads.get(w).as_vec()));
            all
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}

#[test]
fn the_layer_has_the_names_and_shapes_of_pytorch() {
    let mut p = Parameters::new(device(), 3);
    let gru = Gru::new(&mut p, "gru", (5, 4), true, InputGrad::Skip).unwrap();
    let names: Vec<(&str, &[usize])> = p.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
    let expected: [(&str, &[usize]); 8] = [
        ("gru.weight_ih_l0", &[12, 5]),
        ("gru.weight_hh_l0", &[12, 4]),
        ("gru.bias_ih_l0", &[12]),
        ("gru.bias_hh_l0", &[12]),
        ("gru.weight_ih_l0_reverse", &[12, 5]),
        ("gru.weight_hh_l0_reverse", &[12, 4]),
        ("gru.bias_ih_l0_reverse", &[12]),
        ("gru.bias_hh_l0_reverse", &[12]),
    ];
    assert_eq!(names, expected);
    assert!(p.iter().all(|p| p.value.as_vec().iter().all(|v| v.abs() <= 0.5)));
    // Two biases for each gate, as in PyTorch: 6 hidden more than with one.
    assert_eq!(p.count(), 2 * (12 * 9 + 24));
    let x = tensor(&[0.5; 2 * 3 * 5], (2, 3, 5));
    let y = gru.forward(&p, x.put_tape(NoneTape)).unwrap();
    assert_eq!((*y.shape(), gru.outputs()), ((2, 3, 8), 8));
    assert!(gru.forward(&p, tensor(&[0.0; 6], (1, 1, 6))).is_err());
    let error = Gru::new(&mut p, "gru", (0, 4), false, InputGrad::Set).unwrap_err().to_string();
    assert_eq!(error, "`inputs` is 0, must be at least 1");
}

#[test]
fn wrong_shapes_are_errors() {
    let mut rng = Rng::new(4, "shapes");
    let s = Sizes { n: 2, steps: 3, inputs: 4, hidden: 2 };
    let (_, w) = weights(&mut rng, s, 2);
    let run = |shape: (usize, usize, usize), w: &[Tensor1<Dev>]| {
        let x = tensor(&vec![0.0; shape.0 * shape.1 * shape.2], shape);
        try_gru(x, &parameters(w), None, InputGrad::Set).map_err(|e| e.to_string())
    };
    assert!(run((2, 3, 4), &w[0]).is_ok());
    assert_eq!(run((2, 3, 5), &w[0]).unwrap_err(), "weight_ih of gru: expected shape [6, 5], found [24]");
    assert!(run((2, 0, 4), &w[0]).is_err());
    let mut other = w[1].clone();
    other[2] = tensor(&[0.0; 5], (5,));
    assert_eq!(run((2, 3, 4), &other).unwrap_err(), "bias_ih of gru: expected shape [6], found [5]");
}
