//! `evaluate`: how good scores are.

pub mod metric;
mod params;
mod report;
mod stage;
mod truth;

pub use params::{EvaluateParams, Task};
pub use stage::Evaluate;
