//! Losses on embeddings: values and gradients in one pass, sums and exponentials in f64.

use rayon::prelude::*;

use super::loss::softplus;
use sndpipe_linalg::{Layout, matmul};

/// Embeddings that a thread compares at a time.
const ROWS: usize = 16;

/// Cross entropy of `softmax(scores / temperature)` and the index `positive`, without the index `left_out`.
///
/// Returns the loss and turns the scores into `share` times their gradient.
fn instance_row(
    scores: &mut [f32],
    temperature: f64,
    positive: usize,
    left_out: Option<usize>,
    share: f64,
) -> f64 {
    let scaled = |s: f32| f64::from(s) / temperature;
    let value = scaled(scores[positive]);
    if let Some(index) = left_out {
        scores[index] = f32::NEG_INFINITY;
    }
    let top = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(scaled(s)));
    let sum: f64 = scores.iter().map(|&s| (scaled(s) - top).exp()).sum();
    let norm = top + sum.ln();
    let factor = share / temperature;
    for s in scores.iter_mut() {
        *s = (factor * (scaled(*s) - norm).exp()) as f32;
    }
    scores[positive] = (factor * ((value - norm).exp() - 1.0)) as f32;
    norm - value
}

/// NT-Xent of 2n embeddings, of which `i` and `n + i` are views of the same, and its gradient.
pub(crate) fn nt_xent(z: &[f32], width: usize, temperature: f64) -> (f64, Vec<f32>) {
    let count = z.len() / width;
    let all = Layout::row_major(count, width);
    let mut slopes = vec![0.0; count * count];
    let losses: Vec<f64> = slopes
        .par_chunks_mut(ROWS * count)
        .zip(z.par_chunks(ROWS * width))
        .enumerate()
        .map(|(piece, (scores, part))| {
            let rows = part.len() / width;
            let out = Layout::row_major(rows, count);
            matmul((part, Layout::row_major(rows, width)), (z, all.t()), (scores, out), false);
            let rows = scores.chunks_exact_mut(count).enumerate();
            rows.map(|(row, scores)| {
                let row = piece * ROWS + row;
                let positive = (row + count / 2) % count;
                instance_row(scores, temperature, positive, Some(row), 1.0 / count as f64)
            })
            .sum()
        })
        .collect();
    let mut gradient = vec![0.0; z.len()];
    gradient.par_chunks_mut(ROWS * width).enumerate().for_each(|(piece, out)| {
        let rows = out.len() / width;
        let layout = Layout::row_major(rows, width);
        let start = piece * ROWS;
        let part = Layout::row_major(rows, count);
        matmul((&slopes[start * count..], part), (z, all), (&mut *out, layout), false);
        let transposed = Layout { rows, cols: count, row_stride: 1, col_stride: count };
        matmul((&slopes[start..], transposed), (z, all), (out, layout), true);
    });
    (losses.iter().sum::<f64>() / count as f64, gradient)
}

/// Mean cross entropy of `softmax(v bank^T / temperature)` and the indices, and the gradient of `v`.
pub(crate) fn bank_softmax(
    v: &[f32],
    bank: &[f32],
    width: usize,
    indices: &[usize],
    temperature: f64,
) -> (f64, Vec<f32>) {
    let entries = bank.len() / width;
    let all = Layout::row_major(entries, width);
    let share = 1.0 / indices.len() as f64;
    let mut gradient = vec![0.0; v.len()];
    let losses: Vec<f64> = gradient
        .par_chunks_mut(ROWS * width)
        .zip(v.par_chunks(ROWS * width))
        .zip(indices.par_chunks(ROWS))
        .map(|((gradient, v), indices)| {
            let rows = indices.len();
            let (part, out) = (Layout::row_major(rows, width), Layout::row_major(rows, entries));
            let mut scores = vec![0.0; rows * entries];
            matmul((v, part), (bank, all.t()), (&mut scores, out), false);
            let pairs = scores.chunks_exact_mut(entries).zip(indices);
            let loss = pairs.map(|(scores, &i)| instance_row(scores, temperature, i, None, share)).sum();
            matmul((&scores, out), (bank, all), (gradient, part), false);
            loss
        })
        .collect();
    (losses.iter().sum::<f64>() * share, gradient)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// What noise-contrastive estimation needs beside embeddings and bank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nce<'a> {
    /// The entry of each embedding.
    pub(crate) positives: &'a [usize],
    /// The same number of entries for each embedding.
    pub(crate) negatives: &'a [usize],
    pub(crate) temperature: f64,
    /// Z.
    pub(crate) normaliser: f64,
}

