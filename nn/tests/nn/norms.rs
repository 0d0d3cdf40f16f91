//! Layer and instance normalisation against their formulas in f64.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::check::{Dev, backward, close, differences, random, tensor, wide};
use dfdx::{
    prelude::{OwnedTape, Trace},
    shapes::Shape,
    tensor::Tensor,
};
use sndpipe_nn::{
    InputGrad, NnError, Tensor1,
    ops::{try_instance_norm, try_layer_norm},
};
use sndpipe_random::Rng;

const EPSILON: f64 = 1e-5;

/// Normalises the numbers at each of the groups of positions.
fn normalise(x: &[f64], w: &[f64], b: &[f64], groups: &[Vec<usize>]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for group in groups {
        let count = group.len() as f64;
        let mean = group.iter().map(|&i| x[i]).sum::<f64>() / count;
        let variance = group.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / count;
        for &i in group {
            y[i] = (x[i] - mean) / (variance + EPSILON).sqrt() * w[i % w.len()] + b[i % b.len()];
        }
    }
    y
}

type Traced<S> = Tensor<S, f32, Dev, OwnedTape<f32, Dev>>;

#[track_caller]
fn check<S: Shape>(
    rng: &mut Rng,
    shape: S,
    channels: usize,
    groups: &[Vec<usize>],
    norm: impl Fn(Traced<S>, &Tensor1<Dev>, &Tensor1<Dev>) -> Result<Traced<S>, NnError>,
) {
    let length = shape.num_elements();
    // A mean far from zero: the sums must not lose the variance.
    let x: Vec<f32> = random(rng, length).iter().map(|v| v + 10.0).collect();
    let (w, b, r) = (random(rng, channels), random(rng, channels), random(rng, length));
    let (tx, tw, tb) = (tensor(&x, shape), tensor(&w, (channels,)), tensor(&b, (channels,)));
    let (wx, ww, wb) = (wide(&x), wide(&w), wide(&b));
    let y = norm(tx.leaky_trace(), &tw, &tb).unwrap();
    close("output", &y.as_vec(), &normalise(&wx, &ww, &wb, groups), 2e-5);
    let grads = backward(y, &r);
    let dx = differences(&x, &r, |x| normalise(x, &ww, &wb, groups));
    let dw = differences(&w, &r, |w| normalise(&wx, w, &wb, groups));
    let db = differences(&b, &r, |b| normalise(&wx, &ww, b, groups));
    close("dx", &grads.get(&tx).as_vec(), &dx, 1e-4);
    close("dw", &grads.get(&tw).as_vec(), &dw, 1e-4);
    close("db", &grads.get(&tb).as_vec(), &db, 1e-4);
}

#[test]
fn layer_norm_agrees_with_its_formula() {
    let mut rng = Rng::new(1, "layer norm");
    for (n, features) in [(1, 2), (3, 7), (5, 16), (9, 35)] {
        let groups: Vec<Vec<usize>> =
            (0..n).map(|row| (row * features..(row + 1) * features).collect()).collect();
        check(&mut rng, (n, features), features, &groups, |x, w, b| {
            try_layer_norm(x, w, b, EPSILON, InputGrad::Set)
        });
    }
    let groups: Vec<Vec<usize>> = (0..12).map(|row| (row * 9..(row + 1) * 9).collect()).collect();
    check(&mut rng, (2, 3, 2, 9), 9, &groups, |x, w, b| try_layer_norm(x, w, b, EPSILON, InputGrad::Set));
}

#[test]
fn instance_norm_agrees_with_its_formula() {
    let mut rng = Rng::new(2, "instance norm");
    for (n, rows, columns, channels) in [(1, 2, 1, 1), (3, 4, 3, 5), (2, 7, 2, 18)] {
        let groups: Vec<Vec<usize>> = (0..n * channels)
            .map(|group| {
                let (sample, channel) = (group / channels, group % channels);
                let positions = 0..rows * columns;
                positions.map(|p| (sample * rows * columns + p) * channels + channel).collect()
            })
            .collect();
        check(&mut rng, (n, rows, columns, channels), channels, &groups, |x, w, b| {
            try_instance_norm(x, w, b, EPSILON, InputGrad::Set)
        });
    }
}

#[test]
fn layer_norm_of_many_rows_adds_the_gradients_of_all() {
    // More rows than a thread takes at a time; the gradient of the bias is their sum.
    let (n, features) = (5000, 7);
    let mut rng = Rng::new(3, "rows");
    let (x, r) = (random(&mut rng, n * features), random(&mut rng, n * features));
    let (tx, tw, tb) = (tensor(&x, (n, features)), tensor(&[1.0; 7], (7,)), tensor(&[0.0; 7], (7,)));
    let y = try_layer_norm(tx.leaky_trace(), &tw, &tb, EPSILON, InputGrad::Set).unwrap();
    let normal = wide(&y.as_vec());
    let grads = backward(y, &r);
    let (mut dw, mut db) = (vec![0.0; features], vec![0.0; features]);
    for (i, &r) in wide(&r).iter().enumerate() {
        dw[i % features] += r * normal[i];
        db[i % features] += r;
    }
    close("dw", &grads.get(&tw).as_vec(), &dw, 1e-6);
    close("db", &grads.get(&tb).as_vec(), &db, 1e-6);
}

#[test]
fn wrong_shapes_and_ranges_are_errors() {
    let (two, three) = (tensor(&[1.0; 2], (2,)), tensor(&[1.0; 3], (3,)));
    let x = || tensor(&[0.0; 6], (2, 3));
    assert!(try_layer_norm(x(), &three, &three, EPSILON, InputGrad::Set).is_ok());
    let error = try_layer_norm(x(), &three, &two, EPSILON, InputGrad::Set).unwrap_err().to_string();
    assert_eq!(error, "bias of layer norm: expected shape [3], found [2]");
    assert!(try_layer_norm(x(), &three, &three, 0.0, InputGrad::Set).is_err());
    let x = |positions: usize| tensor(&vec![0.0; 2 * positions * 3], (2, positions, 1, 3));
    assert!(try_instance_norm(x(2), &three, &three, EPSILON, InputGrad::Set).is_ok());
    assert!(try_instance_norm(x(1), &three, &three, EPSILON, InputGrad::Set).is_err());
    assert!(try_instance_norm(x(2), &two, &three, EPSILON, InputGrad::Set).is_err());
}
