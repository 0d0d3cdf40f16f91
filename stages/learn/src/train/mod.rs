//! `train`: fits a network to features and labels.

mod batches;
mod checkpoint;
mod clean;
mod fit;
mod history;
mod init;
mod labelled;
mod loader;
mod loss;
mod mixup;
mod network;
mod params;
mod samples;
mod schedule;
mod smoothing;
mod stage;
mod standardise;
mod task;
mod validate;

pub use batches::Patches;
pub use clean::CleanParams;
pub use init::InitPart;
pub use loss::Then;
pub use mixup::{MixupParams, Pairing};
pub use network::NetworkParams;
pub use params::{EarlyStopping, PatchParams, Select, Standardise, TrainParams, WatchedMetric};
pub use schedule::ScheduleParams;
pub use smoothing::SmoothingParams;
pub use stage::Train;

pub(crate) use fit::{Fit, fingerprint, workers};
pub(crate) use params::{course_mistakes, nested};
pub(crate) use samples::left_out;
pub(crate) use stage::{device, frame_shape};
pub(crate) use standardise::fit as fit_standardisation;
pub(crate) use task::{Course, Step, Task, Watched};
