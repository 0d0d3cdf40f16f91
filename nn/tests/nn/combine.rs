//! Sums, products, concatenation and resizing against their definitions in f64, values and gradients.

use crate::check::{Dev, backward, close, differences, random, tensor, two_readers, wide};
use dfdx::{
    prelude::{HasShape, OwnedTape, Trace},
    tensor::{PutTape, SplitTape},
};
use sndpipe_nn::{
    InputGrad, NnError, Tensor4,
    ops::{
        Conv2dSpec, Divisor, PolyphaseNorm, PoolSpec, try_add, try_add_relu, try_average_pool, try_bias,
        try_blur, try_concat_channels, try_conv2d, try_gather, try_global_average, try_max_pool,
        try_multiply, try_polyphase, try_relu, try_reshape, try_resize_bilinear, try_trained_low_pass,
    },
};
use sndpipe_random::Rng;

/// Gradients of the input and of some weights, and the output, of a chain of most operations.
fn chain() -> Result<Vec<Vec<f32>>, NnError> {
    let mut rng = Rng::new(7, "chain");
    let mut draw = |n: usize| tensor(&random(&mut rng, n), (n,));
    let (n, height, width) = (10, 25, 22);
    let x = try_reshape(draw(n * height * width * 20), (n, height, width, 20))?;
    let (depthwise, bias, grouped, pointwise) = (draw(180), draw(20), draw(240), draw(260));
    let (strided, low_pass) = (draw(13 * 20 * 9), draw(20 * 25));
    let (set, add) = (InputGrad::Set, InputGrad::Add);

    let y =
        try_conv2d(x.leaky_trace(), &depthwise, &Conv2dSpec::depthwise(20, (3, 3)).same(height, width), set)?;
    let y = try_bias(y, &bias, set)?;
    let (side, tape) = y.split_tape();
    let spec = Conv2dSpec { groups: 5, ..Conv2dSpec::new(20, 20, (3, 1)) };
    let y = try_conv2d(side.clone().put_tape(tape), &grouped, &spec.same(height, width), add)?;
    let y = try_add_relu(y, &side, SET)?;
    let y = try_conv2d(y, &pointwise, &Conv2dSpec::new(20, 13, (1, 1)), set)?;
    let spec = Conv2dSpec { stride: (2, 1), ..Conv2dSpec::new(13, 20, (3, 3)) };
    let y = try_conv2d(y, &strided, &spec.same(height, width), set)?;
    let y = try_max_pool(y, &PoolSpec::same((3, 3), (1, 1), 13, width), set)?;
    let y = try_blur(y, 4, (1, 1), set)?;
    let y = try_trained_low_pass(y, &low_pass, 5, (1, 1), set)?;
    let y = try_polyphase(y, PolyphaseNorm::L1Induced, set)?;
    let y = try_resize_bilinear(y, (9, 13), set)?;
    let (side, tape) = y.split_tape();
    let y = try_average_pool(
        side.clone().put_tape(tape),
        &PoolSpec::same((2, 2), (1, 1), 9, 13),
        Divisor::Image,
        add,
    )?;
    let y = try_multiply(y, &side, [set, add])?;
    let y = try_concat_channels((y, set), &[(&side, set)])?;
    let y = try_global_average(y, set)?;
    let values = y.as_vec();
    let grads = backward(y, &values);
    let parameters = [&depthwise, &bias, &grouped, &pointwise, &strided, &low_pass];
    let mut all: Vec<Vec<f32>> = parameters.iter().map(|&p| grads.get(p).as_vec()).collect();
    all.extend([values, grads.get(&x).as_vec()]);
    Ok(all)
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let numbers = pool.install(chain).unwrap();
        assert!(numbers.iter().all(|v| v.iter().any(|&v| v != 0.0) && v.iter().all(|v| v.is_finite())));
        numbers.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let one = run(1);
    assert!(one == run(2), "two threads give other bits");
    assert!(one == run(3), "three threads give other bits");
}

const SET: [InputGrad; 2] = [InputGrad::Set; 2];

