//! Losses of classifiers: values worked out by hand, and their definitions in f64.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::check::{backward, close, differences, random, tensor, wide};
use dfdx::prelude::Trace;
use sndpipe_nn::{
    LossSpec,
    ops::{smooth_labels, try_loss, try_masked_loss, try_selective_loss},
};
use sndpipe_random::Rng;

/// The loss of some logits, and its gradient.
fn loss(x: &[f32], t: &[f32], classes: usize, spec: LossSpec) -> (f32, Vec<f32>) {
    let shape = (x.len() / classes, classes);
    let tx = tensor(x, shape);
    let value = try_loss(tx.leaky_trace(), &tensor(t, shape), spec).unwrap();
    (value.as_vec()[0], backward(value, &[1.0]).get(&tx).as_vec())
}

/// The masked loss of some logits, and three times its gradient.
fn masked(x: &[f32], t: &[f32], m: &[f32], classes: usize) -> (f32, Vec<f32>) {
    let shape = (x.len() / classes, classes);
    let tx = tensor(x, shape);
    let value = try_masked_loss(tx.leaky_trace(), &tensor(t, shape), &tensor(m, shape)).unwrap();
    (value.as_vec()[0], backward(value, &[3.0]).get(&tx).as_vec())
}

/// The loss of some logits where the marked samples are clean, and its gradient.
fn selective(x: &[f32], t: &[f32], clean: &[f32], spec: LossSpec) -> (f32, Vec<f32>) {
    let shape = (clean.len(), x.len() / clean.len());
    let tx = tensor(x, shape);
    let clean = tensor(clean, (clean.len(), 1));
    let value = try_selective_loss(tx.leaky_trace(), &tensor(t, shape), &clean, spec).unwrap();
    (value.as_vec()[0], backward(value, &[1.0]).get(&tx).as_vec())
}

/// The definition of a loss, before samples are left out: one number for each row.
fn rows(x: &[f64], t: &[f32], classes: usize, spec: LossSpec) -> Vec<f64> {
    let samples = x.chunks(classes).zip(t.chunks(classes));
    samples
        .map(|(x, t)| {
            let norm: f64 = x.iter().map(|v| v.exp()).sum();
            let pairs = x.iter().zip(t).map(|(v, &t)| (v.exp() / norm, f64::from(t)));
            let pair = |(p, t): (f64, f64)| match spec {
                LossSpec::Mae => (p - t).abs(),
                LossSpec::Lq { q } | LossSpec::LqMax { q, .. } | LossSpec::LqPercentile { q, .. } => {
                    t * (1.0 - (p + 1e-8).powf(q)) / q
                }
                LossSpec::Lsoft { beta } => -(beta * t + (1.0 - beta) * p) * p.ln(),
                LossSpec::CceSmooth { epsilon } => -((1.0 - epsilon) * t + epsilon / classes as f64) * p.ln(),
                _ => -t * p.ln(),
            };
            pairs.map(pair).sum()
        })
        .collect()
}

/// One-hot targets.
fn labels(rng: &mut Rng, n: usize, classes: usize) -> Vec<f32> {
    let mut t = vec![0.0; n * classes];
    (0..n).for_each(|i| t[i * classes + rng.index(classes)] = 1.0);
    t
}

/// Logits of two classes whose first has the probability `p`.
fn logit(p: f64) -> f32 {
    (p / (1.0 - p)).ln() as f32
}

#[test]
fn losses_have_the_values_worked_out_by_hand() {
    // The probability of the right class is 0.05, 0.5, 0.9.
    for (p, expected) in [(0.05f64, 2.995_732), (0.5, std::f64::consts::LN_2), (0.9, 0.105_361)] {
        let x = (p / (1.0 - p)).ln() as f32;
        let (cce, gradient) = loss(&[x, 0.0], &[1.0, 0.0], 2, LossSpec::Cce);
        assert!((f64::from(cce) - expected).abs() < 1e-6, "{cce}");
        close("gradient", &gradient, &[p - 1.0, 1.0 - p], 1e-6);
        let (bce, gradient) = loss(&[x, x], &[1.0, 0.0], 2, LossSpec::Bce);
        assert!((f64::from(bce) - (expected - (1.0 - p).ln()) / 2.0).abs() < 1e-6, "{bce}");
        close("gradient", &gradient, &[(p - 1.0) / 2.0, p / 2.0], 1e-6);
    }
    // Soft targets: p = (0.7, 0.2, 0.1), t = (0.79, 0.14, 0.07).
    let x = [0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()];
    let (soft, _) = loss(&x, &[0.79, 0.14, 0.07], 3, LossSpec::Cce);
    assert!((soft - 0.668_275).abs() < 1e-6, "{soft}");
}

