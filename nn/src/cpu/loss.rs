//! Losses on logits, in f64 per element: values and gradients in one pass.

/// Logarithms of the softmax of each row.
pub(crate) fn log_softmax(x: &[f32], classes: usize) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    for (x, y) in x.chunks_exact(classes).zip(y.chunks_exact_mut(classes)) {
        let norm = log_sum_exp(x);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = (f64::from(x) - norm) as f32;
        }
    }
    y
}

/// `ln(sum(exp(x)))`, shifted by the maximum.
fn log_sum_exp(x: &[f32]) -> f64 {
    let top = x.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(f64::from(v)));
    top + x.iter().map(|&v| (f64::from(v) - top).exp()).sum::<f64>().ln()
}

/// The input's gradient of [`log_softmax`]: `g - softmax(x) sum(g)`, in place.
pub(crate) fn log_softmax_backward(y: &[f32], gradient: &mut [f32], classes: usize) {
    let rows = y.chunks_exact(classes).zip(gradient.chunks_exact_mut(classes));
    for (y, g) in rows {
        let sum: f64 = g.iter().map(|&g| f64::from(g)).sum();
        for (g, &y) in g.iter_mut().zip(y) {
            *g = (f64::from(*g) - f64::from(y).exp() * sum) as f32;
        }
    }
}

/// Cross entropy with any target distribution: the mean over rows of `-sum(t * log_softmax(x))`, and its gradient.
pub(crate) fn cross_entropy(x: &[f32], targets: &[f32], classes: usize) -> (f64, Vec<f32>) {
    let rows = x.len() / classes;
    let mut gradient = vec![0.0; x.len()];
    let mut loss = 0.0;
    for ((x, t), g) in
        x.chunks_exact(classes).zip(targets.chunks_exact(classes)).zip(gradient.chunks_exact_mut(classes))
    {
        let norm = log_sum_exp(x);
        let mass: f64 = t.iter().map(|&t| f64::from(t)).sum();
        for ((&x, &t), g) in x.iter().zip(t).zip(g) {
            let log_p = f64::from(x) - norm;
            if t != 0.0 {
                loss -= f64::from(t) * log_p;
            }
            *g = ((mass * log_p.exp() - f64::from(t)) / rows as f64) as f32;
        }
    }
    (loss / rows as f64, gradient)
}

/// Binary cross entropy of sigmoid(x), the mean over all elements, and its gradient.
///
/// Per element `max(x, 0) - x t + ln(1 + exp(-|x|))`, which neither overflows nor cancels.
pub(crate) fn binary_cross_entropy(x: &[f32], targets: &[f32]) -> (f64, Vec<f32>) {
    let count = x.len() as f64;
    let mut loss = 0.0;
    let gradient = x
        .iter()
        .zip(targets)
        .map(|(&x, &t)| {
            let (x, t) = (f64::from(x), f64::from(t));
            let small = (-x.abs()).exp();
            // `f64::max` would hide a NaN.
            let positive = if x < 0.0 { 0.0 } else { x };
            loss += positive - x * t + small.ln_1p();
            let sigmoid = if x < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) };
            ((sigmoid - t) / count) as f32
        })
        .collect();
    (loss / count, gradient)
}
