//! `losses`: how well a model's scores agree with the label of each clip.

mod params;
mod stage;

pub use params::{LossesParams, PatchLoss};
pub use stage::Losses;
