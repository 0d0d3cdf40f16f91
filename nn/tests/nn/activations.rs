//! Sigmoid, tanh, softmax, PReLU and L2 normalisation against their definitions in f64.

use crate::check::{backward, close, differences, random, tensor, wide};
use dfdx::prelude::Trace;
use sndpipe_nn::{
    InputGrad,
    ops::{try_l2_normalise, try_prelu, try_sigmoid, try_softmax, try_tanh},
};
use sndpipe_random::Rng;

#[test]
fn sigmoid_and_tanh_agree_with_their_definitions() {
    let mut rng = Rng::new(1, "sigmoid");
    // More than a thread takes at a time.
    let x: Vec<f32> = random(&mut rng, 3 * 5 * 1201).iter().map(|v| 3.0 * v).collect();
    let r = random(&mut rng, x.len());
    let tx = tensor(&x, (3, 5, 1201));
    let one = |f: fn(f64) -> f64| -> Vec<f64> { wide(&x).into_iter().map(f).collect() };
    // The derivative of an element is the difference of that element alone.
    let slope = |f: fn(f64) -> f64| -> Vec<f64> {
        let slopes = wide(&x).into_iter().map(|x| (f(x + 1e-6) - f(x - 1e-6)) / 2e-6);
        slopes.zip(&r).map(|(s, &r)| s * f64::from(r)).collect()
    };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let y = try_sigmoid(tx.leaky_trace(), InputGrad::Set).unwrap();
    close("sigmoid", &y.as_vec(), &one(sigmoid), 2e-7);
    close("its gradient", &backward(y, &r).get(&tx).as_vec(), &slope(sigmoid), 1e-6);
    let y = try_tanh(tx.leaky_trace(), InputGrad::Set).unwrap();
    close("tanh", &y.as_vec(), &one(f64::tanh), 3e-7);
    close("its gradient", &backward(y, &r).get(&tx).as_vec(), &slope(f64::tanh), 1e-6);
}

#[test]
fn softmax_agrees_with_its_definition() {
    let mut rng = Rng::new(2, "softmax");
    for (rows, width) in [(1, 1), (4, 9), (7, 33)] {
        let (x, r) = (random(&mut rng, rows * width), random(&mut rng, rows * width));
        let tx = tensor(&x, (rows, width));
        let softmax = |x: &[f64]| -> Vec<f64> {
            x.chunks(width)
                .flat_map(|row| {
                    let sum: f64 = row.iter().map(|v| v.exp()).sum();
                    row.iter().map(move |v| v.exp() / sum)
                })
                .collect()
        };
        let y = try_softmax(tx.leaky_trace(), InputGrad::Set).unwrap();
        close("softmax", &y.as_vec(), &softmax(&wide(&x)), 1e-6);
        let dx = backward(y, &r).get(&tx).as_vec();
        close("its gradient", &dx, &differences(&x, &r, softmax), 1e-6);
    }
    assert_eq!(try_softmax(tensor(&[1e4, 0.0], (1, 2)), InputGrad::Set).unwrap().as_vec(), [1.0, 0.0]);
}

#[test]
fn prelu_agrees_with_its_definition() {
    let mut rng = Rng::new(3, "prelu");
    for (n, positions, channels) in [(1, 1, 1), (2, 3, 5), (3, 4, 17)] {
        for shared in [true, false] {
            let length = n * positions * channels;
            let (x, r) = (random(&mut rng, length), random(&mut rng, length));
            let w = random(&mut rng, if shared { 1 } else { channels });
            let prelu = |x: &[f64], w: &[f64]| -> Vec<f64> {
                let slope = |i: usize| w[if shared { 0 } else { i % channels }];
                x.iter().enumerate().map(|(i, &x)| if x > 0.0 { x } else { slope(i) * x }).collect()
            };
            let (tx, tw) = (tensor(&x, (n, positions, 1, channels)), tensor(&w, (w.len(),)));
            let y = try_prelu(tx.leaky_trace(), &tw, InputGrad::Set).unwrap();
            let (wx, ww) = (wide(&x), wide(&w));
            close("prelu", &y.as_vec(), &prelu(&wx, &ww), 1e-6);
            let grads = backward(y, &r);
            close("dx", &grads.get(&tx).as_vec(), &differences(&x, &r, |x| prelu(x, &ww)), 1e-6);
            close("dw", &grads.get(&tw).as_vec(), &differences(&w, &r, |w| prelu(&wx, w)), 1e-6);
        }
    }
    let y =
        try_prelu(tensor(&[-2.0, 0.0, 3.0, f32::NAN], (2, 2)), &tensor(&[0.25, 4.0], (2,)), InputGrad::Set)
            .unwrap();
    let y = y.as_vec();
    assert_eq!(y[..3], [-0.5, 0.0, 3.0]);
    assert!(y[3].is_nan());
    assert!(try_prelu(tensor(&[0.0; 6], (2, 3)), &tensor(&[0.0; 2], (2,)), InputGrad::Set).is_err());
}

#[test]
fn rows_of_length_1_agree_with_their_definition() {
    let mut rng = Rng::new(4, "l2");
    for (rows, width) in [(1, 1), (3, 8), (5, 29), (200, 128)] {
        let (x, r) = (random(&mut rng, rows * width), random(&mut rng, rows * width));
        let tx = tensor(&x, (rows, width));
        let y = try_l2_normalise(tx.leaky_trace(), InputGrad::Set).unwrap();
        let normalise = |x: &[f64]| -> Vec<f64> {
            let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt();
            x.iter().map(|v| v / norm).collect()
        };
        let (mut expected, mut dx) = (Vec::new(), Vec::new());
        for (x, r) in x.chunks(width).zip(r.chunks(width)) {
            expected.extend(normalise(&wide(x)));
            dx.extend(differences(x, r, normalise));
        }
        close("rows", &y.as_vec(), &expected, 1e-6);
        close("their gradient", &backward(y, &r).get(&tx).as_vec(), &dx, 1e-6);
    }
    // Nothing is divided by zero.
    let tx = tensor(&[0.0, 0.0, 3e-20, 4e-20], (2, 2));
    let y = try_l2_normalise(tx.leaky_trace(), InputGrad::Set).unwrap();
    close("short rows", &y.as_vec(), &[0.0, 0.0, 3e-8, 4e-8], 1e-12);
    assert_eq!(backward(y, &[1.0, 2.0, 1.0, 2.0]).get(&tx).as_vec(), [1e12, 2e12, 1e12, 2e12]);
}
