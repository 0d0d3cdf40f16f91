//! Splits: which clips train, validate and test.

mod clip_facts;
mod contamination;
mod draw;
mod folds;
mod random;
mod table;

pub(crate) use draw::place;
pub use folds::{FoldsParams, SplitFolds, Validation};
pub use random::{RandomParams, SplitRandom};
pub use table::{Split, Subset};

use sndpipe_engine::BoundStage;

/// Whether the split that a stage makes has clips for validation; `None` where only a run can tell.
///
/// For stages that need validation: their `check_wiring` sees the stage behind the port.
#[must_use]
pub fn has_validation(stage: &dyn BoundStage) -> Option<bool> {
    let val = stage.params().get("val")?;
    match stage.name() {
        SplitFolds::KIND => Some(val.as_str() != Some("none")),
        SplitRandom::KIND => val.as_f64().map(|share| share > 0.0),
        _ => None,
    }
}
