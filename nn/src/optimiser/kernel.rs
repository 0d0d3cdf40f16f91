//! What an optimiser does to one parameter.

use dfdx::tensor::Cpu;
use rayon::prelude::*;

use super::VerdictKernel;
use crate::cpu::elementwise::CHUNK;
use crate::cpu::{self};
use crate::tensor::{Buffer, Tensor1};
use sndpipe_linalg::multiversion;

/// The numbers of one update; computed once a step, in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Learning rate over the bias correction of the first moment (Adam), or the learning rate (SGD).
    pub rate: f32,
    /// Added to the gradient as a multiple of the parameter.
    pub decay: f32,
    /// The parameter is multiplied by this first (decoupled decay).
    pub shrink: f32,
    /// Decay of the first moment, or the momentum.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// One over the square root of the bias correction of the second moment.
    pub root: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// Whether this is the first step.
    pub first: bool,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// Share of the parameter's norm that it moves by (LARS); none for the plain rate.
    pub trust: Option<f64>,
}

/// Kernels of the optimisers, in place; they do what the verdict says.
///
/// On a device that is not the CPU no other tensor may share its data with the parameter or the moments: it would change
/// with them.
pub trait UpdateKernel: VerdictKernel {
    /// Adam and AdamW: moments, then the parameter.
    fn adam_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err>;

    /// SGD: the momentum buffer (where there is one), then the parameter.
    fn sgd_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err>;

    /// LARS: the momentum buffer, then the parameter.
    fn lars_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err>;

    /// `average += share (value - average)`.
    fn average_update(
        &self,
        average: &mut Tensor1<Self>,
        value: &Tensor1<Self>,
        share: f32,
    ) -> Result<(), Self::Err>;
}

multiversion! {
    fn adam_chunk(value: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], clip: f32, u: &Update) {
        let count = value.len();
        let (gradient, first, second) = (&gradient[..count], &mut first[..count], &mut second[..count]);
        for i in 0..count {
            let p = value[i] * u.shrink;
            let g = gradient[i] * clip + p * u.decay;
            let m = first[i] * u.beta1 + g * (1.0 - u.beta1);
            let v = second[i] * u.beta2 + g * g * (1.0 - u.beta2);
            first[i] = m;
            second[i] = v;
            value[i] = p - u.rate * (m / (v.sqrt() * u.root + u.epsilon));
        }
    }
}

multiversion! {
    fn sgd_chunk(value: &mut [f32], gradient: &[f32], clip: f32, u: &Update) {
        for (p, &g) in value.iter_mut().zip(gradient) {
            *p -= u.rate * (g * clip + *p * u.decay);
        }
    }
}

multiversion! {
    fn momentum_chunk(value: &mut [f32], gradient: &[f32], buffer: &mut [f32], clip: f32, u: &Update) {
        let count = value.len();
        let (gradient, buffer) = (&gradient[..count], &mut buffer[..count]);
        for i in 0..count {
            let g = gradient[i] * clip + value[i] * u.decay;
            let b = if u.first { g } else { buffer[i] * u.beta1 + g };
            buffer[i] = b;
            value[i] -= u.rate * if u.nesterov { g + u.beta1 * b } else { b };
        }
    }
}

multiversion! {
    fn lars_chunk(value: &mut [f32], gradient: &[f32], buffer: &mut [f32], rates: (f32, f32), u: &Update) {
        let count = value.len();
        let (gradient, buffer) = (&gradient[..count], &mut buffer[..count]);
        let (clip, rate) = rates;
        for i in 0..count {
            let b = buffer[i] * u.beta1 + rate * (gradient[i] * clip + value[i] * u.decay);
            buffer[i] = b;
            value[i] -= b;
        }
    }
}

multiversion! {
    fn average_chunk(average: &mut [f32], value: &[f32], share: f32) {
        for (a, &v) in average.iter_mut().zip(value) {
            *a += share * (v - *a);
        }
    }
}

impl UpdateKernel for Cpu {
    fn adam_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err> {
        if let ([first, second], Some(clip)) = (moments, verdict.clip) {
            cpu::data_mut(value)
                .par_chunks_mut(CHUNK)
                .zip(gradient.par_chunks(CHUNK))
                .zip(cpu::data_mut(first).par_chunks_mut(CHUNK))
                .zip(cpu::data_mut(second).par_chunks_mut(CHUNK))
                .for_each(|(((p, g), m), v)| adam_chunk(p, g, m, v, clip, update));
        }
        Ok(())
    }

    fn sgd_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err> {
        let Some(clip) = verdict.clip else {
            return Ok(());
        };
        let chunks = cpu::data_mut(value).par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        match moments {
            [buffer] => chunks
                .zip(cpu::data_mut(buffer).par_chunks_mut(CHUNK))
                .for_each(|((p, g), b)| momentum_chunk(p, g, b, clip, update)),
            _ => chunks.for_each(|(p, g)| sgd_chunk(p, g, clip, update)),
        }
        Ok(())
    }

    fn lars_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
        verdict: &Self::Verdict,
    ) -> Result<(), Self::Err> {
        let ([buffer], Some(clip)) = (moments, verdict.clip) else {
            return Ok(());
        };
        let value = cpu::data_mut(value);
        let norm = |x: &[f32]| cpu::elementwise::sum_of_squares(x).sqrt();
        let (size, slope) = (norm(value), norm(gradient) * f64::from(clip));
        let rate = match update.trust {
            Some(trust) if size > 0.0 && slope > 0.0 => {
                f64::from(update.rate) * trust * size / (slope + f64::from(update.decay) * size)
            }
            _ => f64::from(update.rate),
        };
        value
            .par_chunks_mut(CHUNK)
            .zip(gradient.par_chunks(CHUNK))
            .zip(cpu::data_mut(buffer).par_chunks_mut(CHUNK))
            .for_each(|((p, g), b)| lars_chunk(p, g, b, (clip, rate as f32), update));
        Ok(())
    }

    fn average_update(
        &self,
        average: &mut Tensor1<Self>,
        value: &Tensor1<Self>,
        share: f32,
    ) -> Result<(), Self::Err> {
        cpu::data_mut(average)
            .par_chunks_mut(CHUNK)
            .zip(cpu::data(value).par_chunks(CHUNK))
            .for_each(|(a, v)| average_chunk(a, v, share));
        Ok(())
    }
}
