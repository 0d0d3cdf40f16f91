//! Losses that compare embeddings with each other.

use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, Tape},
};

use super::classification::{LossKernel, recorded};
use crate::ops::shape::check_indices;
use crate::{
    NnError,
    cpu::{self, contrast::Nce},
    tensor::{Buffer, Scalar, Tensor1, Tensor2},
};

/// Which entries of a memory bank a batch of n embeddings is compared with.
#[derive(Debug, Clone, Copy)]
pub struct NceSamples<'a> {
    /// The entry of each embedding.
    pub positives: &'a [usize],
    /// m entries for each embedding, drawn uniformly with replacement; one embedding's behind the other's.
    pub negatives: &'a [usize],
}

/// Kernels of the losses on embeddings and of the memory bank; shapes and indices are checked before they are called.
///
/// Each loss comes with its gradient with respect to the first operand.
pub trait ContrastKernel: LossKernel {
    /// [`try_nt_xent`].
    fn nt_xent_forward(
        &self,
        z: &Tensor2<Self>,
        temperature: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err>;

    /// [`try_triplet_hinge`].
    fn triplet_forward(
        &self,
        z: &Tensor2<Self>,
        triplets: &[[usize; 3]],
        margin: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err>;

    /// [`try_coincidence`].
    fn coincidence_forward(
        &self,
        logits: &Tensor2<Self>,
        clips: usize,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err>;

    /// [`try_bank_softmax`](super::try_bank_softmax).
    fn bank_softmax_forward(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        indices: &[usize],
        temperature: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err>;

    /// [`try_bank_nce`](super::try_bank_nce).
    fn bank_nce_forward(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        samples: &NceSamples<'_>,
        temperature: f64,
        normaliser: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err>;

    /// [`MemoryBank::normaliser`](super::MemoryBank::normaliser).
    fn bank_normaliser(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        entries: &[usize],
        temperature: f64,
    ) -> Result<f64, Self::Err>;

    /// [`MemoryBank::update`](super::MemoryBank::update).
    fn bank_update(
        &self,
        bank: &mut Tensor1<Self>,
        v: &Tensor2<Self>,
        indices: &[usize],
        momentum: f64,
    ) -> Result<(), Self::Err>;
}

/// Fails where a temperature is not above 0.
pub(super) fn check_temperature(temperature: f64) -> Result<(), NnError> {
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(());
    }
    Err(NnError::range("temperature", temperature, "positive"))
}

/// The normalised, temperature-scaled cross entropy of two views of each of n clips.
///
/// `z` is (2n, width): rows `i` and `n + i` are the views of clip `i`, all of length 1 (see
/// [`try_l2_normalise`](crate::ops::try_l2_normalise)). With `j` the other view of `i`, the loss is the mean over all 2n
/// rows of `-ln(exp(z_i z_j / temperature) / sum over v != i of exp(z_i z_v / temperature))`.
/// Fails where the rows are not an even number, at least 2, or the temperature is not positive.
/// Source: Chen, Kornblith, Norouzi and Hinton 2020.
pub fn try_nt_xent<D: ContrastKernel, T: Tape<f32, D>>(
    z: Tensor2<D, T>,
    temperature: f64,
) -> Result<Scalar<D, T>, NnError> {
    check_temperature(temperature)?;
    let (rows, width) = *z.shape();
    if rows == 0 || rows % 2 != 0 || width == 0 {
        let expected = [rows.next_multiple_of(2).max(2), width.max(1)];
        return Err(NnError::shape("embeddings of NT-Xent, an even number", &expected, &[rows, width]));
    }
    recorded(z, |device, z| device.nt_xent_forward(z, temperature))
}

/// The sum over triplets of `max(0, |z_a - z_p|^2 - |z_a - z_n|^2 + margin)`.
///
/// `z` is (rows, width), usually of length 1 each; a triplet names the rows of anchor, positive and negative, and a row may
/// have any part in any number of triplets. The derivative where the hinge is 0 is 0. Fails where a row does not exist or
/// the margin is negative. Source: Jansen et al. 2018, with squared distances as in Schroff, Kalenichenko and Philbin 2015.
pub fn try_triplet_hinge<D: ContrastKernel, T: Tape<f32, D>>(
    z: Tensor2<D, T>,
    triplets: &[[usize; 3]],
    margin: f64,
) -> Result<Scalar<D, T>, NnError> {
    if !(margin >= 0.0 && margin.is_finite()) {
        return Err(NnError::range("margin", margin, "not negative"));
    }
    check_indices("triplets", triplets.as_flattened(), z.shape().0)?;
    recorded(z, |device, z| device.triplet_forward(z, triplets, margin))
}

/// Coincidence prediction: binary cross entropy of all pairs of clips, matching and other pairs weighted equally.
///
/// `logits` has `clips^2` numbers; number `i clips + j` says whether clips `i` and `j` belong together, which is true for
/// `i = j` alone. With `p = sigmoid(logits)` the loss is
/// `-1/clips sum over i of ln p_ii - 1/(clips (clips - 1)) sum over i != j of ln(1 - p_ij)`.
/// Fails where there are fewer than two clips or other than `clips^2` numbers. Source: Jansen et al. 2020.
pub fn try_coincidence<D: ContrastKernel, T: Tape<f32, D>>(
    logits: Tensor2<D, T>,
    clips: usize,
) -> Result<Scalar<D, T>, NnError> {
    if clips < 2 {
        return Err(NnError::range("clips", clips, "at least 2"));
    }
    let (rows, cols) = *logits.shape();
    if rows * cols != clips * clips {
        return Err(NnError::shape("logits of all pairs", &[clips, clips], &[rows, cols]));
    }
    recorded(logits, |device, logits| device.coincidence_forward(logits, clips))
}

/// A loss and a gradient as tensors.
fn pair(
    device: &Cpu,
    (loss, gradient): (f64, Vec<f32>),
) -> Result<(Scalar<Cpu>, Buffer<Cpu>), <Cpu as dfdx::prelude::HasErr>::Err> {
    Ok((cpu::tensor(device, vec![loss as f32], ())?, cpu::buffer(device, gradient)?))
}

impl ContrastKernel for Cpu {
    fn nt_xent_forward(
        &self,
        z: &Tensor2<Self>,
        temperature: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        pair(self, cpu::contrast::nt_xent(&cpu::data(z), z.shape().1, temperature))
    }

    fn triplet_forward(
        &self,
        z: &Tensor2<Self>,
        triplets: &[[usize; 3]],
        margin: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        pair(self, cpu::contrast::triplet(&cpu::data(z), z.shape().1, triplets, margin))
    }

    fn coincidence_forward(
        &self,
        logits: &Tensor2<Self>,
        clips: usize,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        pair(self, cpu::contrast::coincidence(&cpu::data(logits), clips))
    }

    fn bank_softmax_forward(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        indices: &[usize],
        temperature: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let (values, bank) = (cpu::data(v), cpu::data(bank));
        pair(self, cpu::contrast::bank_softmax(&values, &bank, v.shape().1, indices, temperature))
    }

    fn bank_nce_forward(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        samples: &NceSamples<'_>,
        temperature: f64,
        normaliser: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let nce = Nce { positives: samples.positives, negatives: samples.negatives, temperature, normaliser };
        pair(self, cpu::contrast::bank_nce(&cpu::data(v), &cpu::data(bank), v.shape().1, &nce))
    }

    fn bank_normaliser(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        entries: &[usize],
        temperature: f64,
    ) -> Result<f64, Self::Err> {
        let (values, bank) = (cpu::data(v), cpu::data(bank));
        Ok(cpu::contrast::bank_normaliser(&values, &bank, v.shape().1, entries, temperature))
    }

    fn bank_update(
        &self,
        bank: &mut Tensor1<Self>,
        v: &Tensor2<Self>,
        indices: &[usize],
        momentum: f64,
    ) -> Result<(), Self::Err> {
        cpu::contrast::bank_update(cpu::data_mut(bank), &cpu::data(v), v.shape().1, indices, momentum);
        Ok(())
    }
}
