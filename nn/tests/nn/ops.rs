//! Every operation against its definition in f64, values and gradients.

use crate::check::{backward, close, differences, random, tensor, two_readers, wide};
use dfdx::{
    prelude::{HasShape, NoneTape, Trace},
    tensor::PutTape,
};
use sndpipe_nn::{
    InputGrad,
    ops::{
        BatchNormParameters, BatchNormSpec, Conv2dSpec, Normalisation, Padding, try_batch_norm, try_conv2d,
        try_dropout, try_linear, try_log_softmax, try_max_pool_2x2, try_mean_max, try_relu,
    },
};
use sndpipe_random::{Rng, Stream};

/// Batch normalisation by its formula; statistics from `x` itself or given.
fn batch_norm(
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    given: Option<(&[f64], &[f64])>,
    relu: bool,
) -> Vec<f64> {
    let channels = gamma.len();
    let count = (x.len() / channels) as f64;
    let mut y = vec![0.0; x.len()];
    for c in 0..channels {
        let values = || x.iter().skip(c).step_by(channels);
        let (mean, variance) = given.map_or_else(
            || {
                let mean = values().sum::<f64>() / count;
                let square: f64 = values().map(|v| (v - mean).powi(2)).sum();
                (mean, square / count)
            },
            |(mean, variance)| (mean[c], variance[c]),
        );
        for i in (c..x.len()).step_by(channels) {
            let v = (x[i] - mean) / (variance + 1e-5).sqrt() * gamma[c] + beta[c];
            y[i] = if relu { v.max(0.0) } else { v };
        }
    }
    y
}

