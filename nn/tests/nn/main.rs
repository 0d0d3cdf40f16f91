//! Operations, networks and training, against their definitions and against what other programs give.

mod activations;
mod check;
mod combine;
mod embeddings;
mod gru;
mod losses;
mod low_pass;
mod networks;
mod norms;
mod ops;
mod pool;
mod pretraining;
mod training;
mod weights;
