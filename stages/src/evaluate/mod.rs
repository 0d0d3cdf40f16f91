//! `evaluate`: how good scores are, and embeddings.

mod consistency;
pub mod dprime;
mod history;
pub mod knn;
pub mod metric;
mod params;
pub mod ranks;
mod recovery;
mod report;
mod retrieval;
mod stage;
mod truth;

pub use consistency::{ConsistencyParams, EvaluateConsistency, Fill};
pub use history::{EvaluateHistory, HistoryParams};
pub use knn::{EvaluateKnn, KnnParams};
pub use params::{EvaluateParams, Task};
pub use recovery::{EvaluateRecovery, RecoveryParams};
pub use retrieval::{EvaluateRetrieval, RetrievalParams};
pub use stage::Evaluate;
