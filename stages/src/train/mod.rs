//! `train`: fits a network to features and labels.

mod checkpoint;
mod fit;
mod history;
mod loader;
mod params;
mod samples;
mod stage;
mod standardise;
mod validate;

pub use params::{
    EarlyStopping, LossParams, NetworkParams, OptimiserParams, PatchParams, ScheduleParams, Select,
    Standardise, TrainParams, WatchedMetric,
};
pub use stage::Train;
