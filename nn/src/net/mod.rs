//! Networks, built at run time from their description.

mod coincidence;
mod crnn;
mod dense_se;
mod densenet;
mod gru;
mod head;
mod layer;
mod mlp;
mod mobilenet;
mod network;
mod noisy_cnn;
mod pass;
mod pooling;
mod resnet;
mod sequence;
mod spec;
mod vgg;

pub(crate) use coincidence::Coincidence;
pub use gru::Gru;
pub use head::HeadSpec;
pub(crate) use head::PROJECTION;
pub use network::Network;
pub use pass::Pass;
pub use pooling::PoolingSpec;
pub use spec::{InputShape, NetworkSpec};
