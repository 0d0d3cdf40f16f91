//! Splits: which clips train, validate and test.

mod clip_facts;
mod contamination;
mod draw;
mod folds;
mod prune;
mod random;
mod separate;
mod subsets;
mod train_val;
mod uploader;

pub use folds::{FoldsParams, SplitFolds, Validation};
pub use prune::{PruneParams, SplitPrune};
pub use random::{RandomParams, SplitRandom};
pub use subsets::{SplitSubsets, SubsetsParams};
pub use train_val::{Separation, SplitTrainVal, TrainValParams};
pub use uploader::{SplitUploader, UploaderParams};

use sndpipe_engine::Registry;

/// Adds the splits.
pub(crate) fn register(registry: Registry) -> Registry {
    registry
        .with::<SplitFolds>()
        .with::<SplitPrune>()
        .with::<SplitRandom>()
        .with::<SplitSubsets>()
        .with::<SplitTrainVal>()
        .with::<SplitUploader>()
}