#[test]
fn batch_norm_agrees_with_its_formula() {
    let mut rng = Rng::new(1, "batch norm");
    for case in 0..12 {
        let shape = (1 + rng.index(3), 2 + rng.index(4), 1 + rng.index(5), 1 + rng.index(19));
        let (channels, n) = (shape.3, shape.0 * shape.1 * shape.2 * shape.3);
        let (relu, training) = (case % 2 == 0, case % 3 != 0);
        // A mean far from zero: the sums must not lose the variance.
        let x: Vec<f32> = random(&mut rng, n).iter().map(|v| v + 20.0).collect();
        let (gamma, beta) = (random(&mut rng, channels), random(&mut rng, channels));
        let mean: Vec<f32> = random(&mut rng, channels).iter().map(|v| v + 20.0).collect();
        let variance: Vec<f32> = (0..channels).map(|_| rng.range(0.5, 2.0) as f32).collect();
        let r = random(&mut rng, n);
        let (wm, wv) = (wide(&mean), wide(&variance));
        let given = (!training).then_some((wm.as_slice(), wv.as_slice()));
        let (wx, wg, wb) = (wide(&x), wide(&gamma), wide(&beta));

        let (tx, tg, tb) = (tensor(&x, shape), tensor(&gamma, (channels,)), tensor(&beta, (channels,)));
        let parameters = BatchNormParameters {
            weight: &tg,
            bias: &tb,
            running_mean: &tensor(&mean, (channels,)),
            running_var: &tensor(&variance, (channels,)),
        };
        let spec = BatchNormSpec { relu, ..BatchNormSpec::default() };
        let statistics = if training { Normalisation::Batch } else { Normalisation::Running };
        let (y, running) =
            try_batch_norm(tx.leaky_trace(), &parameters, &spec, &statistics, InputGrad::Set).unwrap();
        close("output", &y.as_vec(), &batch_norm(&wx, &wg, &wb, given, relu), 2e-5);

        let grads = backward(y, &r);
        let dx = differences(&x, &r, |x| batch_norm(x, &wg, &wb, given, relu));
        let dg = differences(&gamma, &r, |g| batch_norm(&wx, g, &wb, given, relu));
        let db = differences(&beta, &r, |b| batch_norm(&wx, &wg, b, given, relu));
        close("dx", &grads.get(&tx).as_vec(), &dx, 1e-4);
        close("dgamma", &grads.get(&tg).as_vec(), &dg, 1e-4);
        close("dbeta", &grads.get(&tb).as_vec(), &db, 1e-4);

        assert_eq!(running.is_some(), training);
        if let Some(running) = running {
            let count = (n / channels) as f64;
            for c in 0..channels {
                let values = || wx.iter().skip(c).step_by(channels);
                let m = values().sum::<f64>() / count;
                let unbiased = values().map(|v| (v - m).powi(2)).sum::<f64>() / (count - 1.0);
                let (new_mean, new_var) = (0.9 * wm[c] + 0.1 * m, 0.9 * wv[c] + 0.1 * unbiased);
                assert!((f64::from(running.mean.as_vec()[c]) - new_mean).abs() < 1e-5);
                assert!((f64::from(running.variance.as_vec()[c]) - new_var).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn pooling_agrees_with_its_definition() {
    let mut rng = Rng::new(2, "pool");
    for _ in 0..12 {
        let shape = (1 + rng.index(3), 2 + rng.index(5), 2 + rng.index(6), 1 + rng.index(20));
        let (samples, height, width, channels) = shape;
        let at = |n, r, c, k| ((n * height + r) * width + c) * channels + k;
        let max_pool = |x: &[f64]| -> Vec<f64> {
            let mut y = Vec::new();
            for n in 0..samples {
                for r in 0..height / 2 {
                    for c in 0..width / 2 {
                        for k in 0..channels {
                            let window = [(0, 0), (0, 1), (1, 0), (1, 1)];
                            let values = window.map(|(i, j)| x[at(n, 2 * r + i, 2 * c + j, k)]);
                            y.push(values.into_iter().fold(f64::NEG_INFINITY, f64::max));
                        }
                    }
                }
            }
            y
        };
        let mean_max = |x: &[f64]| -> Vec<f64> {
            let mut y = Vec::new();
            for n in 0..samples {
                for k in 0..channels {
                    let rows = (0..height)
                        .map(|r| (0..width).map(|c| x[at(n, r, c, k)]).sum::<f64>() / width as f64);
                    y.push(rows.fold(f64::NEG_INFINITY, f64::max));
                }
            }
            y
        };
        let x = random(&mut rng, samples * height * width * channels);
        let tx = tensor(&x, shape);

        let y = try_max_pool_2x2(tx.leaky_trace(), InputGrad::Set).unwrap();
        assert_eq!(*y.shape(), (samples, height / 2, width / 2, channels));
        let r = random(&mut rng, y.as_vec().len());
        close("max-pool", &y.as_vec(), &max_pool(&wide(&x)), 1e-7);
        let dx = backward(y, &r).get(&tx).as_vec();
        close("its gradient", &dx, &differences(&x, &r, max_pool), 1e-6);

        let y = try_mean_max(tx.leaky_trace(), InputGrad::Set).unwrap();
        assert_eq!(*y.shape(), (samples, channels));
        let r = random(&mut rng, samples * channels);
        close("mean-max", &y.as_vec(), &mean_max(&wide(&x)), 1e-6);
        let dx = backward(y, &r).get(&tx).as_vec();
        close("its gradient", &dx, &differences(&x, &r, mean_max), 1e-6);
    }
}

#[test]
fn ties_go_to_the_first_maximum() {
    let tx = tensor(&[1.0; 4], (1, 2, 2, 1));
    let y = try_max_pool_2x2(tx.leaky_trace(), InputGrad::Set).unwrap();
    assert_eq!(backward(y, &[3.0]).get(&tx).as_vec(), [3.0, 0.0, 0.0, 0.0]);
    let y = try_mean_max(tx.leaky_trace(), InputGrad::Set).unwrap();
    assert_eq!(backward(y, &[3.0]).get(&tx).as_vec(), [1.5, 1.5, 0.0, 0.0]);
}

#[test]
fn linear_agrees_with_its_definition() {
    let mut rng = Rng::new(3, "linear");
    for (n, inputs, outputs) in [(1, 1, 1), (3, 7, 5), (33, 300, 130), (2, 5, 257)] {
        let (x, w, b) =
            (random(&mut rng, n * inputs), random(&mut rng, inputs * outputs), random(&mut rng, outputs));
        let r = random(&mut rng, n * outputs);
        let (tx, tw, tb) = (tensor(&x, (n, inputs)), tensor(&w, (inputs * outputs,)), tensor(&b, (outputs,)));
        let (mut y, mut dx) = (vec![0.0; n * outputs], vec![0.0; x.len()]);
        let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; outputs]);
        for s in 0..n {
            for o in 0..outputs {
                let g = f64::from(r[s * outputs + o]);
                y[s * outputs + o] = f64::from(b[o]);
                db[o] += g;
                for i in 0..inputs {
                    let (x, w) = (f64::from(x[s * inputs + i]), f64::from(w[o * inputs + i]));
                    y[s * outputs + o] += x * w;
                    dx[s * inputs + i] += g * w;
                    dw[o * inputs + i] += g * x;
                }
            }
        }
        let out = try_linear(tx.leaky_trace(), &tw, &tb, InputGrad::Set).unwrap();
        close("output", &out.as_vec(), &y, 2e-6);
        let grads = backward(out, &r);
        close("dx", &grads.get(&tx).as_vec(), &dx, 2e-6);
        close("dw", &grads.get(&tw).as_vec(), &dw, 2e-6);
        close("db", &grads.get(&tb).as_vec(), &db, 2e-6);
    }
}

#[test]
fn activations_agree_with_their_definitions() {
    let mut rng = Rng::new(4, "activations");
    let (x, r) = (random(&mut rng, 4 * 9), random(&mut rng, 4 * 9));
    let tx = tensor(&x, (4, 9));
    let relu = |x: &[f64]| x.iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
    let y = try_relu(tx.leaky_trace(), InputGrad::Set).unwrap();
    close("relu", &y.as_vec(), &relu(&wide(&x)), 1e-7);
    close("its gradient", &backward(y, &r).get(&tx).as_vec(), &differences(&x, &r, relu), 1e-6);
    let nan = try_relu(tensor(&[f32::NAN, -1.0], (1, 2)), InputGrad::Set).unwrap().as_vec();
    assert!(nan[0].is_nan() && nan[1] == 0.0);

    let log_softmax = |x: &[f64]| -> Vec<f64> {
        x.chunks(9)
            .flat_map(|row| {
                let sum: f64 = row.iter().map(|v| v.exp()).sum();
                row.iter().map(move |v| v - sum.ln())
            })
            .collect()
    };
    let y = try_log_softmax(tx.leaky_trace(), InputGrad::Set).unwrap();
    close("log-softmax", &y.as_vec(), &log_softmax(&wide(&x)), 1e-6);
    let dx = backward(y, &r).get(&tx).as_vec();
    close("its gradient", &dx, &differences(&x, &r, log_softmax), 1e-6);
    let huge = try_log_softmax(tensor(&[1e4, 0.0], (1, 2)), InputGrad::Set).unwrap().as_vec();
    assert_eq!(huge, [0.0, -1e4]);
}

#[test]
fn dropout_keeps_the_mean_and_its_mask() {
    let stream = Stream::new(9, "dropout");
    let tx = tensor(&vec![1.0; 20_000], (2, 10_000));
    let run = |step| try_dropout(tx.leaky_trace(), 0.25, &stream, step, InputGrad::Set).unwrap();
    let y = run(5).as_vec();
    assert_eq!(y, run(5).as_vec());
    assert_ne!(y, run(6).as_vec());
    assert_ne!(y[..10_000], y[10_000..]);
    let kept = y.iter().filter(|&&v| v != 0.0).count();
    // Five standard deviations of a binomial with n = 20,000 and p = 3/4 are 306.
    assert!(kept.abs_diff(15_000) < 306, "{kept}");
    assert!(y.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
    assert_eq!(backward(run(5), &vec![1.0; 20_000]).get(&tx).as_vec(), y);
}

#[test]
fn wrong_shapes_are_errors() {
    let x = || tensor(&[0.0; 24], (1, 4, 3, 2)).put_tape(NoneTape);
    let weight = tensor(&[0.0; 54], (54,));
    let conv = |spec: Conv2dSpec| try_conv2d(x(), &weight, &spec, InputGrad::Set);
    assert!(conv(Conv2dSpec::same3x3(2, 3)).is_ok());
    assert!(conv(Conv2dSpec::same3x3(3, 3)).is_err());
    assert!(conv(Conv2dSpec::same3x3(2, 4)).is_err());
    let same = Conv2dSpec::same3x3(2, 3);
    assert!(conv(Conv2dSpec { stride: (0, 1), ..same }).is_err());
    assert!(conv(Conv2dSpec { dilation: (1, 0), ..same }).is_err());
    assert!(conv(Conv2dSpec { groups: 0, ..same }).is_err());
    let error = conv(Conv2dSpec { groups: 2, ..same }).unwrap_err().to_string();
    assert_eq!(error, "`groups` is 2, must be a divisor of 2 inputs and 3 outputs");
    let large = Conv2dSpec { kernel: (9, 1), padding: Padding::symmetric(2, 0), ..same };
    let error = conv(large).unwrap_err().to_string();
    assert!(error.ends_with("expected shape [9, 1], found [8, 3]"), "{error}");
    assert!(try_max_pool_2x2(tensor(&[0.0; 4], (1, 1, 4, 1)), InputGrad::Set).is_err());
    let bias = tensor(&[0.0; 2], (2,));
    assert!(try_linear(tensor(&[0.0; 4], (2, 2)), &weight, &bias, InputGrad::Set).is_err());
}

#[test]
fn gradients_of_several_readers_are_added() {
    let mut rng = Rng::new(6, "readers");
    let channels = |v: f32| tensor(&[v; 3], (3,));
    let (zero, one) = (channels(0.0), channels(1.0));
    let parameters =
        BatchNormParameters { weight: &one, bias: &zero, running_mean: &zero, running_var: &one };
    let weight = tensor(&random(&mut rng, 54), (54,));
    let x4 = tensor(&random(&mut rng, 2 * 4 * 5 * 3), (2, 4, 5, 3));
    two_readers(&mut rng, &x4, try_relu);
    two_readers(&mut rng, &x4, try_max_pool_2x2);
    two_readers(&mut rng, &x4, try_mean_max);
    two_readers(&mut rng, &x4, |x, g| {
        try_batch_norm(x, &parameters, &BatchNormSpec::default(), &Normalisation::Batch, g).map(|(y, _)| y)
    });
    two_readers(&mut rng, &x4, |x, g| try_conv2d(x, &weight, &Conv2dSpec::same3x3(3, 2), g));
    let x2 = tensor(&random(&mut rng, 4 * 18), (4, 18));
    let stream = Stream::new(9, "dropout");
    two_readers(&mut rng, &x2, try_log_softmax);
    two_readers(&mut rng, &x2, |x, g| try_dropout(x, 0.5, &stream, 1, g));
    two_readers(&mut rng, &x2, |x, g| try_linear(x, &weight, &zero, g));
}
