//! Where networks run.

use serde::{Deserialize, Serialize};

use crate::{
    NnError,
    ops::{
        ActivationKernel, BatchNormKernel, ConcatKernel, ContrastKernel, Conv2dKernel, ElementwiseKernel,
        GatherKernel, GruKernel, InstanceNormKernel, L2NormaliseKernel, LastProductKernel, LayerNormKernel,
        LinearKernel, LossKernel, LowPassKernel, PolyphaseKernel, PoolKernel, PreluKernel, ResizeKernel,
        WindowPoolKernel,
    },
    optimiser::UpdateKernel,
};

/// A device with every kernel that this crate's networks, losses and optimisers need.
///
/// Networks are generic over it. Implemented for dfdx's `Cpu` and, with the feature `cuda`, for its `Cuda`.
pub trait Device:
    dfdx::tensor_ops::Device<f32>
    + ActivationKernel
    + BatchNormKernel
    + ConcatKernel
    + ContrastKernel
    + Conv2dKernel
    + ElementwiseKernel
    + GatherKernel
    + GruKernel
    + InstanceNormKernel
    + L2NormaliseKernel
    + LastProductKernel
    + LayerNormKernel
    + LinearKernel
    + LossKernel
    + LowPassKernel
    + PolyphaseKernel
    + PoolKernel
    + PreluKernel
    + ResizeKernel
    + UpdateKernel
    + WindowPoolKernel
{
}

impl Device for dfdx::tensor::Cpu {}
#[cfg(feature = "cuda")]
impl Device for dfdx::tensor::Cuda {}

/// The device as chosen by a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// The processor; bit-exact for any number of threads.
    #[default]
    Cpu,
    /// An NVIDIA GPU; bit-exact on one model of GPU with one version of driver and libraries.
    Cuda {
        /// The GPU's number.
        index: usize,
        /// Whether matrix products and convolutions round their operands to 10 bits of mantissa (TF32), as PyTorch's
        /// convolutions do: several times as fast on GPUs since Ampere, within 1e-3 instead of 1e-6.
        #[serde(default)]
        tf32: bool,
    },
}

impl std::fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceKind::Cpu => f.write_str("cpu"),
            DeviceKind::Cuda { index, tf32: false } => write!(f, "cuda:{index}"),
            DeviceKind::Cuda { index, tf32: true } => write!(f, "cuda:{index}:tf32"),
        }
    }
}

impl DeviceKind {
    /// Why this device cannot be used.
    pub(crate) fn refused(self, reason: impl Into<String>) -> NnError {
        NnError::Device { device: self.to_string(), reason: reason.into() }
    }
}

/// Evaluates an expression with what is in an enum of variants `Cpu(value)` and, with the feature `cuda`,
/// `Cuda(value, tf32)`.
macro_rules! on_device {
    ($kind:ident, $any:expr, $value:ident => $do:expr) => {
        match $any {
            $kind::Cpu($value) => $do,
            #[cfg(feature = "cuda")]
            $kind::Cuda($value, tf32) => crate::cuda::with_tf32(*tf32, || $do),
        }
    };
}
pub(crate) use on_device;

/// Makes such an enum's value for a device: `Ok(Cpu(new(device)?))`, or the same on a GPU.
macro_rules! place {
    ($kind:ident, $device:expr, $new:expr) => {
        match $device {
            $crate::DeviceKind::Cpu => Ok($kind::Cpu(($new)(dfdx::tensor::Cpu::default())?)),
            #[cfg(feature = "cuda")]
            kind @ $crate::DeviceKind::Cuda { index, tf32 } => {
                let device = crate::cuda::open(index).map_err(|reason| kind.refused(reason))?;
                Ok($kind::Cuda(crate::cuda::Shared::new(($new)(device)?), tf32))
            }
            #[cfg(not(feature = "cuda"))]
            kind @ $crate::DeviceKind::Cuda { .. } => {
                Err(kind.refused("this program was built without the feature `cuda`; use `cpu`"))
            }
        }
    };
}
pub(crate) use place;
