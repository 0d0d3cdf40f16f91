//! Differentiable operations on dfdx's tape, each with the kernel trait that a device implements for it.

mod activation;
mod batch_norm;
mod concat;
mod conv2d;
mod elementwise;
mod gather;
mod grad;
mod gru;
mod instance_norm;
mod l2_normalise;
mod last_product;
mod layer_norm;
mod linear;
mod loss;
mod low_pass;
mod polyphase;
mod pool;
mod prelu;
mod resize;
mod shape;
mod window_pool;

pub use crate::polyphase_norm::PolyphaseNorm;
pub use crate::window::{Padding, PoolWindow, PoolWindows};
pub use activation::{
    ActivationKernel, try_dropout, try_log_softmax, try_relu, try_sigmoid, try_softmax, try_tanh,
};
pub use batch_norm::{
    BatchNormKernel, BatchNormParameters, BatchNormSpec, BatchStatistics, CpuNormaliser, Normalisation,
    try_batch_norm,
};
pub use concat::{ConcatKernel, try_concat_channels, try_reshape};
pub use conv2d::{Conv2dKernel, Conv2dSpec, try_conv2d};
pub use elementwise::{ElementwiseKernel, try_add, try_add_relu, try_bias, try_multiply};
pub use gather::{GatherKernel, Places, try_gather};
pub use grad::GradKernel;
pub use gru::{CpuGruTraces, GruGradients, GruKernel, GruParameters, try_gru};
pub use instance_norm::{CpuStatistics, InstanceNormKernel, try_instance_norm};
pub use l2_normalise::{L2NormaliseKernel, try_l2_normalise};
pub use last_product::{LastProductKernel, try_last_product};
pub use layer_norm::{LayerNormKernel, try_layer_norm};
pub use linear::{LinearKernel, try_linear};
pub use loss::{
    ContrastKernel, LossKernel, LossSpec, MemoryBank, NceSamples, smooth_labels, try_bank_nce,
    try_bank_softmax, try_coincidence, try_loss, try_masked_loss, try_nt_xent, try_selective_loss,
    try_triplet_hinge,
};
pub use low_pass::{LowPassKernel, try_blur, try_trained_low_pass};
pub use polyphase::{PolyphaseKernel, try_polyphase};
pub use pool::{PoolKernel, try_max_pool_2x2, try_mean_max};
pub use prelu::{PreluKernel, try_prelu};
pub use resize::{ResizeKernel, try_resize_bilinear};
pub use window_pool::{
    Divisor, PoolSpec, WindowPoolKernel, try_average_pool, try_global_average, try_global_max, try_max_pool,
};
