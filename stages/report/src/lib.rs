//! Evaluations, tables, claims and plots.

pub mod evaluate;
pub mod plot;
pub mod table;
pub mod tsne;

use sndpipe_engine::Registry;

/// Adds the stages of this crate.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry
        .with::<evaluate::Evaluate>()
        .with::<evaluate::EvaluateHistory>()
        .with::<evaluate::EvaluateKnn>()
        .with::<evaluate::EvaluateRecovery>()
        .with::<evaluate::EvaluateRetrieval>()
        .with::<plot::Plot>()
        .with::<plot::Scatter>()
        .with::<table::Claims>()
        .with::<table::Table>()
        .with::<tsne::Tsne>()
}
