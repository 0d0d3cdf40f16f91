use super::*;
use crate::rng::Rng;

fn random(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// Calls `visit(output index, input index, weight index)` for every product of the convolution's definition.
fn products(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let (rows, cols) = g.output();
    for n in 0..g.samples {
        for r in 0..rows {
            for c in 0..cols {
                for o in 0..g.outputs {
                    for i in 0..g.inputs {
                        for kr in 0..g.kernel.0 {
                            for kc in 0..g.kernel.1 {
                                let y = (r * g.stride.0 + kr) as isize - g.padding.0 as isize;
                                let x = (c * g.stride.1 + kc) as isize - g.padding.1 as isize;
                                if y < 0 || x < 0 || y >= g.height as isize || x >= g.width as isize {
                                    continue;
                                }
                                let (y, x) = (y as usize, x as usize);
                                visit(
                                    ((n * rows + r) * cols + c) * g.outputs + o,
                                    ((n * g.height + y) * g.width + x) * g.inputs + i,
                                    ((o * g.inputs + i) * g.kernel.0 + kr) * g.kernel.1 + kc,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

#[track_caller]
fn close(name: &str, g: &Geometry, ours: &[f32], expected: &[f64]) {
    // The transforms of Winograd's method lose about three bits.
    let tolerance = if winograd::fits(g) { 2e-5 } else { 2e-6 };
    assert_eq!(ours.len(), expected.len(), "{name} {g:?}");
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (&a, &b)) in ours.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() < tolerance * scale, "{name} of {g:?} at {i}: {a} instead of {b}");
    }
}

/// Both paths, forward and backward, against the definition in f64.
fn check(g: &Geometry, rng: &mut Rng) {
    let x = random(rng, g.samples * g.input_len());
    let w = random(rng, g.weight_len());
    let dy = random(rng, g.samples * g.output_len());
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    products(g, |o, i, k| {
        let at = |s: &[f32], i: usize| f64::from(s[i]);
        y[o] += at(&x, i) * at(&w, k);
        dx[i] += at(&dy, o) * at(&w, k);
        dw[k] += at(&dy, o) * at(&x, i);
    });
    close("forward", g, &forward(&x, &w, g), &y);
    close("input gradient", g, &input_gradient(&dy, &w, g), &dx);
    close("weight gradient", g, &weight_gradient(&x, &dy, g), &dw);
    close("tiled forward", g, &im2col::forward(&x, &w, g), &y);
    close("tiled input gradient", g, &im2col::input_gradient(&dy, &w, g), &dx);
    close("tiled weight gradient", g, &im2col::weight_gradient(&x, &dy, g), &dw);
}

#[test]
fn random_shapes_agree_with_the_definition() {
    let mut rng = Rng::new(1, "conv shapes");
    for _ in 0..60 {
        let channels = [1, 2, 3, 5, 16, 32, 48];
        let kernel = (1 + rng.index(4), 1 + rng.index(4));
        let padding = (rng.index(kernel.0 + 1), rng.index(kernel.1 + 1));
        let g = Geometry {
            samples: 1 + rng.index(3),
            height: kernel.0 + rng.index(9),
            width: kernel.1 + rng.index(20),
            inputs: channels[rng.index(channels.len())],
            outputs: channels[rng.index(channels.len())],
            kernel,
            stride: (1 + rng.index(2), 1 + rng.index(2)),
            padding,
        };
        check(&g, &mut rng);
    }
}

#[test]
fn three_by_three_agrees_with_the_definition() {
    let mut rng = Rng::new(2, "conv 3x3");
    for (inputs, outputs, height, width) in [
        (1, 32, 11, 29),
        (3, 16, 5, 7),
        (32, 32, 9, 13),
        (32, 64, 4, 96),
        (64, 32, 12, 12),
        (16, 48, 3, 1),
        (48, 80, 2, 31),
    ] {
        let g = Geometry {
            samples: 2,
            height,
            width,
            inputs,
            outputs,
            kernel: (3, 3),
            stride: (1, 1),
            padding: (1, 1),
        };
        check(&g, &mut rng);
    }
}

#[test]
fn tiles_at_every_edge_agree_with_the_definition() {
    let mut rng = Rng::new(4, "conv tiles");
    for (case, (inputs, outputs)) in [(32, 32), (48, 32), (32, 64)].into_iter().enumerate() {
        for padding in [(0, 0), (1, 1), (0, 2)] {
            // More tiles than a block holds, in images whose sides are 1 to 4 more than a number of tiles.
            let (height, width) = (9 + case, 22 - case);
            let (kernel, stride) = ((3, 3), (1, 1));
            check(
                &Geometry { samples: 3, height, width, inputs, outputs, kernel, stride, padding },
                &mut rng,
            );
        }
    }
}
