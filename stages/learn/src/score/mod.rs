//! `score`: the scores that a model gives to clips.

mod params;
mod stage;

pub use params::ScoreParams;
pub use stage::Score;
