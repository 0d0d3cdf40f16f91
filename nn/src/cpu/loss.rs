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

/// The loss of a row from `ln p`, its targets `t` and room for `p dL/dp`.
pub(crate) type RowLoss<'a> = dyn Fn(&[f64], &[f32], &mut [f64]) -> f64 + 'a;

/// Losses of each row and their gradients, before a mean is taken.
pub(crate) struct Rows<'a> {
    losses: Vec<f64>,
    gradient: Vec<f64>,
    classes: usize,
    /// Which rows are clean; none where this is empty.
    clean: &'a [bool],
}

/// Above which loss a row is left out of its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// A share of the largest loss.
    ShareOfMaximum(f64),
    /// The median plus so many standard deviations of the population.
    Deviations(f64),
    /// The loss at this percentile, the lower one of two neighbours.
    Percentile(f64),
}

impl Rows<'_> {
    /// A loss of `p = softmax(x)` and the targets, row by row.
    ///
    /// `row(ln p, t, a)` gives the loss and sets `a` to `p dL/dp`; the gradient is `a - p sum(a)`. The loss of a clean row is
    /// its cross entropy.
    pub(crate) fn new<'a>(
        x: &[f32],
        targets: &[f32],
        classes: usize,
        clean: &'a [bool],
        row: &RowLoss<'_>,
    ) -> Rows<'a> {
        let (mut losses, mut gradient) = (Vec::with_capacity(x.len() / classes), vec![0.0; x.len()]);
        let mut log_p = vec![0.0; classes];
        let samples = x.chunks_exact(classes).zip(targets.chunks_exact(classes));
        for (i, ((x, t), a)) in samples.zip(gradient.chunks_exact_mut(classes)).enumerate() {
            let norm = log_sum_exp(x);
            for (log_p, &x) in log_p.iter_mut().zip(x) {
                *log_p = f64::from(x) - norm;
            }
            let is_clean = clean.get(i).copied().unwrap_or(false);
            losses.push(if is_clean { cross_entropy(&log_p, t, a) } else { row(&log_p, t, a) });
            let sum: f64 = a.iter().sum();
            for (a, log_p) in a.iter_mut().zip(&log_p) {
                *a -= log_p.exp() * sum;
            }
        }
        Rows { losses, gradient, classes, clean }
    }

    /// Makes losses above the limit, and their gradients, zero; returns how many rows are kept. Clean rows are kept, and the
    /// limit is that of the others. A row that is not finite must not disappear: then all are kept.
    pub(crate) fn leave_out(&mut self, limit: Limit) -> usize {
        if self.losses.iter().any(|l| !l.is_finite()) {
            return self.losses.len();
        }
        let is_clean = |i: usize| self.clean.get(i).copied().unwrap_or(false);
        let others = self.losses.iter().enumerate().filter(|(i, _)| !is_clean(*i));
        let others: Vec<f64> = others.map(|(_, loss)| *loss).collect();
        if others.is_empty() {
            return self.losses.len();
        }
        let limit = limit.of(&others);
        let mut kept = 0;
        let rows = self.losses.iter_mut().zip(self.gradient.chunks_exact_mut(self.classes));
        for (i, (loss, gradient)) in rows.enumerate() {
            if *loss > limit && !is_clean(i) {
                *loss = 0.0;
                gradient.fill(0.0);
            } else {
                kept += 1;
            }
        }
        kept
    }

    /// The mean over all rows.
    pub(crate) fn mean(self) -> (f64, Vec<f32>) {
        let count = self.losses.len();
        self.mean_over(count)
    }

    /// The sum over `count`, or over 1 where that is 0.
    pub(crate) fn mean_over(self, count: usize) -> (f64, Vec<f32>) {
        let count = count.max(1) as f64;
        let loss = self.losses.iter().sum::<f64>() / count;
        (loss, self.gradient.iter().map(|g| (g / count) as f32).collect())
    }
}