#[test]
fn sums_agree_with_their_definitions() {
    let mut rng = Rng::new(1, "sums");
    for shape in [(2, 3, 4, 5), (1, 30, 40, 17)] {
        let n = shape.0 * shape.1 * shape.2 * shape.3;
        let (a, b, r) = (random(&mut rng, n), random(&mut rng, n), random(&mut rng, n));
        let (ta, tb) = (tensor(&a, shape), tensor(&b, shape));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) + f64::from(b)).collect();

        let y = try_add(ta.leaky_trace(), &tb, SET).unwrap();
        close("add", &y.as_vec(), &sum, 1e-7);
        let grads = backward(y, &r);
        assert_eq!((grads.get(&ta).as_vec(), grads.get(&tb).as_vec()), (r.clone(), r.clone()));

        let y = try_add_relu(ta.leaky_trace(), &tb, SET).unwrap();
        let relu: Vec<f64> = sum.iter().map(|v| v.max(0.0)).collect();
        close("add-relu", &y.as_vec(), &relu, 1e-7);
        let open: Vec<f32> = sum.iter().zip(&r).map(|(&s, &r)| if s > 0.0 { r } else { 0.0 }).collect();
        let grads = backward(y, &r);
        assert_eq!((grads.get(&ta).as_vec(), grads.get(&tb).as_vec()), (open.clone(), open));
    }
    let (a, b) = (tensor(&[0.0; 6], (1, 1, 2, 3)), tensor(&[0.0; 6], (1, 2, 1, 3)));
    let error = try_add(a, &b, SET).unwrap_err().to_string();
    assert_eq!(error, "second term of a sum: expected shape [1, 1, 2, 3], found [1, 2, 1, 3]");
}

/// A residual block: `x` is read by the branch, then by the sum.
#[test]
fn a_skip_connection_adds_both_gradients() {
    let shape = (1, 1, 2, 2);
    let x = tensor(&[1.0, -2.0, 3.0, -4.0], shape);
    let branch = try_relu(x.leaky_trace(), InputGrad::Add).unwrap();
    let y = try_add_relu(branch, &x, SET).unwrap();
    assert_eq!(y.as_vec(), [2.0, 0.0, 6.0, 0.0]);
    assert_eq!(backward(y, &[1.0, 10.0, 100.0, 1000.0]).get(&x).as_vec(), [2.0, 0.0, 200.0, 0.0]);
}

#[test]
fn bias_agrees_with_its_definition() {
    let mut rng = Rng::new(2, "bias");
    for shape in [(2, 3, 4, 5), (3, 21, 23, 19)] {
        let n = shape.0 * shape.1 * shape.2 * shape.3;
        let (x, b, r) = (random(&mut rng, n), random(&mut rng, shape.3), random(&mut rng, n));
        let (tx, tb) = (tensor(&x, shape), tensor(&b, (shape.3,)));
        let y = try_bias(tx.leaky_trace(), &tb, InputGrad::Set).unwrap();
        let (mut expected, mut db) = (wide(&x), vec![0.0; shape.3]);
        for (i, (y, &r)) in expected.iter_mut().zip(&r).enumerate() {
            *y += f64::from(b[i % shape.3]);
            db[i % shape.3] += f64::from(r);
        }
        close("bias", &y.as_vec(), &expected, 1e-7);
        let grads = backward(y, &r);
        close("db", &grads.get(&tb).as_vec(), &db, 1e-6);
        assert_eq!(grads.get(&tx).as_vec(), r);
        two_readers(&mut rng, &tx, |x, g| try_bias(x, &tb, g));
    }
    assert!(try_bias(tensor(&[0.0; 4], (1, 1, 2, 2)), &tensor(&[0.0; 3], (3,)), InputGrad::Set).is_err());
}

