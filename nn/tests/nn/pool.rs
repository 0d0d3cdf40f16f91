//! Pooling over windows of any size against its definition in f64, values and gradients.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::check::{backward, close, differences, random, tensor, two_readers, wide};
use dfdx::prelude::{HasShape, Trace};
use sndpipe_nn::{
    InputGrad,
    ops::{Divisor, Padding, PoolSpec, try_average_pool, try_global_average, try_global_max, try_max_pool},
};
use sndpipe_random::Rng;

type Shape = (usize, usize, usize, usize);

/// For each output along an axis: first position (padding is negative), end, both before any clipping.
type Axis = Vec<(isize, isize)>;

/// One output for each pair of windows: `reduce(values inside the image, positions inside the padded image)`.
fn pool(
    x: &[f64],
    (n, height, width, channels): Shape,
    rows: &Axis,
    cols: &Axis,
    after: (usize, usize),
    reduce: impl Fn(&[f64], f64) -> f64,
) -> Vec<f64> {
    let mut y = Vec::new();
    for s in 0..n {
        for &(top, bottom) in rows {
            for &(left, right) in cols {
                for k in 0..channels {
                    let (bottom, right) =
                        (bottom.min((height + after.0) as isize), right.min((width + after.1) as isize));
                    let mut values = Vec::new();
                    for r in top.max(0)..bottom.min(height as isize) {
                        for c in left.max(0)..right.min(width as isize) {
                            let (r, c) = (r as usize, c as usize);
                            values.push(x[((s * height + r) * width + c) * channels + k]);
                        }
                    }
                    y.push(reduce(&values, ((bottom - top) * (right - left)) as f64));
                }
            }
        }
    }
    y
}

fn maximum(values: &[f64], _: f64) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn mean(values: &[f64], _: f64) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn padded_mean(values: &[f64], count: f64) -> f64 {
    values.iter().sum::<f64>() / count
}

fn check(rng: &mut Rng, shape: Shape, spec: &PoolSpec, rows: &Axis, cols: &Axis, after: (usize, usize)) {
    let x = random(rng, shape.0 * shape.1 * shape.2 * shape.3);
    let tx = tensor(&x, shape);
    let output = (shape.0, rows.len(), cols.len(), shape.3);
    assert_eq!(spec.output(shape.1, shape.2).unwrap(), (output.1, output.2), "{spec:?}");

    let max = |x: &[f64]| pool(x, shape, rows, cols, after, maximum);
    let y = try_max_pool(tx.leaky_trace(), spec, InputGrad::Set).unwrap();
    assert_eq!(*y.shape(), output);
    close("max-pool", &y.as_vec(), &max(&wide(&x)), 1e-7);
    let r = random(rng, y.as_vec().len());
    close("its gradient", &backward(y, &r).get(&tx).as_vec(), &differences(&x, &r, max), 1e-6);
    two_readers(rng, &tx, |x, g| try_max_pool(x, spec, g));

    for (divisor, reduce) in
        [(Divisor::Padded, padded_mean as fn(&[f64], f64) -> f64), (Divisor::Image, mean)]
    {
        let average = |x: &[f64]| pool(x, shape, rows, cols, after, reduce);
        let y = try_average_pool(tx.leaky_trace(), spec, divisor, InputGrad::Set).unwrap();
        assert_eq!(*y.shape(), output);
        close("average pool", &y.as_vec(), &average(&wide(&x)), 1e-6);
        close("its gradient", &backward(y, &r).get(&tx).as_vec(), &differences(&x, &r, average), 1e-6);
        two_readers(rng, &tx, |x, g| try_average_pool(x, spec, divisor, g));
    }
}

#[test]
fn sliding_windows_agree_with_their_definition() {
    let mut rng = Rng::new(1, "sliding");
    let mut beyond = 0;
    for case in 0..24 {
        let kernel = (1 + rng.index(4), 1 + rng.index(4));
        let stride = (1 + rng.index(4), 1 + rng.index(4));
        let padding = Padding {
            top: rng.index(kernel.0),
            bottom: rng.index(kernel.0),
            left: rng.index(kernel.1),
            right: rng.index(kernel.1),
        };
        let ceil = case % 2 == 0;
        let shape = (1 + rng.index(2), 4 + rng.index(4), 4 + rng.index(4), [1, 2, 3, 17][rng.index(4)]);
        // Windows one after the other, as long as one fits (or, with `ceil`, starts early enough).
        let axis =
            |length: usize, kernel: usize, stride: usize, before: usize, after: usize| -> (Axis, bool) {
                let padded = length + before + after;
                let starts = (0..padded).step_by(stride);
                let fits = |start: usize| start + kernel <= padded;
                let windows = starts.take_while(|&start| {
                    let previous = start == 0 || start - stride + kernel < padded;
                    start < length + before && (fits(start) || (ceil && previous))
                });
                let windows: Vec<usize> = windows.collect();
                let beyond = windows.iter().any(|&start| !fits(start));
                let before = before as isize;
                (
                    windows.iter().map(|&s| (s as isize - before, (s + kernel) as isize - before)).collect(),
                    beyond,
                )
            };
        let (rows, a) = axis(shape.1, kernel.0, stride.0, padding.top, padding.bottom);
        let (cols, b) = axis(shape.2, kernel.1, stride.1, padding.left, padding.right);
        beyond += usize::from(a || b);
        let spec = PoolSpec::Sliding { kernel, stride, padding, ceil };
        check(&mut rng, shape, &spec, &rows, &cols, (padding.bottom, padding.right));
    }
    assert!(beyond > 3, "{beyond}");
}