#[test]
fn losses_are_stable_far_from_zero() {
    let (value, gradient) = loss(&[1e4, -1e4], &[0.0, 1.0], 2, LossSpec::Cce);
    assert_eq!((value, gradient), (2e4, vec![1.0, -1.0]));
    let (value, gradient) = loss(&[1e4, -1e4], &[0.0, 1.0], 2, LossSpec::Bce);
    assert_eq!((value, gradient), (1e4, vec![0.5, -0.5]));
    let (value, gradient) = loss(&[1e4, -1e4], &[1.0, 0.0], 2, LossSpec::Bce);
    assert_eq!((value, gradient), (0.0, vec![0.0, 0.0]));
    let (value, gradient) = loss(&[1e4, -1e4], &[0.0, 1.0], 2, LossSpec::Lq { q: 0.7 });
    assert!((f64::from(value) - (1.0 - 1e-8f64.powf(0.7)) / 0.7).abs() < 1e-6);
    assert_eq!(gradient, [0.0, 0.0]);
    // The logarithm stops at 1e-7, and its gradient with it.
    let (value, gradient) = loss(&[1e4, -1e4], &[0.0, 1.0], 2, LossSpec::Lsoft { beta: 0.3 });
    assert!((f64::from(value) + 0.3 * 1e-7f64.ln()).abs() < 1e-5, "{value}");
    assert_eq!(gradient.len(), 2);
    let specs = [
        LossSpec::Cce,
        LossSpec::Bce,
        LossSpec::Mae,
        LossSpec::Lq { q: 0.7 },
        LossSpec::Lsoft { beta: 0.3 },
        LossSpec::CceMax { share: 0.6 },
        LossSpec::CceOutlier { deviations: 1.9 },
        LossSpec::LqPercentile { q: 0.7, percentile: 50.0 },
    ];
    for spec in specs {
        assert!(loss(&[f32::NAN, 0.0], &[1.0, 0.0], 2, spec).0.is_nan());
    }
}

#[test]
fn robust_losses_have_the_values_worked_out_by_hand() {
    let value = |p: f64, spec| f64::from(loss(&[logit(p), 0.0], &[1.0, 0.0], 2, spec).0);
    let near =
        |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    for (p, at_07, at_05) in
        [(0.05, 1.253_110, 1.552_786), (0.5, 0.549_183, 0.585_786), (0.9, 0.101_569, 0.102_633)]
    {
        near(value(p, LossSpec::Lq { q: 0.7 }), at_07);
        near(value(p, LossSpec::Lq { q: 0.5 }), at_05);
        // The ends of the family.
        near(value(p, LossSpec::Lq { q: 1e-7 }), -p.ln());
        near(2.0 * value(p, LossSpec::Lq { q: 1.0 }), value(p, LossSpec::Mae));
        near(value(p, LossSpec::Mae), 2.0 * (1.0 - p));
    }
    // p = (0.7, 0.2, 0.1), label 0: the targets become (0.79, 0.14, 0.07).
    let x = [0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()];
    near(f64::from(loss(&x, &[1.0, 0.0, 0.0], 3, LossSpec::Lsoft { beta: 0.3 }).0), 0.668_275);
    // Smoothing over two classes by 0.2: 0.9 and 0.1.
    let smooth = LossSpec::CceSmooth { epsilon: 0.2 };
    near(value(0.5, smooth), std::f64::consts::LN_2);
    near(value(0.9, smooth), -0.9 * 0.9f64.ln() - 0.1 * 0.1f64.ln());
}

