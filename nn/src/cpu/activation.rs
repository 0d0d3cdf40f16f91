//! Sigmoid, hyperbolic tangent and parametric ReLU, without calls into the mathematics library.

use rayon::prelude::*;

use super::elementwise::CHUNK;
use super::zeros::filled;
use sndpipe_linalg::multiversion;

/// `exp(x)` for `x <= 0`, within two units in the last place; below -87 the value there, 1.6e-38.
///
/// `x = n ln 2 + r`, a polynomial in `r`, and `2^n` from the bits of a sum whose last bits are `n`. Plain arithmetic, so
/// that loops over it vectorise and give the same bits everywhere. Source: the Cephes library, `expf`.
#[inline(always)]
fn exp_negative(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    // A NaN passes.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1f32.to_bits()));
    (p * r * r + r + 1.0) * power
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let small = exp_negative(-x.abs());
    let top = if x < 0.0 { small } else { 1.0 };
    top / (1.0 + small)
}

/// The hyperbolic tangent; a polynomial near 0, where the quotient would cancel. Source: the Cephes library, `tanhf`.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let small = exp_negative(-2.0 * x.abs());
    let far = ((1.0 - small) / (1.0 + small)).copysign(x);
    let square = x * x;
    let mut p = -5.704_988_7e-3;
    for coefficient in [2.063_908_8e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = p * square + coefficient;
    }
    let near = p * square * x + x;
    if x.abs() < 0.625 { near } else { far }
}

multiversion! {
    fn sigmoid_chunk(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = sigmoid(x);
        }
    }
}

multiversion! {
    fn sigmoid_backward_chunk(y: &[f32], g: &mut [f32]) {
        for (g, &y) in g.iter_mut().zip(y) {
            *g *= y * (1.0 - y);
        }
    }
}

multiversion! {
    fn tanh_chunk(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = tanh(x);
        }
    }
}

multiversion! {
    fn tanh_backward_chunk(y: &[f32], g: &mut [f32]) {
        for (g, &y) in g.iter_mut().zip(y) {
            *g *= 1.0 - y * y;
        }
    }
}

fn map(x: &[f32], chunk: fn(&[f32], &mut [f32])) -> Vec<f32> {
    filled(x.len(), CHUNK, |i, y| chunk(&x[i * CHUNK..][..y.len()], y))
}

fn update(y: &[f32], gradient: &mut [f32], chunk: fn(&[f32], &mut [f32])) {
    gradient.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(g, y)| chunk(y, g));
}

/// `y = sigmoid(x)`.
pub(crate) fn sigmoid_forward(x: &[f32]) -> Vec<f32> {
    map(x, sigmoid_chunk)
}

/// Multiplies the gradient by `y (1 - y)`.
pub(crate) fn sigmoid_backward(y: &[f32], gradient: &mut [f32]) {
    update(y, gradient, sigmoid_backward_chunk);
}

/// `y = tanh(x)`.
pub(crate) fn tanh_forward(x: &[f32]) -> Vec<f32> {
    map(x, tanh_chunk)
}

/// Multiplies the gradient by `1 - y^2`.
pub(crate) fn tanh_backward(y: &[f32], gradient: &mut [f32]) {
    update(y, gradient, tanh_backward_chunk);
}

multiversion! {
    fn prelu_chunk(x: &[f32], slopes: &[f32], y: &mut [f32]) {
        let channels = slopes.len();
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for c in 0..channels {
                y[c] = if x[c] > 0.0 { x[c] } else { x[c] * slopes[c] };
            }
        }
    }
}

multiversion! {
    fn prelu_backward_chunk(x: &[f32], slopes: &[f32], g: &mut [f32], sums: &mut [f64]) {
        let channels = slopes.len();
        let sums = &mut sums[..channels];
        for (x, g) in x.chunks_exact(channels).zip(g.chunks_exact_mut(channels)) {
            for c in 0..channels {
                let open = x[c] > 0.0;
                let product = g[c] * x[c];
                sums[c] += f64::from(if open { 0.0 } else { product });
                g[c] *= if open { 1.0 } else { slopes[c] };
            }
        }
    }
}

/// One slope for each channel, from one for each or one for all.
fn slopes(weight: &[f32], channels: usize) -> Vec<f32> {
    (0..channels).map(|c| weight[if weight.len() == 1 { 0 } else { c }]).collect()
}

/// Numbers of a whole number of positions, about [`CHUNK`].
fn positions(channels: usize) -> usize {
    CHUNK.div_ceil(channels) * channels
}

/// `y = x` where it is above 0, else the channel's slope times `x`.
pub(crate) fn prelu(x: &[f32], weight: &[f32], channels: usize) -> Vec<f32> {
    let slopes = slopes(weight, channels);
    let size = positions(channels);
    filled(x.len(), size, |i, y| prelu_chunk(&x[i * size..][..y.len()], &slopes, y))
}

/// Turns the gradient of the output of [`prelu`] into that of the input; returns that of the weight.
pub(crate) fn prelu_backward(x: &[f32], weight: &[f32], channels: usize, gradient: &mut [f32]) -> Vec<f32> {
    let slopes = slopes(weight, channels);
    let size = positions(channels);
    let partials: Vec<Vec<f64>> = gradient
        .par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .map(|(g, x)| {
            let mut sums = vec![0.0; channels];
            prelu_backward_chunk(x, &slopes, g, &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0.0; weight.len()];
    for partial in partials {
        for (c, sum) in partial.into_iter().enumerate() {
            total[if weight.len() == 1 { 0 } else { c }] += sum;
        }
    }
    total.into_iter().map(|v: f64| v as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_mathematics_library() {
        for i in -200_000..=200_000 {
            let x = i as f32 * 5e-4;
            let wide = f64::from(x);
            if x <= 0.0 && x > -87.0 {
                let relative = f64::from(exp_negative(x)) / wide.exp() - 1.0;
                assert!(relative.abs() < 2.4e-7, "exp({x}): {relative}");
            }
            let far = (f64::from(sigmoid(x)) - 1.0 / (1.0 + (-wide).exp())).abs();
            assert!(far < 1.2e-7, "sigmoid({x}): {far}");
            let expected = wide.tanh();
            let far = (f64::from(tanh(x)) - expected).abs();
            assert!(far <= 2.4e-7 * expected.abs(), "tanh({x}): {far}");
        }
        for x in [f32::INFINITY, 1e30] {
            assert_eq!((sigmoid(x), tanh(x), tanh(-x)), (1.0, 1.0, -1.0));
            assert!(sigmoid(-x) < 1e-37);
        }
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!(tanh(1e-20), 1e-20);
    }
}
