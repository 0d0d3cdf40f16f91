//! `train`: fits a network to features and labels.

mod batches;
mod checkpoint;
mod clean;
mod fit;
mod history;
mod init;
mod loader;
mod loss;
mod mixup;
mod network;
mod optimiser;
mod params;
mod samples;
mod schedule;
mod smoothing;
mod stage;
mod standardise;
mod validate;

pub use batches::Patches;
pub use clean::CleanParams;
pub use init::InitPart;
pub use loss::{LossParams, Then};
pub use mixup::{MixupParams, Pairing};
pub use network::NetworkParams;
pub use optimiser::OptimiserParams;
pub use params::{EarlyStopping, PatchParams, Select, Standardise, TrainParams, WatchedMetric};
pub use schedule::ScheduleParams;
pub use smoothing::SmoothingParams;
pub use stage::Train;
