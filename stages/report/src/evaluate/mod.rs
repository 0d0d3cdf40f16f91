//! `evaluate`: how good scores are, and embeddings.

mod history;
pub mod knn;
mod params;
mod recovery;
mod report;
mod retrieval;
mod stage;
mod truth;

pub use history::{EvaluateHistory, HistoryParams};
pub use knn::{EvaluateKnn, KnnParams};
pub use params::{EvaluateParams, Task};
pub use recovery::{EvaluateRecovery, RecoveryParams};
pub use retrieval::{EvaluateRetrieval, RetrievalParams};
pub use stage::Evaluate;
