use super::*;
use crate::window::Padding;
#[cfg(target_arch = "x86_64")]
use sndpipe_linalg::Level;
use sndpipe_random::Rng;

fn random(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// Calls `visit(output index, input index, weight index)` for every product of the convolution's definition.
fn products(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let (rows, cols) = g.output();
    let (inputs, outputs) = (g.inputs / g.groups, g.outputs / g.groups);
    for n in 0..g.samples {
        for r in 0..rows {
            for c in 0..cols {
                for o in 0..g.outputs {
                    for i in 0..inputs {
                        for kr in 0..g.kernel.0 {
                            for kc in 0..g.kernel.1 {
                                let y =
                                    (r * g.stride.0 + kr * g.dilation.0) as isize - g.padding.top as isize;
                                let x =
                                    (c * g.stride.1 + kc * g.dilation.1) as isize - g.padding.left as isize;
                                if y < 0 || x < 0 || y >= g.height as isize || x >= g.width as isize {
                                    continue;
                                }
                                let (y, x) = (y as usize, x as usize);
                                visit(
                                    ((n * rows + r) * cols + c) * g.outputs + o,
                                    ((n * g.height + y) * g.width + x) * g.inputs + o / outputs * inputs + i,
                                    ((o * inputs + i) * g.kernel.0 + kr) * g.kernel.1 + kc,
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
    let tolerance = if g.kernel == (3, 3) { 2e-5 } else { 2e-6 };
    assert_eq!(ours.len(), expected.len(), "{name} {g:?}");
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (&a, &b)) in ours.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() < tolerance * scale, "{name} of {g:?} at {i}: {a} instead of {b}");
    }
}

/// All paths, forward and backward, against the definition in f64.
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
    #[cfg(target_arch = "x86_64")]
    check_panel(g, (&x, &w, &dy), (&y, &dx, &dw));
    if pointwise::fits(g) {
        close("1x1 forward", g, &pointwise::forward(&x, &w, g), &y);
        close("1x1 input gradient", g, &pointwise::input_gradient(&dy, &w, g), &dx);
        close("1x1 weight gradient", g, &pointwise::weight_gradient(&x, &dy, g), &dw);
    }
}

/// The panel's kernels of every instruction set that this machine has.
#[cfg(target_arch = "x86_64")]
fn check_panel(g: &Geometry, (x, w, dy): (&[f32], &[f32], &[f32]), (y, dx, dw): (&[f64], &[f64], &[f64])) {
    let levels = match level() {
        Level::Avx512 => &[Level::Avx512, Level::Avx2][..],
        Level::Avx2 => &[Level::Avx2],
        Level::Baseline => &[],
    };
    for &level in levels {
        if panel::fits(g, level) {
            close("panel forward", g, &panel::forward(x, w, g, level), y);
            close("panel weight gradient", g, &panel::weight_gradient(x, dy, g, level), dw);
        }
        if panel::fits_input_gradient(g, level) {
            close("panel input gradient", g, &panel::input_gradient(dy, w, g, level), dx);
        }
    }
}

/// A random geometry around the kernel and channels that are given.
fn geometry(
    rng: &mut Rng,
    (inputs, outputs, groups): (usize, usize, usize),
    kernel: (usize, usize),
    dilation: (usize, usize),
) -> Geometry {
    let extent = ((kernel.0 - 1) * dilation.0 + 1, (kernel.1 - 1) * dilation.1 + 1);
    let padding = Padding {
        top: rng.index(extent.0 + 1),
        bottom: rng.index(extent.0 + 1),
        left: rng.index(extent.1 + 1),
        right: rng.index(extent.1 + 1),
    };
    Geometry {
        samples: 1 + rng.index(3),
        height: extent.0 + rng.index(9),
        width: extent.1 + rng.index(20),
        inputs,
        outputs,
        kernel,
        stride: (1 + rng.index(3), 1 + rng.index(3)),
        dilation,
        padding,
        groups,
    }
}

#[test]
fn random_shapes_agree_with_the_definition() {
    let mut rng = Rng::new(1, "conv shapes");
    let channels = [1, 2, 3, 5, 16, 32, 48];
    for case in 0..80 {
        let channels = (channels[rng.index(7)], channels[rng.index(7)], 1);
        let kernel = (1 + rng.index(4), 1 + rng.index(4));
        let dilation = if case % 4 == 0 { (1 + rng.index(3), 1 + rng.index(3)) } else { (1, 1) };
        let mut g = geometry(&mut rng, channels, kernel, dilation);
        if case % 2 == 0 {
            g.stride = (1, 1);
        }
        check(&g, &mut rng);
    }
}

#[test]
fn groups_agree_with_the_definition() {
    let mut rng = Rng::new(3, "conv groups");
    for (inputs, outputs, groups) in [(4, 6, 2), (32, 16, 4), (6, 12, 6), (9, 9, 3), (5, 10, 5)] {
        for dilation in [(1, 1), (2, 1), (1, 3)] {
            let g = geometry(&mut rng, (inputs, outputs, groups), (3, 2), dilation);
            check(&g, &mut rng);
        }
    }
}

#[test]
fn depthwise_agrees_with_the_definition() {
    let mut rng = Rng::new(4, "conv depth-wise");
    for channels in [1, 3, 16, 17, 64, 83, 144] {
        for kernel in [(3, 3), (1, 5), (5, 2)] {
            let dilation = (1 + rng.index(2), 1 + rng.index(2));
            let g = geometry(&mut rng, (channels, channels, channels), kernel, dilation);
            check(&g, &mut rng);
        }
    }
}

#[test]
fn pointwise_agrees_with_the_definition() {
    let mut rng = Rng::new(5, "conv 1x1");
    for (inputs, outputs, height, width) in [(1, 1, 1, 1), (5, 7, 9, 3), (64, 32, 30, 21), (3, 160, 1, 600)] {
        let mut g = geometry(&mut rng, (inputs, outputs, 1), (1, 1), (1, 1));
        (g.height, g.width, g.stride, g.padding) = (height, width, (1, 1), Padding::NONE);
        assert!(pointwise::fits(&g));
        check(&g, &mut rng);
        g.stride = (2, 3);
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
            dilation: (1, 1),
            padding: Padding::symmetric(1, 1),
            groups: 1,
        };
        check(&g, &mut rng);
    }
}

#[test]
fn tiles_at_every_edge_agree_with_the_definition() {
    let mut rng = Rng::new(4, "conv tiles");
    for (case, (inputs, outputs)) in [(32, 32), (48, 32), (32, 64)].into_iter().enumerate() {
        for (rows, columns) in [(0, 0), (1, 1), (0, 2)] {
            // More tiles than a block holds, in images whose sides are 1 to 4 more than a number of tiles.
            let g = Geometry {
                samples: 3,
                height: 9 + case,
                width: 22 - case,
                inputs,
                outputs,
                kernel: (3, 3),
                stride: (1, 1),
                dilation: (1, 1),
                padding: Padding::symmetric(rows, columns),
                groups: 1,
            };
            check(&g, &mut rng);
        }
    }
}
