//! Networks, built at run time from their description.

mod crnn;
mod dense_se;
mod densenet;
mod gru;
mod layer;
mod mlp;
mod mobilenet;
mod network;
mod noisy_cnn;
mod pooling;
mod resnet;
mod sequence;
mod spec;
mod vgg;

pub use gru::Gru;
pub use network::{Network, Pass};
pub use pooling::PoolingSpec;
pub use spec::{InputShape, NetworkSpec};
