//! Losses on embeddings: values worked out by hand, and their definitions in f64.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::check::{Dev, backward, close, device, differences, random, tensor, wide};
use dfdx::{
    prelude::{OwnedTape, Trace},
    tensor::Tensor,
};
use sndpipe_nn::{
    NnError,
    ops::{
        MemoryBank, NceSamples, try_bank_nce, try_bank_softmax, try_coincidence, try_nt_xent,
        try_triplet_hinge,
    },
};
use sndpipe_random::Rng;

type Embeddings = Tensor<(usize, usize), f32, Dev, OwnedTape<f32, Dev>>;
type Loss = Tensor<(), f32, Dev, OwnedTape<f32, Dev>>;

/// Value and gradient of a loss of rows of `width` numbers against its definition.
#[track_caller]
fn check(
    x: &[f32],
    width: usize,
    loss: impl Fn(Embeddings) -> Result<Loss, NnError>,
    definition: impl Fn(&[f64]) -> f64,
) {
    let tx = tensor(x, (x.len() / width, width));
    let value = loss(tx.leaky_trace()).unwrap();
    close("loss", &value.as_vec(), &[definition(&wide(x))], 2e-6);
    let dx = differences(x, &[-2.0], |x| vec![definition(x)]);
    close("its gradient", &backward(value, &[-2.0]).get(&tx).as_vec(), &dx, 1e-5);
}

