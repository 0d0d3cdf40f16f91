//! What the tests of operations share.
//!
//! The loss of a check is `sum(r * y)` with random `r`, so that the gradient of `y` is `r`; gradients of definitions are
//! central differences in f64.

use dfdx::{
    prelude::{Cpu, OwnedTape, TensorFromVec},
    shapes::Shape,
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Backward,
};
use sndpipe_nn::Rng;

pub fn random(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.normal() as f32).collect()
}

pub fn tensor<S: Shape>(values: &[f32], shape: S) -> Tensor<S, f32, Cpu> {
    Cpu::default().tensor_from_vec(values.to_vec(), shape)
}

/// Runs the backward pass from `y` with the gradient `r`.
pub fn backward<S: Shape>(y: Tensor<S, f32, Cpu, OwnedTape<f32, Cpu>>, r: &[f32]) -> Gradients<f32, Cpu> {
    let (y, mut tape) = y.split_tape();
    let r = r.to_vec();
    let scalar = tensor(&[0.0], ());
    tape.add_backward_op(move |grads| {
        grads.get_or_alloc_mut(&y)?.copy_from_slice(&r);
        Ok(())
    });
    scalar.put_tape(tape).backward()
}

#[track_caller]
pub fn close(name: &str, ours: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (&a, &b)) in ours.iter().zip(expected).enumerate() {
        let far = (f64::from(a) - b).abs();
        assert!(far < tolerance * scale, "{name} at {i}: {a} instead of {b}");
    }
}

pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

/// Central differences of `sum(r * f(x))`.
pub fn differences(x: &[f32], r: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let h = 1e-6;
    let dot = |x: &[f64]| -> f64 { f(x).iter().zip(r).map(|(y, &r)| y * f64::from(r)).sum() };
    let mut x = wide(x);
    (0..x.len())
        .map(|i| {
            let old = x[i];
            x[i] = old + h;
            let up = dot(&x);
            x[i] = old - h;
            let down = dot(&x);
            x[i] = old;
            (up - down) / (2.0 * h)
        })
        .collect()
}