impl Limit {
    fn of(self, losses: &[f64]) -> f64 {
        let mut sorted = losses.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len() - 1;
        match self {
            Limit::ShareOfMaximum(share) => share * sorted[last],
            Limit::Deviations(deviations) => {
                let median = (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0;
                let count = losses.len() as f64;
                let mean = losses.iter().sum::<f64>() / count;
                let variance = losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / count;
                median + deviations * variance.sqrt()
            }
            Limit::Percentile(percentile) => sorted[(percentile / 100.0 * last as f64).floor() as usize],
        }
    }
}

/// `-sum t ln p`.
pub(crate) fn cross_entropy(log_p: &[f64], t: &[f32], a: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for ((log_p, &t), a) in log_p.iter().zip(t).zip(a) {
        *a = -f64::from(t);
        if t != 0.0 {
            loss -= f64::from(t) * log_p;
        }
    }
    loss
}

/// `sum |p - t|`.
pub(crate) fn absolute_error(log_p: &[f64], t: &[f32], a: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for ((log_p, &t), a) in log_p.iter().zip(t).zip(a) {
        let (p, t) = (log_p.exp(), f64::from(t));
        *a = if p > t { p } else { -p };
        loss += (p - t).abs();
    }
    loss
}

/// `sum t (1 - (p + 1e-8)^q) / q`.
pub(crate) fn generalised(q: f64) -> impl Fn(&[f64], &[f32], &mut [f64]) -> f64 {
    move |log_p, t, a| {
        let mut loss = 0.0;
        for ((log_p, &t), a) in log_p.iter().zip(t).zip(a) {
            let (p, t) = (log_p.exp(), f64::from(t));
            let log = (p + 1e-8).ln();
            *a = -t * p * ((q - 1.0) * log).exp();
            loss -= t * (q * log).exp_m1() / q;
        }
        loss
    }
}

/// `-sum (beta t + (1 - beta) p) ln max(p, 1e-7)`.
pub(crate) fn soft_bootstrap(beta: f64) -> impl Fn(&[f64], &[f32], &mut [f64]) -> f64 {
    let floor = 1e-7f64.ln();
    move |log_p, t, a| {
        let mut loss = 0.0;
        for ((&log_p, &t), a) in log_p.iter().zip(t).zip(a) {
            let p = log_p.exp();
            let target = beta * f64::from(t) + (1.0 - beta) * p;
            let (log, slope) = if log_p < floor { (floor, 0.0) } else { (log_p, target) };
            *a = -(1.0 - beta) * p * log - slope;
            loss -= target * log;
        }
        loss
    }
}

/// Moves the share `epsilons[c]` of every label `c` to all classes, evenly.
pub(crate) fn smooth(targets: &mut [f32], epsilons: &[f64]) {
    let classes = epsilons.len();
    for t in targets.chunks_exact_mut(classes) {
        let given: f64 = t.iter().zip(epsilons).map(|(&t, e)| e * f64::from(t)).sum();
        for (t, e) in t.iter_mut().zip(epsilons) {
            *t = ((1.0 - e) * f64::from(*t) + given / classes as f64) as f32;
        }
    }
}

/// `ln(1 + exp(x))` and its derivative sigmoid(x), neither of which overflows.
pub(crate) fn softplus(x: f64) -> (f64, f64) {
    let small = (-x.abs()).exp();
    // `f64::max` would hide a NaN.
    let positive = if x < 0.0 { 0.0 } else { x };
    let sigmoid = if x < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) };
    (positive + small.ln_1p(), sigmoid)
}

/// Binary cross entropy of sigmoid(x), the mean over all elements, and its gradient; negative terms are weighted by
/// `mask`.
///
/// Per element `softplus(x) - x t - (1 - m) (1 - t) softplus(x)`.
pub(crate) fn binary_cross_entropy(
    x: &[f32],
    targets: &[f32],
    mask: impl Iterator<Item = f64>,
) -> (f64, Vec<f32>) {
    let count = x.len() as f64;
    let mut loss = 0.0;
    let gradient = x
        .iter()
        .zip(targets)
        .zip(mask)
        .map(|((&x, &t), m)| {
            let (x, t) = (f64::from(x), f64::from(t));
            let (plus, sigmoid) = softplus(x);
            let masked = (1.0 - m) * (1.0 - t);
            loss += plus - x * t - masked * plus;
            ((sigmoid - t - masked * sigmoid) / count) as f32
        })
        .collect();
    (loss / count, gradient)
}
