//! `train`: fits a network to features and labels.

mod checkpoint;
mod fit;
mod history;
mod init;
mod loader;
mod optimiser;
mod params;
mod samples;
mod stage;
mod standardise;
mod validate;

pub use init::InitPart;
pub use optimiser::OptimiserParams;
pub use params::{
    EarlyStopping, LossParams, NetworkParams, PatchParams, ScheduleParams, Select, Standardise, TrainParams,
    WatchedMetric,
};
pub use stage::Train;
