//! Instance discrimination against a memory bank.

use dfdx::{
    shapes::HasShape,
    tensor::{Storage, Tape},
};

use super::{
    classification::recorded,
    contrast::{ContrastKernel, NceSamples, check_temperature},
};
use crate::NnError;
use crate::ops::shape::check_indices;
use crate::tensor::{Scalar, Tensor1, Tensor2};
use sndpipe_random::Rng;

/// One vector for each item of a data set: the running mean of the item's embeddings. No gradient flows into it.
///
/// Source: Wu, Xiong, Yu and Lin 2018, with the conventions of their published code.
#[derive(Debug, Clone)]
pub struct MemoryBank<D: Storage<f32>> {
    device: D,
    values: Tensor1<D>,
    entries: usize,
    width: usize,
}

impl<D: ContrastKernel> MemoryBank<D> {
    /// A bank with values uniform in `(-sqrt(3 / width), sqrt(3 / width))`, drawn from `seed`.
    pub fn new(device: D, entries: usize, width: usize, seed: u64) -> Result<Self, NnError> {
        let bound = (3.0 / width.max(1) as f64).sqrt();
        let mut rng = Rng::new(seed, "memory bank");
        let values = (0..entries * width).map(|_| rng.range(-bound, bound) as f32).collect();
        MemoryBank::from_values(device, values, width)
    }

    /// A bank with the values of another, row by row; see [`values`](MemoryBank::values).
    pub fn from_values(device: D, values: Vec<f32>, width: usize) -> Result<Self, NnError> {
        let length = values.len();
        if width == 0 || length == 0 || !length.is_multiple_of(width) {
            let expected = [length.div_ceil(width.max(1)).max(1), width.max(1)];
            return Err(NnError::shape("values of a memory bank", &expected, &[length]));
        }
        let values = device.try_tensor_from_vec(values, (length,)).map_err(NnError::kernel("memory bank"))?;
        Ok(MemoryBank { device, values, entries: length / width, width })
    }

    /// Number of vectors.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Length of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All vectors, one behind the other.
    pub fn values(&self) -> Vec<f32> {
        self.values.as_vec()
    }

    /// Moves entry `indices[k]` towards row `k` of `v` (n, width): `normalise(momentum entry + (1 - momentum) v_k)`.
    ///
    /// Rows come one after the other, so an index may be there twice. Fails where shapes differ, an entry does not exist or
    /// the momentum is outside [0, 1).
    pub fn update(&mut self, v: &Tensor2<D>, indices: &[usize], momentum: f64) -> Result<(), NnError> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(NnError::range("momentum", momentum, "in [0, 1)"));
        }
        self.check(v, indices, 1)?;
        let device = self.device.clone();
        device.bank_update(&mut self.values, v, indices, momentum).map_err(NnError::kernel("memory bank"))
    }

    /// The constant Z of [`try_bank_nce`], estimated from one batch: `entries()` times the mean of
    /// `exp(v entry / temperature)`.
    ///
    /// `v` is (n, width); `entries` has the same number of indices for each row, one row's behind the other's: its positive
    /// and its negatives. The published recipe takes the first batch of a training and keeps its Z.
    pub fn normaliser(&self, v: &Tensor2<D>, entries: &[usize], temperature: f64) -> Result<f64, NnError> {
        check_temperature(temperature)?;
        let each = entries.len() / v.shape().0.max(1);
        self.check(v, entries, each)?;
        self.device
            .bank_normaliser(v, &self.values, entries, temperature)
            .map_err(NnError::kernel("memory bank"))
    }

    /// Fails unless `v` is (n, width) and `indices` are n times `each` entries.
    fn check<T>(&self, v: &Tensor2<D, T>, indices: &[usize], each: usize) -> Result<(), NnError> {
        let (n, width) = *v.shape();
        if n == 0 || width != self.width {
            return Err(NnError::shape("embeddings for a memory bank", &[n.max(1), self.width], &[n, width]));
        }
        if each == 0 || indices.len() != n * each {
            return Err(NnError::shape("indices into a memory bank", &[n, each.max(1)], &[indices.len()]));
        }
        check_indices("indices", indices, self.entries)
    }
}

/// The non-parametric softmax: the mean of `-ln(exp(v b_i / temperature) / sum over all k of exp(v b_k / temperature))`.
///
/// `v` is (n, width), of length 1 each; `indices` names the entry `b_i` of each row. The gradient goes to `v` alone.
/// Fails where shapes differ, an entry does not exist or the temperature is not positive. Source: Wu et al. 2018.
pub fn try_bank_softmax<D: ContrastKernel, T: Tape<f32, D>>(
    v: Tensor2<D, T>,
    bank: &MemoryBank<D>,
    indices: &[usize],
    temperature: f64,
) -> Result<Scalar<D, T>, NnError> {
    check_temperature(temperature)?;
    bank.check(&v, indices, 1)?;
    recorded(v, |device, v| device.bank_softmax_forward(v, &bank.values, indices, temperature))
}

/// Noise-contrastive estimation of [`try_bank_softmax`], with m negatives for each embedding.
///
/// `v` is (n, width), of length 1 each. With `P(k) = exp(v b_k / temperature) / normaliser`, `N` entries and
/// `c = m/N + 1e-7` the loss is the mean over embeddings of
/// `-ln(P(i) / (P(i) + c)) - sum over negatives of ln((m/N) / (P(k) + c))`. The gradient goes to `v` alone.
/// Fails where shapes differ, an entry does not exist, or temperature or normaliser are not positive.
/// Source: Wu et al. 2018, with the constants of their published code; see [`MemoryBank::normaliser`].
pub fn try_bank_nce<D: ContrastKernel, T: Tape<f32, D>>(
    v: Tensor2<D, T>,
    bank: &MemoryBank<D>,
    samples: &NceSamples<'_>,
    temperature: f64,
    normaliser: f64,
) -> Result<Scalar<D, T>, NnError> {
    check_temperature(temperature)?;
    if !(normaliser > 0.0 && normaliser.is_finite()) {
        return Err(NnError::range("normaliser", normaliser, "positive"));
    }
    bank.check(&v, samples.positives, 1)?;
    bank.check(&v, samples.negatives, samples.negatives.len() / samples.positives.len())?;
    recorded(v, |device, v| device.bank_nce_forward(v, &bank.values, samples, temperature, normaliser))
}
