//! Optimisers with the semantics of PyTorch, and gradient clipping.

mod kernel;
mod spec;
mod state;

pub use kernel::{Update, UpdateKernel};
pub use spec::OptimiserSpec;
pub use state::Optimiser;
