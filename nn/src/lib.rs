//! Networks on dfdx: layers, kernels, losses, optimisers and checkpoints of sndpipe.
//!
//! [`Trainer`] and [`Model`] take and give plain slices; below them, [`ops`] are differentiable operations on dfdx
//! tensors with dimensions known at run time, generic over [`Device`].

mod checkpoint;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod error;
mod learner;
mod memory;
mod model;
mod net;
mod objective;
pub mod ops;
mod optimiser;
mod parameter;
mod plateau;
mod polyphase_norm;
mod pretrainer;
mod schedule;
mod tensor;
mod trainer;
mod tuning;
mod weights;
mod window;

pub use checkpoint::METADATA_KEY;
pub use cpu::{Heap, keep_large_buffers};
#[cfg(feature = "cuda")]
pub use cuda::{KernelTime, time_kernels};
pub use device::{Device, DeviceKind};
pub use error::NnError;
pub use model::Model;
pub use net::{Gru, HeadSpec, InputShape, Network, NetworkSpec, Pass, PoolingSpec};
pub use ops::LossSpec;
pub use optimiser::{CpuVerdict, Found, Optimiser, OptimiserSpec, Update, UpdateKernel, VerdictKernel};
pub use parameter::{Init, Parameter, ParameterId, Parameters};
pub use plateau::{Plateau, PlateauSpec};
pub use pretrainer::{MethodSpec, Negatives, Objective, PretrainReport, Pretrainer, PretrainerSpec};
pub use schedule::{Moment, ScheduleSpec};
pub use tensor::{Buffer, ChannelsLast, InputGrad, Scalar, Tensor1, Tensor2, Tensor3, Tensor4};
pub use trainer::{StepReport, Trainer, TrainerSpec};
pub use tuning::{Freeze, Tuning};
pub use weights::{LoadReport, Loading, Partial, WeightFile};
