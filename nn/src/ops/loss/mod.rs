//! Losses: on the logits of a classifier, and on embeddings.

mod bank;
mod classification;
mod contrast;
mod spec;

pub use bank::{MemoryBank, try_bank_nce, try_bank_softmax};
pub use classification::{LossKernel, smooth_labels, try_loss, try_masked_loss, try_selective_loss};
pub use contrast::{ContrastKernel, NceSamples, try_coincidence, try_nt_xent, try_triplet_hinge};
pub use spec::LossSpec;
