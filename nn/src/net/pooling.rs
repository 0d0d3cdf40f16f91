//! Layers that halve an image, with and without anti-aliasing.

use dfdx::tensor::Tape;
use serde::{Deserialize, Serialize};

use crate::{
    Device, NnError,
    ops::{PolyphaseNorm, PoolSpec, try_blur, try_max_pool, try_polyphase, try_trained_low_pass},
    parameter::{Init, ParameterId, Parameters},
    tensor::{InputGrad, Tensor4},
};

/// How a layer halves rows and columns: `ceil(n / 2)` of `n`.
///
/// All but `mp` begin with the maximum of 2x2 windows at stride 1 (SAME), and differ in how they take every other position.
/// Sources: R. Zhang 2019 (blur), A. Chaman and I. Dokmanic 2021 (adaptive polyphase sampling), E. Fonseca et al. 2021
/// (trained low-pass filters, and both together).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolingSpec {
    /// The maximum of 2x2 windows at stride 2 (SAME).
    Mp,
    /// A binomial low-pass filter of this size at stride 2.
    Blur(usize),
    /// A low-pass filter of this size at stride 2, trained for each channel.
    Tlpf(usize),
    /// The grid of every other row and column with the largest norm, for each sample.
    Aps,
    /// A trained low-pass filter of this size, then `aps`.
    ApsTlpf(usize),
    /// A binomial low-pass filter of this size, then `aps`.
    ApsBlur(usize),
}

impl PoolingSpec {
    /// Checks the size of the filter.
    pub(super) fn check(self) -> Result<(), NnError> {
        match self {
            PoolingSpec::Mp | PoolingSpec::Aps => Ok(()),
            PoolingSpec::Blur(size) | PoolingSpec::ApsBlur(size) if (3..=7).contains(&size) => Ok(()),
            PoolingSpec::Tlpf(size) | PoolingSpec::ApsTlpf(size) if (2..=7).contains(&size) => Ok(()),
            PoolingSpec::Blur(size) | PoolingSpec::ApsBlur(size) => {
                Err(NnError::range("pool", size, "a size in 3..=7"))
            }
            PoolingSpec::Tlpf(size) | PoolingSpec::ApsTlpf(size) => {
                Err(NnError::range("pool", size, "a size in 2..=7"))
            }
        }
    }
}

/// A layer made from a [`PoolingSpec`].
#[derive(Debug, Clone)]
pub(super) struct Pooling {
    /// The maximum at the beginning.
    max: PoolSpec,
    filter: Filter,
    /// The stride of the filter.
    stride: (usize, usize),
    grids: Option<PolyphaseNorm>,
}

#[derive(Debug, Clone)]
enum Filter {
    None,
    Binomial(usize),
    Trained(usize, ParameterId),
}

impl Pooling {
    /// For images of `rows` by `cols`. A trained filter is the parameter `NAME.weight`, (channels, 1, size, size), normal with
    /// standard deviation 0.01.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        spec: PoolingSpec,
        norm: PolyphaseNorm,
        (rows, cols, channels): (usize, usize, usize),
    ) -> Result<Pooling, NnError> {
        let adaptive = matches!(spec, PoolingSpec::Aps | PoolingSpec::ApsTlpf(_) | PoolingSpec::ApsBlur(_));
        let plain = spec == PoolingSpec::Mp;
        let filter = match spec {
            PoolingSpec::Mp | PoolingSpec::Aps => Filter::None,
            PoolingSpec::Blur(size) | PoolingSpec::ApsBlur(size) => Filter::Binomial(size),
            PoolingSpec::Tlpf(size) | PoolingSpec::ApsTlpf(size) => {
                let shape = [channels, 1, size, size];
                Filter::Trained(size, p.add(format!("{name}.weight"), &shape, Init::Normal(0.01), true)?)
            }
        };
        let step = if plain { (2, 2) } else { (1, 1) };
        Ok(Pooling {
            max: PoolSpec::same((2, 2), step, rows, cols),
            filter,
            stride: if adaptive { (1, 1) } else { (2, 2) },
            grids: adaptive.then_some(norm),
        })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
    ) -> Result<Tensor4<D, T>, NnError> {
        let x = try_max_pool(x, &self.max, InputGrad::Set)?;
        let x = match self.filter {
            Filter::None => x,
            Filter::Binomial(size) => try_blur(x, size, self.stride, InputGrad::Set)?,
            Filter::Trained(size, weight) => {
                try_trained_low_pass(x, p.value(weight), size, self.stride, InputGrad::Set)?
            }
        };
        match self.grids {
            Some(norm) => try_polyphase(x, norm, InputGrad::Set),
            None => Ok(x),
        }
    }
}
