//! Where networks run.

use serde::{Deserialize, Serialize};

use crate::{
    NnError,
    ops::{
        ActivationKernel, BatchNormKernel, ConcatKernel, ContrastKernel, Conv2dKernel, ElementwiseKernel,
        GruKernel, InstanceNormKernel, L2NormaliseKernel, LastProductKernel, LayerNormKernel, LinearKernel,
        LossKernel, LowPassKernel, PolyphaseKernel, PoolKernel, PreluKernel, ResizeKernel, WindowPoolKernel,
    },
    optimiser::UpdateKernel,
};

/// A device with every kernel that this crate's networks, losses and optimisers need.
///
/// Networks are generic over it. Implemented for dfdx's `Cpu`.
pub trait Device:
    dfdx::tensor_ops::Device<f32>
    + ActivationKernel
    + BatchNormKernel
    + ConcatKernel
    + ContrastKernel
    + Conv2dKernel
    + ElementwiseKernel
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

/// The device as chosen by a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// The processor; bit-exact for any number of threads.
    #[default]
    Cpu,
    /// The CUDA device with this index.
    Cuda(usize),
}

impl std::fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceKind::Cpu => f.write_str("cpu"),
            DeviceKind::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceKind {
    /// Refuses a device that this build has no kernels for.
    pub(crate) fn check(self) -> Result<(), NnError> {
        let reason = match self {
            DeviceKind::Cpu => return Ok(()),
            DeviceKind::Cuda(_) if cfg!(feature = "cuda") => {
                "convolution, normalisation and pooling have no CUDA kernels yet; use `cpu`"
            }
            DeviceKind::Cuda(_) => "this program was built without the feature `cuda`; use `cpu`",
        };
        Err(NnError::Device { device: self.to_string(), reason: reason.to_owned() })
    }
}
