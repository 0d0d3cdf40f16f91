//! Losses on embeddings, and the memory bank.

use cudarc::driver::CudaSlice;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cuda, CudaError},
};

use super::{
    context::{Context, Launch, Matrix, launch},
    loss::{partial_sums, total},
    memory::{buffer, copy, data, data_of, open, scratch, tensor, upload_indices},
    pointer::Pointer,
};
use crate::{
    ops::{ContrastKernel, NceSamples},
    tensor::{Buffer, Scalar, Tensor1, Tensor2},
};

/// The product of each of `rows` embeddings with each of its entries of the bank, one embedding's behind the other's.
fn bank_products(
    gpu: &Context,
    (v, bank): (Pointer, Pointer),
    width: usize,
    rows: usize,
    entries: &CudaSlice<u32>,
) -> Result<CudaSlice<f64>, CudaError> {
    let count = cudarc::driver::DeviceSlice::len(entries);
    let products = scratch::<f64>(gpu, count)?;
    let (blocks, to) = (Launch::rows(count, width), data_of(&products));
    launch!(gpu, "bank_products", blocks, v, bank, width, count / rows, data_of(entries), to)?;
    Ok(products)
}

impl ContrastKernel for Cuda {
    fn nt_xent_forward(
        &self,
        z: &Tensor2<Self>,
        temperature: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), (count, width)) = (open(z)?, *z.shape());
        let ((loss, loss_at), (gradient, to)) = (tensor(self, ())?, buffer(self, &gpu, count * width)?);
        let (scores, losses) = (scratch::<f32>(&gpu, count * count)?, scratch::<f64>(&gpu, count)?);
        let (scores_at, losses_at) = (data_of(&scores), data_of(&losses));
        let (z, s, g) = (Matrix::new(from, width), Matrix::new(scores_at, count), Matrix::new(to, width));
        gpu.matmul((z, z.t(), s), (count, count, width), 0.0)?;
        let (blocks, none, share) = (Launch::rows(count, count), Pointer::NULL, 1.0 / count as f64);
        launch!(gpu, "instance_rows", blocks, count, temperature, none, share, scores_at, losses_at)?;
        gpu.matmul((s, z, g), (count, width, count), 0.0)?;
        gpu.matmul((s.t(), z, g), (count, width, count), 1.0)?;
        total(&gpu, (losses_at, count), share, loss_at)?;
        Ok((loss, gradient))
    }

    fn triplet_forward(
        &self,
        z: &Tensor2<Self>,
        triplets: &[[usize; 3]],
        margin: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), (rows, width)) = (open(z)?, *z.shape());
        let (n, count) = (rows * width, triplets.len());
        let ((loss, loss_at), (gradient, to)) = (tensor(self, ())?, buffer(self, &gpu, n)?);
        let indices = upload_indices(&gpu, triplets.as_flattened())?;
        let hinges = scratch::<f64>(&gpu, count)?;
        let (at, indices_at, blocks) = (data_of(&hinges), data_of(&indices), Launch::rows(count, width));
        launch!(gpu, "triplet_hinges", blocks, from, width, indices_at, margin, at)?;
        launch!(gpu, "triplet_gradient", Launch::each(n), from, n, width, indices_at, count, at, to)?;
        total(&gpu, (at, count), 1.0, loss_at)?;
        Ok((loss, gradient))
    }

    fn coincidence_forward(
        &self,
        logits: &Tensor2<Self>,
        clips: usize,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), n) = (open(logits)?, logits.shape().num_elements());
        let ((loss, loss_at), (gradient, to)) = (tensor(self, ())?, buffer(self, &gpu, n)?);
        let (count, parts) = partial_sums(&gpu, n)?;
        let at = data_of(&parts);
        launch!(gpu, "coincidence", Launch::blocks(count), from, n, clips, at, to)?;
        total(&gpu, (at, count), 1.0, loss_at)?;
        Ok((loss, gradient))
    }

    fn bank_softmax_forward(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        indices: &[usize],
        temperature: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), (rows, width)) = (open(v)?, *v.shape());
        let entries = bank.shape().0 / width;
        let ((loss, loss_at), (gradient, to)) = (tensor(self, ())?, buffer(self, &gpu, rows * width)?);
        let (scores, losses) = (scratch::<f32>(&gpu, rows * entries)?, scratch::<f64>(&gpu, rows)?);
        let (scores_at, losses_at) = (data_of(&scores), data_of(&losses));
        let (v, b, s) =
            (Matrix::new(from, width), Matrix::new(data(bank)?, width), Matrix::new(scores_at, entries));
        gpu.matmul((v, b.t(), s), (rows, entries, width), 0.0)?;
        let (indices, share) = (upload_indices(&gpu, indices)?, 1.0 / rows as f64);
        let (blocks, at) = (Launch::rows(rows, entries), data_of(&indices));
        launch!(gpu, "instance_rows", blocks, entries, temperature, at, share, scores_at, losses_at)?;
        gpu.matmul((s, b, Matrix::new(to, width)), (rows, width, entries), 0.0)?;
        total(&gpu, (losses_at, rows), share, loss_at)?;
        Ok((loss, gradient))
    }

    fn bank_nce_forward(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        samples: &NceSamples<'_>,
        temperature: f64,
        normaliser: f64,
    ) -> Result<(Scalar<Self>, Buffer<Self>), Self::Err> {
        let ((gpu, from), (rows, width)) = (open(v)?, *v.shape());
        let (n, bank_at) = (rows * width, data(bank)?);
        let ((loss, loss_at), (gradient, to)) = (tensor(self, ())?, buffer(self, &gpu, n)?);
        let drawn = samples.negatives.len() / rows;
        let each = drawn + 1;
        let negatives = samples.negatives.chunks(drawn.max(1));
        let pairs = samples.positives.iter().zip(negatives);
        let entries: Vec<usize> = pairs
            .flat_map(|(&positive, negatives)| std::iter::once(positive).chain(negatives.iter().copied()))
            .collect();
        let (entries, count) = (upload_indices(&gpu, &entries)?, entries.len());
        let products = bank_products(&gpu, (from, bank_at), width, rows, &entries)?;
        let losses = scratch::<f64>(&gpu, count)?;
        let (at, losses_at) = (data_of(&products), data_of(&losses));
        // As on the CPU: `c = m/n + 1e-7`, and `ln((m/n) / c)` is a constant of every negative.
        let noise = drawn as f64 / (bank.shape().0 / width) as f64;
        let offset = normaliser.ln() + (noise + 1e-7).ln();
        let (constant, share) = ((noise / (noise + 1e-7)).ln(), 1.0 / rows as f64);
        launch!(
            gpu,
            "bank_nce_terms",
            Launch::each(count),
            count,
            each,
            temperature,
            offset,
            constant,
            share,
            at,
            losses_at,
        )?;
        let indices = data_of(&entries);
        launch!(gpu, "bank_nce_gradient", Launch::each(n), at, bank_at, indices, n, width, each, to)?;
        total(&gpu, (losses_at, count), share, loss_at)?;
        Ok((loss, gradient))
    }

    fn bank_normaliser(
        &self,
        v: &Tensor2<Self>,
        bank: &Tensor1<Self>,
        entries: &[usize],
        temperature: f64,
    ) -> Result<f64, Self::Err> {
        let ((gpu, from), (rows, width)) = (open(v)?, *v.shape());
        let (indices, count) = (upload_indices(&gpu, entries)?, entries.len());
        let products = bank_products(&gpu, (from, data(bank)?), width, rows, &indices)?;
        launch!(gpu, "bank_exponentials", Launch::each(count), count, temperature, data_of(&products))?;
        let terms = gpu.device().dtoh_sync_copy(&products)?;
        Ok(terms.iter().sum::<f64>() / count as f64 * (bank.shape().0 / width) as f64)
    }

    fn bank_update(
        &self,
        bank: &mut Tensor1<Self>,
        v: &Tensor2<Self>,
        indices: &[usize],
        momentum: f64,
    ) -> Result<(), Self::Err> {
        let ((gpu, from), (rows, width)) = (open(v)?, *v.shape());
        let indices = upload_indices(&gpu, indices)?;
        // A clone of the bank may share its values.
        let ((new, to), n) = (tensor(self, *bank.shape())?, bank.shape().0);
        copy(&gpu, data(bank)?, to, n)?;
        let at = data_of(&indices);
        launch!(gpu, "bank_update", Launch::rows(1, width), from, at, rows, width, momentum, to)?;
        *bank = new;
        Ok(())
    }
}