#[test]
fn smoothed_labels_have_the_values_worked_out_by_hand() {
    let mut t = vec![0.0; 20];
    t[3] = 1.0;
    smooth_labels(&mut t, &[0.15; 20]).unwrap();
    for (class, &t) in t.iter().enumerate() {
        let expected = if class == 3 { 0.8575 } else { 0.0075 };
        assert!((t - expected).abs() < 1e-7, "{t}");
    }
    // Each label is smoothed by its own share: 0.2 and 0.4 over two classes.
    let mut t = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5];
    smooth_labels(&mut t, &[0.2, 0.4]).unwrap();
    close("by class", &t, &[0.9, 0.1, 0.2, 0.8, 0.55, 0.45], 1e-7);
    assert!(smooth_labels(&mut t, &[0.1; 4]).is_err());
    assert!(smooth_labels(&mut t, &[]).is_err());
    assert!(smooth_labels(&mut t, &[0.1, 1.1]).is_err());
}

#[test]
fn samples_are_left_out_by_their_loss() {
    // Losses of the samples: -ln 0.5, -ln 0.9, -ln 0.1, -ln 0.8.
    let p = [0.5f64, 0.9, 0.1, 0.8];
    let x: Vec<f32> = p.iter().flat_map(|&p| [logit(p), 0.0]).collect();
    let t = [1.0, 0.0].repeat(4);
    let check = |spec: LossSpec, kept: &[usize], count: f64| {
        let (value, gradient) = loss(&x, &t, 2, spec);
        let all = rows(&wide(&x), &t, 2, spec);
        let expected = kept.iter().map(|&i| all[i]).sum::<f64>() / count;
        close("loss", &[value], &[expected], 1e-6);
        for (i, g) in gradient.chunks(2).enumerate() {
            assert_eq!(g[0] != 0.0, kept.contains(&i), "{spec:?}: sample {i}");
        }
    };
    // The threshold 0.6 * 2.303 is 1.38; 0.25 * 2.303 = 0.58 is below -ln 0.5 = 0.69.
    check(LossSpec::CceMax { share: 0.6 }, &[0, 1, 3], 4.0);
    check(LossSpec::CceMax { share: 0.25 }, &[1, 3], 4.0);
    check(LossSpec::CceMax { share: 1.0 }, &[0, 1, 2, 3], 4.0);
    // Median (0.223 + 0.693) / 2 = 0.458, standard deviation 0.878: thresholds 0.458, 0.897, 2.319 and 2.293.
    check(LossSpec::CceOutlier { deviations: 0.0 }, &[1, 3], 4.0);
    check(LossSpec::CceOutlier { deviations: 0.5 }, &[0, 1, 3], 4.0);
    check(LossSpec::CceOutlier { deviations: 2.12 }, &[0, 1, 2, 3], 4.0);
    check(LossSpec::CceOutlier { deviations: 2.09 }, &[0, 1, 3], 4.0);
    check(LossSpec::LqMax { q: 0.5, share: 0.93 }, &[0, 1, 3], 3.0);
    // Three steps between four samples: the 99th percentile is the third smallest loss.
    check(LossSpec::LqPercentile { q: 0.5, percentile: 99.0 }, &[0, 1, 3], 3.0);
    check(LossSpec::LqPercentile { q: 0.5, percentile: 100.0 }, &[0, 1, 2, 3], 4.0);
    check(LossSpec::LqPercentile { q: 0.5, percentile: 0.0 }, &[1], 1.0);
    // Nobody is left.
    assert_eq!(loss(&[0.0, 0.0], &[1.0, 0.0], 2, LossSpec::CceMax { share: 0.6 }), (0.0, vec![0.0; 2]));
    assert_eq!(
        loss(&[0.0, 0.0], &[1.0, 0.0], 2, LossSpec::LqMax { q: 0.7, share: 0.6 }),
        (0.0, vec![0.0; 2])
    );
}