/// The NCE loss of the embeddings, its mean, and the gradient of `v`.
///
/// With `c = m/n + 1e-7` the terms are `ln(P / (P + c))` and `ln(m/n / (P + c))`, both by softplus of `ln P - ln c`.
pub(crate) fn bank_nce(v: &[f32], bank: &[f32], width: usize, nce: &Nce<'_>) -> (f64, Vec<f32>) {
    let count = nce.positives.len();
    let drawn = nce.negatives.len() / count;
    let noise = drawn as f64 / (bank.len() / width) as f64;
    let share = 1.0 / count as f64;
    let offset = nce.normaliser.ln() + (noise + 1e-7).ln();
    // ln((m/n) / c), a constant of every negative.
    let constant = (noise / (noise + 1e-7)).ln();
    let mut gradient = vec![0.0; v.len()];
    let losses: Vec<f64> = gradient
        .par_chunks_mut(width)
        .zip(v.par_chunks(width))
        .zip(nce.negatives.par_chunks(drawn))
        .zip(nce.positives)
        .map(|(((gradient, v), negatives), &positive)| {
            let mut sum = vec![0.0f64; width];
            let mut visit = |index: usize, is_positive: bool| {
                let entry = &bank[index * width..][..width];
                let log = dot(v, entry) / nce.temperature - offset;
                let (plus, slope) = softplus(if is_positive { -log } else { log });
                let slope = if is_positive { -slope } else { slope } * share / nce.temperature;
                for (sum, &e) in sum.iter_mut().zip(entry) {
                    *sum += slope * f64::from(e);
                }
                if is_positive { plus } else { plus - constant }
            };
            let mut loss = visit(positive, true);
            for &negative in negatives {
                loss += visit(negative, false);
            }
            for (g, sum) in gradient.iter_mut().zip(sum) {
                *g = sum as f32;
            }
            loss
        })
        .collect();
    (losses.iter().sum::<f64>() * share, gradient)
}

/// The mean of `exp(v bank / temperature)` over the entries of each embedding, times the entries of the bank.
pub(crate) fn bank_normaliser(
    v: &[f32],
    bank: &[f32],
    width: usize,
    entries: &[usize],
    temperature: f64,
) -> f64 {
    let drawn = entries.len() / (v.len() / width);
    let sums: Vec<f64> = v
        .par_chunks(width)
        .zip(entries.par_chunks(drawn))
        .map(|(v, entries)| {
            let terms = entries.iter().map(|&i| (dot(v, &bank[i * width..][..width]) / temperature).exp());
            terms.sum()
        })
        .collect();
    sums.iter().sum::<f64>() / entries.len() as f64 * (bank.len() / width) as f64
}

/// `bank[i] = normalise(momentum bank[i] + (1 - momentum) v)`, embedding by embedding.
pub(crate) fn bank_update(bank: &mut [f32], v: &[f32], width: usize, indices: &[usize], momentum: f64) {
    for (v, &index) in v.chunks_exact(width).zip(indices) {
        let entry = &mut bank[index * width..][..width];
        let mixed: Vec<f64> = entry
            .iter()
            .zip(v)
            .map(|(&e, &v)| momentum * f64::from(e) + (1.0 - momentum) * f64::from(v))
            .collect();
        let norm = mixed.iter().map(|m| m * m).sum::<f64>().sqrt().max(1e-12);
        for (e, m) in entry.iter_mut().zip(mixed) {
            *e = (m / norm) as f32;
        }
    }
}

/// The sum over triplets (anchor, positive, negative) of `max(0, |a - p|^2 - |a - n|^2 + margin)`, and its gradient.
pub(crate) fn triplet(z: &[f32], width: usize, triplets: &[[usize; 3]], margin: f64) -> (f64, Vec<f32>) {
    let (mut loss, mut gradient) = (0.0, vec![0.0f64; z.len()]);
    let row = |index: usize| z[index * width..][..width].iter().map(|&v| f64::from(v));
    let distance = |i, j| row(i).zip(row(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    for &[anchor, positive, negative] in triplets {
        let hinge = distance(anchor, positive) - distance(anchor, negative) + margin;
        // A NaN passes.
        if hinge <= 0.0 {
            continue;
        }
        loss += hinge;
        for (k, ((a, p), n)) in row(anchor).zip(row(positive)).zip(row(negative)).enumerate() {
            gradient[anchor * width + k] += 2.0 * (n - p);
            gradient[positive * width + k] -= 2.0 * (a - p);
            gradient[negative * width + k] += 2.0 * (a - n);
        }
    }
    (loss, gradient.iter().map(|&g| g as f32).collect())
}

/// Balanced binary cross entropy of the logits of all pairs of `clips` clips, and its gradient.
pub(crate) fn coincidence(x: &[f32], clips: usize) -> (f64, Vec<f32>) {
    let matching = 1.0 / clips as f64;
    let other = 1.0 / (clips * (clips - 1)) as f64;
    let mut loss = 0.0;
    let gradient = x
        .iter()
        .enumerate()
        .map(|(pair, &x)| {
            let x = f64::from(x);
            let slope = if pair / clips == pair % clips {
                let (plus, slope) = softplus(-x);
                loss += matching * plus;
                -matching * slope
            } else {
                let (plus, slope) = softplus(x);
                loss += other * plus;
                other * slope
            };
            slope as f32
        })
        .collect();
    (loss, gradient)
}
