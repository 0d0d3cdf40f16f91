//! Filters whose taps are a softmax.

/// The softmax of every `taps` neighbouring numbers.
pub(crate) fn tap_softmax(weight: &[f32], taps: usize) -> Vec<f32> {
    let mut filter = Vec::with_capacity(weight.len());
    for weight in weight.chunks_exact(taps) {
        let most = weight.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = weight.iter().map(|&w| f64::from(w - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        filter.extend(powers.iter().map(|p| (p / sum) as f32));
    }
    filter
}

/// The weight's gradient of [`tap_softmax`]: `f (g - sum(f g))`, in place.
pub(crate) fn tap_softmax_backward(filter: &[f32], taps: usize, gradient: &mut [f32]) {
    for (filter, gradient) in filter.chunks_exact(taps).zip(gradient.chunks_exact_mut(taps)) {
        let mean: f64 = filter.iter().zip(&*gradient).map(|(&f, &g)| f64::from(f) * f64::from(g)).sum();
        for (g, &f) in gradient.iter_mut().zip(filter) {
            *g = (f64::from(f) * (f64::from(*g) - mean)) as f32;
        }
    }
}