/// Every loss of a class a sample; those with a limit leave out some of a batch.
const ROBUST: [LossSpec; 9] = [
    LossSpec::Cce,
    LossSpec::Mae,
    LossSpec::Lq { q: 0.7 },
    LossSpec::Lsoft { beta: 0.3 },
    LossSpec::CceSmooth { epsilon: 0.15 },
    LossSpec::CceMax { share: 0.6 },
    LossSpec::CceOutlier { deviations: 0.5 },
    LossSpec::LqMax { q: 0.5, share: 0.93 },
    LossSpec::LqPercentile { q: 0.5, percentile: 60.0 },
];

#[test]
fn clean_samples_have_their_cross_entropy_and_change_nothing_for_the_others() {
    let mut rng = Rng::new(11, "clean");
    let (n, noisy, classes) = (9, 6, 4);
    let x: Vec<f32> = random(&mut rng, n * classes).iter().map(|v| 2.0 * v).collect();
    let t = labels(&mut rng, n, classes);
    // The first six may be wrong, the last three are clean.
    let clean: Vec<f32> = (0..n).map(|i| if i < noisy { 0.0 } else { 1.0 }).collect();
    let part = noisy * classes;
    let (cross, cross_gradient) = loss(&x[part..], &t[part..], classes, LossSpec::Cce);
    for spec in ROBUST {
        let (value, gradient) = selective(&x, &t, &clean, spec);
        let (robust, robust_gradient) = loss(&x[..part], &t[..part], classes, spec);
        let kept =
            |gradient: &[f32]| gradient.chunks(classes).filter(|g| g.iter().any(|&g| g != 0.0)).count();
        // What the sums are divided by: all samples, or those that are kept.
        let (count, kept) = match spec {
            LossSpec::LqMax { .. } | LossSpec::LqPercentile { .. } => {
                (kept(&gradient) as f64, kept(&robust_gradient) as f64)
            }
            _ => (n as f64, noisy as f64),
        };
        let sum = f64::from(robust) * kept + f64::from(cross) * (n - noisy) as f64;
        close("loss", &[value], &[sum / count], 1e-6);
        let expected: Vec<f64> = robust_gradient
            .iter()
            .map(|&g| f64::from(g) * kept / count)
            .chain(cross_gradient.iter().map(|&g| f64::from(g) * (n - noisy) as f64 / count))
            .collect();
        close("gradient", &gradient, &expected, 1e-6);
        // Without clean samples nothing changes, to the bit; where all are clean, it is cross entropy.
        assert_eq!(selective(&x, &t, &vec![0.0; n], spec), loss(&x, &t, classes, spec), "{spec:?}");
        let all = selective(&x, &t, &vec![1.0; n], spec);
        assert_eq!(all, loss(&x, &t, classes, LossSpec::Cce), "{spec:?}");
    }
}

#[test]
fn a_percentile_of_64_drops_one_three_or_five() {
    let mut rng = Rng::new(8, "percentile");
    let (x, t) = (random(&mut rng, 64 * 5), labels(&mut rng, 64, 5));
    for (percentile, dropped) in [(99.0, 1), (96.0, 3), (93.0, 5)] {
        let (_, gradient) = loss(&x, &t, 5, LossSpec::LqPercentile { q: 0.5, percentile });
        assert_eq!(gradient.chunks(5).filter(|g| g.iter().all(|&g| g == 0.0)).count(), dropped);
    }
}