/// Rows of length 1.
fn unit(rng: &mut Rng, rows: usize, width: usize) -> Vec<f32> {
    let x = random(rng, rows * width);
    x.chunks(width)
        .flat_map(|row| {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter().map(move |v| v / norm)
        })
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn nt_xent_agrees_with_its_definition() {
    let mut rng = Rng::new(1, "nt-xent");
    for (clips, width) in [(1, 1), (2, 3), (5, 8), (9, 4), (20, 5)] {
        let z = unit(&mut rng, 2 * clips, width);
        let tau = rng.range(0.1, 1.0);
        let definition = |z: &[f64]| {
            let row = |i: usize| &z[i * width..(i + 1) * width];
            let similarity = |i, j| (dot(row(i), row(j)) / tau).exp();
            let all = (0..2 * clips).map(|i| {
                let sum: f64 = (0..2 * clips).filter(|&v| v != i).map(|v| similarity(i, v)).sum();
                -(similarity(i, (i + clips) % (2 * clips)) / sum).ln()
            });
            all.sum::<f64>() / (2 * clips) as f64
        };
        check(&z, width, |z| try_nt_xent(z, tau), definition);
    }
}

#[test]
fn nt_xent_has_the_values_worked_out_by_hand() {
    let value = |z: &[f32], width: usize, tau| {
        try_nt_xent(tensor(z, (z.len() / width, width)), tau).unwrap().as_vec()[0]
    };
    // All similarities are equal: ln(2n - 1).
    assert!((value(&[1.0; 4], 1, 0.2) - 1.098_612).abs() < 1e-6);
    assert!((value(&[1.0; 256], 1, 0.2) - 5.541_264).abs() < 1e-5);
    // Two clips at a right angle, identical views.
    let z = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
    assert!((value(&z, 2, 0.2) - 0.013_385_9).abs() < 1e-7);
    // Similarities of 10^4 do not overflow.
    assert_eq!(value(&[10.0, -10.0, 10.0, -10.0], 1, 0.01), 0.0);
    assert_eq!(value(&[10.0, 10.0, -10.0, -10.0], 1, 0.01), 2e4);
    assert!(value(&[f32::NAN, 1.0], 1, 0.2).is_nan());
}

fn memory(rng: &mut Rng, entries: usize, width: usize) -> (Vec<f64>, MemoryBank<Dev>) {
    let values = unit(rng, entries, width);
    (wide(&values), MemoryBank::from_values(device(), values, width).unwrap())
}

#[test]
fn the_softmax_over_a_bank_agrees_with_its_definition() {
    let mut rng = Rng::new(2, "bank softmax");
    for (n, entries, width) in [(1, 1, 2), (3, 7, 4), (18, 30, 5)] {
        let (v, tau) = (unit(&mut rng, n, width), rng.range(0.07, 0.5));
        let (values, bank) = memory(&mut rng, entries, width);
        let indices: Vec<usize> = (0..n).map(|_| rng.index(entries)).collect();
        let definition = |v: &[f64]| {
            let rows = v.chunks(width).zip(&indices).map(|(v, &i)| {
                let terms: Vec<f64> = values.chunks(width).map(|b| (dot(v, b) / tau).exp()).collect();
                -(terms[i] / terms.iter().sum::<f64>()).ln()
            });
            rows.sum::<f64>() / n as f64
        };
        check(&v, width, |v| try_bank_softmax(v, &bank, &indices, tau), definition);
    }
}

#[test]
fn estimation_against_noise_agrees_with_its_definition() {
    let mut rng = Rng::new(3, "nce");
    for (n, entries, width, m) in [(1, 3, 2, 1), (4, 50, 6, 10), (18, 40, 5, 64)] {
        let (v, tau) = (unit(&mut rng, n, width), 0.1);
        let (values, bank) = memory(&mut rng, entries, width);
        let mut draw = |count: usize| -> Vec<usize> { (0..count).map(|_| rng.index(entries)).collect() };
        let (positives, negatives) = (draw(n), draw(n * m));
        let samples = NceSamples { positives: &positives, negatives: &negatives };
        let similarity = |v: &[f64], i: usize| (dot(v, &values[i * width..(i + 1) * width]) / tau).exp();

        let mut entered = Vec::new();
        for (p, n) in positives.iter().zip(negatives.chunks(m)) {
            entered.push(*p);
            entered.extend(n);
        }
        let rows = wide(&v);
        let pairs = rows.chunks(width).zip(entered.chunks(m + 1));
        let sum: f64 = pairs.flat_map(|(v, e)| e.iter().map(move |&i| similarity(v, i))).sum();
        let z = sum / entered.len() as f64 * entries as f64;
        let tv = tensor(&v, (n, width));
        let found = bank.normaliser(&tv, &entered, tau).unwrap();
        assert!((found / z - 1.0).abs() < 1e-6, "{found} instead of {z}");

        let noise = m as f64 / entries as f64;
        let definition = |v: &[f64]| {
            let rows = v.chunks(width).zip(&positives).zip(negatives.chunks(m)).map(|((v, &i), k)| {
                let p = |i| similarity(v, i) / z;
                let others = k.iter().map(|&k| (noise / (p(k) + noise + 1e-7)).ln());
                -(p(i) / (p(i) + noise + 1e-7)).ln() - others.sum::<f64>()
            });
            rows.sum::<f64>() / n as f64
        };
        check(&v, width, |v| try_bank_nce(v, &bank, &samples, tau, z), definition);
    }
    // exp(1e4) would overflow.
    let bank = MemoryBank::from_values(device(), vec![100.0, -100.0], 1).unwrap();
    let samples = NceSamples { positives: &[1], negatives: &[0] };
    let loss = try_bank_nce(tensor(&[100.0], (1, 1)), &bank, &samples, 1.0, 1.0).unwrap();
    assert!((loss.as_vec()[0] - 2e4).abs() < 1.0);
}

#[test]
fn a_bank_moves_towards_its_embeddings() {
    let values = vec![0.6, 0.8, 1.0, 0.0, 0.0, 1.0];
    let mut bank = MemoryBank::from_values(device(), values, 2).unwrap();
    let kept = bank.clone();
    // 0.5 (0.6, 0.8) + 0.5 (0.8, -0.6) = (0.7, 0.1), length sqrt(0.5); then towards (1, 0) twice.
    let v = tensor(&[0.8, -0.6, 1.0, 0.0, 1.0, 0.0], (3, 2));
    bank.update(&v, &[0, 2, 2], 0.5).unwrap();
    let half = 0.5f64.sqrt();
    let twice = ((1.0 + half) / 2.0, half / 2.0);
    let norm = twice.0.hypot(twice.1);
    let expected = [0.7 / half, 0.1 / half, 1.0, 0.0, twice.0 / norm, twice.1 / norm];
    close("bank", &bank.values(), &expected, 1e-6);
    assert_eq!(kept.values(), [0.6, 0.8, 1.0, 0.0, 0.0, 1.0]);
    assert!(bank.update(&v, &[0, 1, 3], 0.5).is_err());
    assert!(bank.update(&v, &[0, 1], 0.5).is_err());
    assert!(bank.update(&v, &[0, 1, 2], 1.0).is_err());
}

#[test]
fn a_new_bank_is_uniform() {
    let bank = MemoryBank::new(device(), 500, 12, 4).unwrap();
    assert_eq!((bank.entries(), bank.width()), (500, 12));
    let values = bank.values();
    assert_eq!(values, MemoryBank::new(device(), 500, 12, 4).unwrap().values());
    assert_ne!(values, MemoryBank::new(device(), 500, 12, 5).unwrap().values());
    assert!(values.iter().all(|v| v.abs() <= 0.5));
    let square: f32 = values.iter().map(|v| v * v).sum();
    // 500 rows of expected square length 1.
    assert!((square / 500.0 - 1.0).abs() < 0.06, "{square}");
}

#[test]
fn triplets_agree_with_their_definition() {
    let mut rng = Rng::new(4, "triplets");
    for (rows, width, count) in [(3, 1, 1), (6, 4, 5), (10, 7, 40)] {
        let z = unit(&mut rng, rows, width);
        let triplets: Vec<[usize; 3]> = (0..count)
            .map(|_| {
                let order = rng.permutation(rows);
                [order[0], order[1], order[2]]
            })
            .collect();
        let definition = |z: &[f64]| {
            let row = |i: usize| &z[i * width..(i + 1) * width];
            let distance = |i, j| row(i).iter().zip(row(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            triplets.iter().map(|&[a, p, n]| (distance(a, p) - distance(a, n) + 0.1).max(0.0)).sum()
        };
        check(&z, width, |z| try_triplet_hinge(z, &triplets, 0.1), definition);
    }
    // Anchor (1, 0), positive (0, 1), negative (-1, 0): squared distances 2 and 4.
    let z = tensor(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0], (3, 2));
    let value = |triplet, margin| try_triplet_hinge(z.clone(), &[triplet], margin).unwrap().as_vec()[0];
    assert_eq!(value([0, 1, 2], 0.1), 0.0);
    assert_eq!(value([0, 1, 2], 2.5), 0.5);
    assert_eq!(value([0, 2, 1], 0.5), 2.5);
}

#[test]
fn coincidence_agrees_with_its_definition() {
    let mut rng = Rng::new(5, "coincidence");
    for clips in [2usize, 3, 7] {
        let x = random(&mut rng, clips * clips);
        let definition = |x: &[f64]| {
            let p = |i: usize, j: usize| 1.0 / (1.0 + (-x[i * clips + j]).exp());
            let (mut matching, mut other) = (0.0, 0.0);
            for i in 0..clips {
                matching -= p(i, i).ln();
                other -= (0..clips).filter(|&j| j != i).map(|j| (1.0 - p(i, j)).ln()).sum::<f64>();
            }
            matching / clips as f64 + other / (clips * (clips - 1)) as f64
        };
        check(&x, clips, |x| try_coincidence(x, clips), definition);
        check(&x, 1, |x| try_coincidence(x, clips), definition);
    }
    // Nothing is known: ln 2 from each group.
    let value = try_coincidence(tensor(&[0.0; 9], (9, 1)), 3).unwrap().as_vec()[0];
    assert!((value - 2.0 * 2f32.ln()).abs() < 1e-6);
}

#[test]
fn wrong_shapes_and_ranges_are_errors() {
    let z = |rows: usize, width: usize| tensor(&vec![1.0; rows * width], (rows, width));
    assert!(try_nt_xent(z(3, 2), 0.2).is_err());
    assert!(try_nt_xent(z(4, 2), 0.0).is_err());
    let error = try_triplet_hinge(z(3, 2), &[[0, 1, 2], [0, 1, 3]], 0.1).unwrap_err().to_string();
    assert_eq!(error, "`triplets` is 3, must be below 3");
    assert!(try_triplet_hinge(z(3, 2), &[[0, 1, 2]], -0.1).is_err());
    assert!(try_coincidence(z(2, 3), 2).is_err());
    assert!(try_coincidence(z(1, 1), 1).is_err());
    assert!(MemoryBank::from_values(device(), vec![0.0; 5], 2).is_err());
    assert!(MemoryBank::new(device(), 0, 2, 0).is_err());
    let bank = MemoryBank::new(device(), 5, 2, 0).unwrap();
    assert!(try_bank_softmax(z(2, 3), &bank, &[0, 1], 0.1).is_err());
    assert!(try_bank_softmax(z(2, 2), &bank, &[0, 5], 0.1).is_err());
    assert!(try_bank_softmax(z(2, 2), &bank, &[0], 0.1).is_err());
    let nce = |negatives: &[usize], z_value| {
        try_bank_nce(z(2, 2), &bank, &NceSamples { positives: &[0, 1], negatives }, 0.1, z_value)
    };
    assert!(nce(&[0, 1, 2, 3], 1.0).is_ok());
    assert!(nce(&[0, 1, 2], 1.0).is_err());
    assert!(nce(&[], 1.0).is_err());
    assert!(nce(&[0, 1, 2, 3], 0.0).is_err());
    assert!(bank.normaliser(&z(2, 2), &[0, 1, 2], 0.1).is_err());
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut rng = Rng::new(6, "threads");
    let (z, width) = (unit(&mut rng, 70, 9), 9);
    let entries = unit(&mut rng, 300, width);
    let positives: Vec<usize> = (0..70).collect();
    let negatives: Vec<usize> = (0..70 * 50).map(|_| rng.index(300)).collect();
    let samples = NceSamples { positives: &positives, negatives: &negatives };
    let gradient = |loss: &dyn Fn(Embeddings) -> Result<Loss, NnError>| {
        let tz = tensor(&z, (70, width));
        let value = loss(tz.leaky_trace()).unwrap();
        (value.as_vec(), backward(value, &[1.0]).get(&tz).as_vec())
    };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let bank = MemoryBank::from_values(device(), entries.clone(), width).unwrap();
            [
                gradient(&|z| try_nt_xent(z, 0.2)),
                gradient(&|z| try_bank_softmax(z, &bank, &positives, 0.1)),
                gradient(&|z| try_bank_nce(z, &bank, &samples, 0.1, 200.0)),
            ]
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}
