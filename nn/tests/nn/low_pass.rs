//! Low-pass filters and adaptive polyphase sampling against their definitions in f64, values and gradients.

use crate::check::{backward, close, differences, random, tensor, two_readers, wide};
use dfdx::prelude::{HasShape, Trace};
use sndpipe_nn::{
    InputGrad,
    ops::{PolyphaseNorm, try_blur, try_polyphase, try_trained_low_pass},
};
use sndpipe_random::Rng;

type Shape = (usize, usize, usize, usize);

/// Filters channel `k` with `filter(k)`, size x size, with zeros around the image as TensorFlow's `SAME` has them.
fn filter(
    x: &[f64],
    (n, height, width, channels): Shape,
    size: usize,
    stride: (usize, usize),
    filter: impl Fn(usize) -> Vec<f64>,
) -> Vec<f64> {
    let axis = |n: usize, s: usize| {
        let m = n.div_ceil(s);
        let total = ((m - 1) * s + size).saturating_sub(n);
        (m, (total / 2) as isize)
    };
    let ((rows, top), (cols, left)) = (axis(height, stride.0), axis(width, stride.1));
    let filters: Vec<Vec<f64>> = (0..channels).map(filter).collect();
    let mut y = Vec::new();
    for s in 0..n {
        for i in 0..rows {
            for j in 0..cols {
                for (k, filter) in filters.iter().enumerate() {
                    let mut sum = 0.0;
                    for a in 0..size {
                        for b in 0..size {
                            let r = (i * stride.0 + a) as isize - top;
                            let c = (j * stride.1 + b) as isize - left;
                            if (0..height as isize).contains(&r) && (0..width as isize).contains(&c) {
                                let at = ((s * height + r as usize) * width + c as usize) * channels + k;
                                sum += filter[a * size + b] * x[at];
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}

#[test]
fn blur_agrees_with_its_definition() {
    let mut rng = Rng::new(1, "blur");
    let pascal: [&[f64]; 5] = [
        &[1.0, 2.0, 1.0],
        &[1.0, 3.0, 3.0, 1.0],
        &[1.0, 4.0, 6.0, 4.0, 1.0],
        &[1.0, 5.0, 10.0, 10.0, 5.0, 1.0],
        &[1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0],
    ];
    for row in pascal {
        for stride in [(2, 2), (1, 1), (1, 3)] {
            let shape = (2, 3 + rng.index(6), 3 + rng.index(6), 1 + rng.index(4));
            let x = random(&mut rng, shape.0 * shape.1 * shape.2 * shape.3);
            let sum: f64 = row.iter().sum();
            let kernel: Vec<f64> =
                row.iter().flat_map(|a| row.iter().map(move |b| a * b / sum / sum)).collect();
            let blur = |x: &[f64]| filter(x, shape, row.len(), stride, |_| kernel.clone());
            let tx = tensor(&x, shape);
            let y = try_blur(tx.leaky_trace(), row.len(), stride, InputGrad::Set).unwrap();
            assert_eq!(*y.shape(), (2, shape.1.div_ceil(stride.0), shape.2.div_ceil(stride.1), shape.3));
            close("blur", &y.as_vec(), &blur(&wide(&x)), 1e-6);
            let r = random(&mut rng, y.as_vec().len());
            close("its gradient", &backward(y, &r).get(&tx).as_vec(), &differences(&x, &r, blur), 1e-6);
            two_readers(&mut rng, &tx, |x, g| try_blur(x, row.len(), stride, g));
        }
    }
    let x = || tensor(&[0.0; 16], (1, 4, 4, 1));
    let error = try_blur(x(), 8, (1, 1), InputGrad::Set).unwrap_err().to_string();
    assert_eq!(error, "`size of a blur` is 8, must be in 3..=7");
    assert!(try_blur(x(), 3, (0, 1), InputGrad::Set).is_err());
}

#[test]
fn trained_low_pass_agrees_with_its_definition() {
    let mut rng = Rng::new(2, "trained low-pass");
    for (size, stride, channels) in [(5, (2, 2), 3), (3, (1, 1), 17), (4, (2, 1), 2), (1, (2, 2), 1)] {
        let shape = (2, 4 + rng.index(4), 4 + rng.index(4), channels);
        let x = random(&mut rng, shape.0 * shape.1 * shape.2 * shape.3);
        let taps = size * size;
        let w = random(&mut rng, channels * taps);
        let low_pass = |x: &[f64], w: &[f64]| {
            filter(x, shape, size, stride, |k| {
                let powers: Vec<f64> = w[k * taps..(k + 1) * taps].iter().map(|v| v.exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.iter().map(|p| p / sum).collect()
            })
        };
        let (wx, ww) = (wide(&x), wide(&w));
        let (tx, tw) = (tensor(&x, shape), tensor(&w, (w.len(),)));
        let y = try_trained_low_pass(tx.leaky_trace(), &tw, size, stride, InputGrad::Set).unwrap();
        close("low-pass", &y.as_vec(), &low_pass(&wx, &ww), 1e-6);
        let r = random(&mut rng, y.as_vec().len());
        let grads = backward(y, &r);
        close("dx", &grads.get(&tx).as_vec(), &differences(&x, &r, |x| low_pass(x, &ww)), 1e-6);
        close("dw", &grads.get(&tw).as_vec(), &differences(&w, &r, |w| low_pass(&wx, w)), 1e-6);
        two_readers(&mut rng, &tx, |x, g| try_trained_low_pass(x, &tw, size, stride, g));
    }
    let (x, w) = (tensor(&[0.0; 16], (1, 4, 4, 1)), tensor(&[0.0; 9], (9,)));
    let error = try_trained_low_pass(x, &w, 2, (1, 1), InputGrad::Set).unwrap_err().to_string();
    assert_eq!(error, "weight of a low-pass filter: expected shape [1, 1, 2, 2], found [9]");
}

/// A norm of numbers given as (positions, channels).
fn norm(values: &[Vec<f64>], norm: PolyphaseNorm) -> f64 {
    let all = || values.iter().flatten().map(|v| v.abs());
    match norm {
        PolyphaseNorm::L1Induced => {
            (0..values[0].len()).map(|k| values.iter().map(|v| v[k].abs()).sum()).fold(0.0, f64::max)
        }
        PolyphaseNorm::L1Flat => all().sum(),
        PolyphaseNorm::L2 => all().map(|v| v * v).sum::<f64>().sqrt(),
        PolyphaseNorm::LInf => all().fold(0.0, f64::max),
    }
}

const NORMS: [PolyphaseNorm; 4] =
    [PolyphaseNorm::L1Induced, PolyphaseNorm::L1Flat, PolyphaseNorm::L2, PolyphaseNorm::LInf];

#[test]
fn polyphase_sampling_agrees_with_its_definition() {
    let mut rng = Rng::new(3, "polyphase");
    let mut seen = [0; 4];
    for case in 0..24 {
        let shape = (3, 2 + rng.index(5), 2 + rng.index(5), 1 + rng.index(4));
        let (n, height, width, channels) = shape;
        let criterion = NORMS[case % 4];
        let x = random(&mut rng, n * height * width * channels);
        // The image padded to even sizes, then its four grids.
        let mut sample = |x: &[f64], s: usize| -> Vec<f64> {
            let at = |r: usize, c: usize| -> Vec<f64> {
                let r = if r == height { height - 2 } else { r };
                let c = if c == width { width - 2 } else { c };
                let start = ((s * height + r) * width + c) * channels;
                x[start..start + channels].to_vec()
            };
            let grids = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| {
                let rows = (0..height.div_ceil(2)).map(|r| 2 * r + i);
                rows.flat_map(|r| (0..width.div_ceil(2)).map(move |c| (r, 2 * c + j)))
                    .map(|(r, c)| at(r, c))
                    .collect::<Vec<_>>()
            });
            let norms = grids.each_ref().map(|grid| norm(grid, criterion));
            let most = norms.iter().copied().fold(0.0, f64::max);
            let first = norms.iter().position(|&v| v == most).unwrap();
            seen[first] += 1;
            grids[first].concat()
        };
        let wx = wide(&x);
        let expected: Vec<f64> = (0..n).flat_map(|s| sample(&wx, s)).collect();
        let tx = tensor(&x, shape);
        let y = try_polyphase(tx.leaky_trace(), criterion, InputGrad::Set).unwrap();
        assert_eq!(*y.shape(), (n, height.div_ceil(2), width.div_ceil(2), channels));
        close("polyphase", &y.as_vec(), &expected, 1e-7);
        let r = random(&mut rng, expected.len());
        // The numbers are random, so that each says where it comes from.
        let mut dx = vec![0.0; x.len()];
        for (value, &r) in expected.iter().zip(&r) {
            let from = wx.iter().position(|v| v == value).unwrap();
            dx[from] += f64::from(r);
        }
        close("its gradient", &backward(y, &r).get(&tx).as_vec(), &dx, 1e-6);
        two_readers(&mut rng, &tx, |x, g| try_polyphase(x, criterion, g));
    }
    assert!(seen.iter().all(|&v| v > 5), "{seen:?}");
}

#[test]
fn norms_choose_different_grids() {
    // Two rows of two columns, two channels: one position a grid, in the order (0,0), (0,1), (1,0), (1,1) of the
    // image, of which (1,0) is the second grid. Worked out by hand.
    let x = [4.0, 0.0, 2.0, 2.1, 3.0, -3.0, -4.5, 0.0];
    let pick = |criterion| {
        let x = tensor(&x, (1, 2, 2, 2));
        try_polyphase(x, criterion, InputGrad::Set).unwrap().as_vec()
    };
    assert_eq!(pick(PolyphaseNorm::L1Flat), [3.0, -3.0]);
    assert_eq!(pick(PolyphaseNorm::L1Induced), [-4.5, 0.0]);
    assert_eq!(pick(PolyphaseNorm::L2), [-4.5, 0.0]);
    assert_eq!(pick(PolyphaseNorm::LInf), [-4.5, 0.0]);
    // All grids are equal: the first one.
    let same = tensor(&[1.0, -1.0, 1.0, 1.0], (1, 2, 2, 1));
    for criterion in NORMS {
        assert_eq!(try_polyphase(same.clone(), criterion, InputGrad::Set).unwrap().as_vec(), [1.0]);
    }
    for criterion in NORMS {
        let nan = tensor(&[2.0, f32::NAN, 1.0, 1.0], (1, 2, 2, 1));
        assert!(try_polyphase(nan, criterion, InputGrad::Set).unwrap().as_vec()[0].is_nan());
    }
    assert!(try_polyphase(tensor(&[0.0; 3], (1, 1, 3, 1)), NORMS[0], InputGrad::Set).is_err());
}

#[test]
fn a_shifted_image_gives_the_shifted_result() {
    let mut rng = Rng::new(4, "shift");
    let (height, width, channels) = (6, 8, 3);
    let x = random(&mut rng, height * width * channels);
    for (dr, dc) in [(1, 0), (0, 1), (3, 5)] {
        // A circular shift of an image of even sizes.
        let mut shifted = vec![0.0; x.len()];
        for r in 0..height {
            for c in 0..width {
                let (from, to) =
                    ((r * width + c) * channels, ((r + dr) % height * width + (c + dc) % width) * channels);
                shifted[to..to + channels].copy_from_slice(&x[from..from + channels]);
            }
        }
        for criterion in NORMS {
            let run = |x: &[f32]| {
                let x = tensor(x, (1, height, width, channels));
                let y = try_polyphase(x, criterion, InputGrad::Set).unwrap().as_vec();
                let mut pixels: Vec<Vec<u32>> =
                    y.chunks(channels).map(|p| p.iter().map(|v| v.to_bits()).collect()).collect();
                pixels.sort();
                pixels
            };
            assert_eq!(run(&x), run(&shifted));
        }
    }
}