#[test]
fn gradients_of_losses_are_their_differences() {
    let mut rng = Rng::new(5, "losses");
    let specs = [
        LossSpec::Cce,
        LossSpec::Mae,
        LossSpec::Lq { q: 0.7 },
        LossSpec::Lq { q: 0.01 },
        LossSpec::Lsoft { beta: 0.3 },
        LossSpec::CceSmooth { epsilon: 0.15 },
        LossSpec::CceMax { share: 1.0 },
        LossSpec::CceOutlier { deviations: 100.0 },
        LossSpec::LqMax { q: 0.7, share: 1.0 },
        LossSpec::LqPercentile { q: 0.7, percentile: 100.0 },
    ];
    for case in 0..6 {
        let (n, classes) = (1 + rng.index(9), 2 + rng.index(7));
        let x: Vec<f32> = random(&mut rng, n * classes).iter().map(|v| 3.0 * v).collect();
        // One-hot labels, and mixtures of two.
        let mut t = labels(&mut rng, n, classes);
        if case % 2 == 0 {
            let other = labels(&mut rng, n, classes);
            t = t.iter().zip(other).map(|(a, b)| 0.75 * a + 0.25 * b).collect();
        }
        for spec in specs {
            let mean = |x: &[f64]| vec![rows(x, &t, classes, spec).iter().sum::<f64>() / n as f64];
            let (value, gradient) = loss(&x, &t, classes, spec);
            close("loss", &[value], &mean(&wide(&x)), 1e-6);
            close("its gradient", &gradient, &differences(&x, &[1.0], mean), 1e-6);
        }
        let bce = |x: &[f64], m: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let all = x.iter().zip(&t).enumerate().map(|(i, (v, &t))| {
                let (p, t) = (1.0 / (1.0 + (-v).exp()), f64::from(t));
                -t * p.ln() - m(i) * (1.0 - t) * (1.0 - p).ln()
            });
            vec![all.sum::<f64>() / (n * classes) as f64]
        };
        let (value, gradient) = loss(&x, &t, classes, LossSpec::Bce);
        close("bce", &[value], &bce(&wide(&x), &|_| 1.0), 1e-6);
        close("its gradient", &gradient, &differences(&x, &[1.0], |x| bce(x, &|_| 1.0)), 1e-6);
        let m: Vec<f32> = (0..x.len()).map(|_| [0.0, 1.0, 0.5][rng.index(3)]).collect();
        let weight = |i: usize| f64::from(m[i]);
        let (value, gradient) = masked(&x, &t, &m, classes);
        close("masked", &[value], &bce(&wide(&x), &weight), 1e-6);
        close("its gradient", &gradient, &differences(&x, &[3.0], |x| bce(x, &weight)), 1e-6);
    }
}

#[test]
fn a_mask_of_ones_changes_no_bit_and_one_of_zeros_leaves_the_positives() {
    let mut rng = Rng::new(6, "mask");
    let x = random(&mut rng, 12);
    let t = labels(&mut rng, 3, 4);
    let (value, _) = loss(&x, &t, 4, LossSpec::Bce);
    assert_eq!(masked(&x, &t, &[1.0; 12], 4).0, value);
    let (value, gradient) = masked(&x, &t, &[0.0; 12], 4);
    let positives = x.iter().zip(&t).filter(|(_, t)| **t == 1.0);
    let expected: f64 = positives.map(|(&x, _)| (-f64::from(x)).exp().ln_1p()).sum();
    close("positives alone", &[value], &[expected / 12.0], 1e-6);
    assert!(gradient.iter().zip(&t).all(|(g, t)| (*g != 0.0) == (*t == 1.0)));
}

#[test]
fn wrong_shapes_and_ranges_are_errors() {
    let (logits, targets) = (|| tensor(&[0.0; 4], (2, 2)), tensor(&[0.0; 4], (1, 4)));
    assert!(try_loss(logits(), &targets, LossSpec::Cce).is_err());
    assert!(try_masked_loss(logits(), &targets, &logits()).is_err());
    let selective = |clean: (usize, usize), spec| {
        let clean = tensor(&vec![0.0; clean.0 * clean.1], clean);
        try_selective_loss(logits(), &logits(), &clean, spec).unwrap_err().to_string()
    };
    let error = selective((2, 2), LossSpec::Cce);
    assert_eq!(error, "clean samples of the loss: expected shape [2, 1], found [2, 2]");
    assert!(selective((2, 1), LossSpec::Bce).starts_with("`loss` is `bce`"));
    let error = try_masked_loss(logits(), &logits(), &targets).unwrap_err().to_string();
    assert_eq!(error, "mask of the loss: expected shape [2, 2], found [1, 4]");
    let error = try_loss(logits(), &logits(), LossSpec::Lq { q: 1.5 }).unwrap_err().to_string();
    assert_eq!(error, "`q` is 1.5, must be in (0, 1]");
}
