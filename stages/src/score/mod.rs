//! `score`: the scores that a model gives to clips.

mod chosen;
mod params;
mod stage;

pub use params::{ScoreParams, Scored};
pub use stage::Score;