#[test]
fn products_agree_with_their_definition() {
    let mut rng = Rng::new(3, "products");
    for channels in [1, 3, 16, 37] {
        let (n, height, width) = (2, 3, 4);
        let length = n * height * width * channels;
        let (x, r) = (random(&mut rng, length), random(&mut rng, length));
        let tx = tensor(&x, (n, height, width, channels));
        for (h, w, c) in [(1, 1, channels), (height, width, 1), (height, width, channels), (height, 1, 1)] {
            let map = random(&mut rng, n * h * w * c);
            let tm = tensor(&map, (n, h, w, c));
            let product = |x: &[f64], map: &[f64]| -> Vec<f64> {
                (0..length)
                    .map(|i| {
                        let (k, p) = (i % channels, i / channels);
                        let (col, row, s) = (p % width, p / width % height, p / width / height);
                        x[i] * map[((s * h + row % h) * w + col % w) * c + k % c]
                    })
                    .collect()
            };
            let (wx, wm) = (wide(&x), wide(&map));
            let y = try_multiply(tx.leaky_trace(), &tm, SET).unwrap();
            close("product", &y.as_vec(), &product(&wx, &wm), 1e-7);
            let grads = backward(y, &r);
            close("dx", &grads.get(&tx).as_vec(), &differences(&x, &r, |x| product(x, &wm)), 1e-6);
            close("dmap", &grads.get(&tm).as_vec(), &differences(&map, &r, |m| product(&wx, m)), 1e-6);
            two_readers(&mut rng, &tx, |x, g| try_multiply(x, &tm, [g, InputGrad::Set]));
        }
    }
    let (x, map) = (tensor(&[0.0; 12], (2, 2, 3, 1)), tensor(&[0.0; 6], (1, 2, 3, 1)));
    assert!(try_multiply(x, &map, SET).is_err());
}

#[test]
fn concatenation_keeps_every_part_in_order() {
    let mut rng = Rng::new(4, "concat");
    let (n, height, width) = (3, 25, 9);
    let pixels = n * height * width;
    let channels = [2, 16, 1];
    let parts = channels.map(|k| random(&mut rng, pixels * k));
    let [a, b, c] = [0, 1, 2].map(|i| tensor(&parts[i], (n, height, width, channels[i])));
    let y =
        try_concat_channels((a.leaky_trace(), InputGrad::Set), &[(&b, InputGrad::Set), (&c, InputGrad::Set)])
            .unwrap();
    assert_eq!(*y.shape(), (n, height, width, 19));
    let r = random(&mut rng, pixels * 19);
    let values = y.as_vec();
    let grads = backward(y, &r);
    let gradients = [grads.get(&a).as_vec(), grads.get(&b).as_vec(), grads.get(&c).as_vec()];
    for p in 0..pixels {
        let mut start = 19 * p;
        for ((part, gradient), k) in parts.iter().zip(&gradients).zip(channels) {
            assert_eq!(values[start..start + k], part[p * k..(p + 1) * k]);
            assert_eq!(r[start..start + k], gradient[p * k..(p + 1) * k]);
            start += k;
        }
    }
    two_readers(&mut rng, &b, |x: Tensor4<Dev, OwnedTape<f32, Dev>>, g| {
        let (x, tape) = x.split_tape();
        try_concat_channels((a.clone().put_tape(tape), InputGrad::Set), &[(&x, g)])
    });
    let features = try_concat_channels(
        (tensor(&[1.0, 2.0], (2, 1)), InputGrad::Set),
        &[(&tensor(&[3.0, 4.0, 5.0, 6.0], (2, 2)), InputGrad::Set)],
    );
    assert_eq!(features.unwrap().as_vec(), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    let other = tensor(&[0.0; 6], (1, 2, 1, 3));
    let error = try_concat_channels((tensor(&[0.0; 6], (1, 1, 2, 3)), InputGrad::Set), &[(&other, SET[0])]);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "part of a concatenation: expected shape [1, 1, 2, 3], found [1, 2, 1, 3]");
}

#[test]
fn a_reshaped_tensor_stands_for_the_first() {
    let mut rng = Rng::new(5, "reshape");
    let x = random(&mut rng, 24);
    let tx = tensor(&x, (2, 3, 2, 2));
    let y = try_reshape(tx.leaky_trace(), (2, 12)).unwrap();
    assert_eq!(y.as_vec(), x);
    let r = random(&mut rng, 24);
    assert_eq!(backward(y, &r).get(&tx).as_vec(), r);
    two_readers(&mut rng, &tx, |x, g| try_relu(try_reshape(x, (2, 12)).unwrap(), g));
    let error = try_reshape(tx, (3, 7)).unwrap_err().to_string();
    assert_eq!(error, "reshape: expected shape [3, 7], found [2, 3, 2, 2]");
}

