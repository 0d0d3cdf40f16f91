//! Splits: which clips train, validate and test.

mod clip_facts;
mod contamination;
mod draw;
mod folds;
mod prune;
mod random;
mod separate;
mod subsets;
mod table;
mod train_val;
mod uploader;

pub(crate) use draw::place;
pub use folds::{FoldsParams, SplitFolds, Validation};
pub use prune::{PruneParams, SplitPrune};
pub use random::{RandomParams, SplitRandom};
pub use subsets::{SplitSubsets, SubsetsParams};
pub use table::{Split, Subset};
pub use train_val::{Separation, SplitTrainVal, TrainValParams};
pub use uploader::{SplitUploader, UploaderParams};

use sndpipe_engine::BoundStage;

/// Whether the split that a stage makes has clips for validation; `None` where only a run can tell.
///
/// For stages that need validation: their `check_wiring` sees the stage behind the port.
#[must_use]
pub fn has_validation(stage: &dyn BoundStage) -> Option<bool> {
    let val = || stage.params().get("val");
    match stage.name() {
        SplitFolds::KIND => Some(val()?.as_str() != Some("none")),
        SplitRandom::KIND => val()?.as_f64().map(|share| share > 0.0),
        SplitTrainVal::KIND => Some(true),
        SplitUploader::KIND => Some(false),
        // A name in a list may be that of a subset that the data set lacks.
        SplitSubsets::KIND => {
            let none = val()?.as_array()?.is_empty() && stage.params().get("val_where").is_none();
            none.then_some(false)
        }
        _ => None,
    }
}