#[test]
fn adaptive_windows_agree_with_their_definition() {
    let mut rng = Rng::new(2, "adaptive");
    for (height, width, rows, cols) in [(7, 5, 3, 2), (4, 9, 1, 9), (3, 3, 5, 1), (8, 6, 4, 3)] {
        let axis = |n: usize, m: usize| -> Axis {
            let (n, m) = (n as f64, m as f64);
            let ends = |i: f64| ((i * n / m).floor() as isize, ((i + 1.0) * n / m).ceil() as isize);
            (0..m as usize).map(|i| ends(i as f64)).collect()
        };
        let spec = PoolSpec::Adaptive { output: (rows, cols) };
        check(&mut rng, (2, height, width, 3), &spec, &axis(height, rows), &axis(width, cols), (0, 0));
    }
}

#[test]
fn global_pools_give_feature_vectors() {
    let mut rng = Rng::new(3, "global");
    let shape = (2, 3, 4, 5);
    let x = random(&mut rng, 120);
    let tx = tensor(&x, shape);
    let (rows, cols) = (vec![(0, 3)], vec![(0, 4)]);
    let r = random(&mut rng, 10);
    let max = |x: &[f64]| pool(x, shape, &rows, &cols, (0, 0), maximum);
    let y = try_global_max(tx.leaky_trace(), InputGrad::Set).unwrap();
    assert_eq!(*y.shape(), (2, 5));
    close("global max", &y.as_vec(), &max(&wide(&x)), 1e-7);
    close("its gradient", &backward(y, &r).get(&tx).as_vec(), &differences(&x, &r, max), 1e-6);
    let average = |x: &[f64]| pool(x, shape, &rows, &cols, (0, 0), mean);
    let y = try_global_average(tx.leaky_trace(), InputGrad::Set).unwrap();
    assert_eq!(*y.shape(), (2, 5));
    close("global average", &y.as_vec(), &average(&wide(&x)), 1e-6);
    close("its gradient", &backward(y, &r).get(&tx).as_vec(), &differences(&x, &r, average), 1e-6);
    two_readers(&mut rng, &tx, try_global_max);
    two_readers(&mut rng, &tx, try_global_average);
}

#[test]
fn sizes_are_those_of_pytorch_and_tensorflow() {
    let max = |kernel, stride, padding, ceil| PoolSpec::Sliding { kernel, stride, padding, ceil };
    // The stem of ResNet-50 on 341 x 394 images: 171 x 197 to 86 x 99.
    let stem = max((3, 3), (2, 2), Padding::symmetric(1, 1), false);
    assert_eq!(stem.output(171, 197).unwrap(), (86, 99));
    // ceil((6 - 3) / 2) + 1 = 3; the third of ceil((5 - 2) / 3) + 1 windows starts at 3 of 5.
    assert_eq!(max((3, 3), (2, 2), Padding::NONE, true).output(6, 7).unwrap(), (3, 3));
    assert_eq!(max((2, 2), (3, 3), Padding::NONE, true).output(5, 4).unwrap(), (2, 2));
    // A window that would start in the padding behind the image is left out.
    assert_eq!(max((2, 2), (2, 2), Padding::symmetric(1, 1), true).output(3, 4).unwrap(), (2, 3));
    assert_eq!(PoolSpec::same((2, 2), (2, 2), 101, 96).output(101, 96).unwrap(), (51, 48));
    assert_eq!(PoolSpec::same((3, 3), (1, 1), 101, 96).output(101, 96).unwrap(), (101, 96));
    assert_eq!(PoolSpec::valid((2, 5), (2, 5)).output(101, 96).unwrap(), (50, 19));
}

#[test]
fn ties_and_nan() {
    let spec = PoolSpec::same((3, 3), (1, 1), 2, 2);
    let tx = tensor(&[1.0; 4], (1, 2, 2, 1));
    let y = try_max_pool(tx.leaky_trace(), &spec, InputGrad::Set).unwrap();
    assert_eq!(backward(y, &[1.0, 2.0, 4.0, 8.0]).get(&tx).as_vec(), [15.0, 0.0, 0.0, 0.0]);
    let nan = tensor(&[f32::NAN, 1.0, 2.0, 3.0], (1, 4, 1, 1));
    let y = try_max_pool(nan, &PoolSpec::valid((2, 1), (1, 1)), InputGrad::Set).unwrap().as_vec();
    assert!(y[0].is_nan() && y[1..] == [2.0, 3.0]);
    let low = tensor(&[-3.0, -2.0, -4.0], (1, 3, 1, 1));
    let y = try_max_pool(low, &PoolSpec::same((3, 1), (1, 1), 3, 1), InputGrad::Set).unwrap();
    assert_eq!(y.as_vec(), [-2.0, -2.0, -2.0]);
}

#[test]
fn windows_that_do_not_fit_are_errors() {
    let output = |spec: PoolSpec| spec.output(4, 4).map_err(|e| e.to_string());
    assert!(output(PoolSpec::valid((5, 1), (1, 1))).is_err());
    assert!(output(PoolSpec::valid((0, 1), (1, 1))).is_err());
    assert!(output(PoolSpec::valid((1, 1), (0, 1))).is_err());
    assert!(output(PoolSpec::Adaptive { output: (0, 1) }).is_err());
    let padding = Padding::symmetric(2, 0);
    let spec = PoolSpec::Sliding { kernel: (2, 2), stride: (1, 1), padding, ceil: false };
    let error = output(spec).unwrap_err();
    assert!(error.ends_with("must be of sizes above 0, with windows that see an image of 4 x 4"), "{error}");
}
