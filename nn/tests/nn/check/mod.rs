//! What tests of operations share.
//!
//! The loss of each check is `sum(r * y)` with random `r`, so that the gradient of `y` is `r`; gradients of the
//! definitions are central differences in f64.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use dfdx::{
    prelude::{OwnedTape, TensorFromVec, Trace},
    shapes::{HasShape, Shape},
    tensor::{Gradients, PutTape, SplitTape, Storage, Tape, Tensor},
    tensor_ops::Backward,
};
use sndpipe_nn::{InputGrad, NnError, ops::try_relu};
use sndpipe_random::Rng;

/// The device that operations are tested on; the feature `test-cuda` takes them to the first GPU.
#[cfg(not(feature = "test-cuda"))]
pub type Dev = dfdx::tensor::Cpu;
#[cfg(feature = "test-cuda")]
pub type Dev = dfdx::tensor::Cuda;

/// The device of this thread.
pub fn device() -> Dev {
    thread_local! {
        static DEVICE: Dev = Dev::default();
    }
    DEVICE.with(Clone::clone)
}

#[cfg(not(feature = "test-cuda"))]
fn fill(buffer: &mut <Dev as Storage<f32>>::Vec, values: &[f32]) {
    buffer.copy_from_slice(values);
}

#[cfg(feature = "test-cuda")]
fn fill(buffer: &mut <Dev as Storage<f32>>::Vec, values: &[f32]) {
    buffer.device().htod_sync_copy_into(values, buffer).unwrap();
}

pub fn random(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.normal() as f32).collect()
}

pub fn tensor<S: Shape>(values: &[f32], shape: S) -> Tensor<S, f32, Dev> {
    device().tensor_from_vec(values.to_vec(), shape)
}

/// Runs the backward pass from `y` with the gradient `r`.
pub fn backward<S: Shape>(y: Tensor<S, f32, Dev, OwnedTape<f32, Dev>>, r: &[f32]) -> Gradients<f32, Dev> {
    let (y, mut tape) = y.split_tape();
    let r = r.to_vec();
    let scalar = tensor(&[0.0], ());
    tape.add_backward_op(move |grads| {
        fill(grads.get_or_alloc_mut(&y)?, &r);
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

/// Checks what `op` gives to an input that a ReLU reads after it.
pub fn two_readers<S: Shape, R: Shape>(
    rng: &mut Rng,
    x: &Tensor<S, f32, Dev>,
    op: impl Fn(
        Tensor<S, f32, Dev, OwnedTape<f32, Dev>>,
        InputGrad,
    ) -> Result<Tensor<R, f32, Dev, OwnedTape<f32, Dev>>, NnError>,
) {
    let y = op(x.leaky_trace(), InputGrad::Set).unwrap();
    let (r, s) = (random(rng, y.shape().num_elements()), random(rng, x.shape().num_elements()));
    let alone = backward(y, &r).get(x).as_vec();
    let relu: Vec<f32> = x.as_vec().iter().zip(&s).map(|(&x, &s)| if x > 0.0 { s } else { 0.0 }).collect();
    let with = |input_grad| {
        let (y, tape) = op(x.leaky_trace(), input_grad).unwrap().split_tape();
        let (z, mut tape) = try_relu(x.clone().put_tape(tape), InputGrad::Set).unwrap().split_tape();
        let (dy, dz) = (r.clone(), s.clone());
        tape.add_backward_op(move |grads| {
            fill(grads.get_or_alloc_mut(&y)?, &dy);
            fill(grads.get_or_alloc_mut(&z)?, &dz);
            Ok(())
        });
        tensor(&[0.0], ()).put_tape(tape).backward().get(x).as_vec()
    };
    let sum: Vec<f64> = alone.iter().zip(&relu).map(|(&a, &b)| f64::from(a + b)).collect();
    close("both readers", &with(InputGrad::Add), &sum, 1e-6);
    assert_eq!(with(InputGrad::Skip), relu);
}
