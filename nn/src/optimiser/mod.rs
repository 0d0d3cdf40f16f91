//! Optimisers with the semantics of PyTorch, and gradient clipping.

mod kernel;
mod spec;
mod state;
mod verdict;

pub use kernel::{Update, UpdateKernel};
pub use spec::OptimiserSpec;
pub use state::Optimiser;
pub use verdict::{CpuVerdict, Found, VerdictKernel};
