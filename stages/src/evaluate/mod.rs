//! `evaluate`: how good scores are.

mod consistency;
pub mod dprime;
pub mod metric;
mod params;
pub mod ranks;
mod recovery;
mod report;
mod stage;
mod truth;

pub use consistency::{ConsistencyParams, EvaluateConsistency, Fill};
pub use params::{EvaluateParams, Task};
pub use recovery::{EvaluateRecovery, RecoveryParams};
pub use stage::Evaluate;
