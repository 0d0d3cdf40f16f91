//! `tsne`: embeddings as points of the plane.

mod affinity;
mod descent;
mod stage;
mod tree;

pub use stage::{Tsne, TsneParams};
