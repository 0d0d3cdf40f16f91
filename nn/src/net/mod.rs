//! Networks, built at run time from their description.

mod gru;
mod layer;
mod mlp;
mod network;
mod spec;
mod vgg;

pub use gru::Gru;
pub use network::{Network, Pass};
pub use spec::{InputShape, NetworkSpec};