#[test]
fn resizing_agrees_with_its_definition() {
    let mut rng = Rng::new(6, "resize");
    for (height, width, rows, cols, channels) in
        [(4, 5, 8, 10, 3), (7, 6, 3, 4, 17), (1, 3, 5, 2, 2), (5, 4, 5, 4, 1), (3, 9, 11, 5, 16)]
    {
        let n = 2;
        let resize = |x: &[f64]| -> Vec<f64> {
            let at = |s: usize, r: usize, c: usize, k: usize| {
                x[((s * height + r.min(height - 1)) * width + c.min(width - 1)) * channels + k]
            };
            let look = |i: usize, from: usize, to: usize| {
                ((i as f64 + 0.5) * (from as f64 / to as f64) - 0.5).max(0.0)
            };
            let mut y = Vec::new();
            for s in 0..n {
                for i in 0..rows {
                    for j in 0..cols {
                        for k in 0..channels {
                            let (v, u) = (look(i, height, rows), look(j, width, cols));
                            let (r, c) = (v.floor() as usize, u.floor() as usize);
                            let (p, q) = (v - v.floor(), u - u.floor());
                            y.push(
                                (1.0 - p) * (1.0 - q) * at(s, r, c, k)
                                    + (1.0 - p) * q * at(s, r, c + 1, k)
                                    + p * (1.0 - q) * at(s, r + 1, c, k)
                                    + p * q * at(s, r + 1, c + 1, k),
                            );
                        }
                    }
                }
            }
            y
        };
        let x = random(&mut rng, n * height * width * channels);
        let tx = tensor(&x, (n, height, width, channels));
        let y = try_resize_bilinear(tx.leaky_trace(), (rows, cols), InputGrad::Set).unwrap();
        assert_eq!(*y.shape(), (n, rows, cols, channels));
        close("resize", &y.as_vec(), &resize(&wide(&x)), 1e-6);
        let r = random(&mut rng, y.as_vec().len());
        close("dx", &backward(y, &r).get(&tx).as_vec(), &differences(&x, &r, resize), 1e-6);
        two_readers(&mut rng, &tx, |x, g| try_resize_bilinear(x, (rows, cols), g));
    }
    // Worked out by hand from PyTorch's rule.
    let x = tensor(&[0.0, 1.0, 2.0, 3.0], (1, 1, 4, 1));
    let half = try_resize_bilinear(x.clone(), (1, 2), InputGrad::Set).unwrap();
    assert_eq!(half.as_vec(), [0.5, 2.5]);
    let y = try_resize_bilinear(x.clone(), (1, 8), InputGrad::Set).unwrap();
    assert_eq!(y.as_vec(), [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
    assert!(try_resize_bilinear(x, (0, 8), InputGrad::Set).is_err());
}

#[test]
fn rows_are_taken_and_their_gradients_added() {
    let mut rng = Rng::new(11, "gather");
    for (rows, width, indices) in [
        (4, 3, vec![2, 0, 2, 2, 1]),
        (3, 1, vec![0, 1, 2]),
        (150, 5, (0..400).map(|i| i * 7 % 149).collect()),
    ] {
        let x = random(&mut rng, rows * width);
        let tx = tensor(&x, (rows, width));
        let taken = |x: &[f64]| -> Vec<f64> {
            indices.iter().flat_map(|&row| x[row * width..(row + 1) * width].to_vec()).collect()
        };
        let y = try_gather(tx.leaky_trace(), &indices, InputGrad::Set).unwrap();
        close("rows", &y.as_vec(), &taken(&wide(&x)), 1e-9);
        let r = random(&mut rng, indices.len() * width);
        let dx = differences(&x, &r, taken);
        close("their gradient", &backward(y, &r).get(&tx).as_vec(), &dx, 1e-5);
        two_readers(&mut rng, &tx, |x, g| try_gather(x, &indices, g));
    }
    let error = try_gather(tensor(&[0.0; 4], (2, 2)), &[0, 2], InputGrad::Set).unwrap_err().to_string();
    assert_eq!(error, "`rows that are taken` is 2, must be below 2");
}
