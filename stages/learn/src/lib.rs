//! All that needs a network: training, use of models, and what is looked at through them.

pub mod consistency;
pub mod embed;
pub mod import;
pub mod losses;
pub mod model;
pub mod predict;
pub mod pretrain;
pub mod score;
pub mod train;
pub mod views;

use sndpipe_engine::Registry;

/// Adds the stages of this crate.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry
        .with::<consistency::EvaluateConsistency>()
        .with_map::<embed::Embed>()
        .with_map::<embed::EmbedRaw>()
        .with::<import::ModelImport>()
        .with::<losses::Losses>()
        .with::<pretrain::Pretrain>()
        .with_map::<score::Score>()
        .with::<train::Train>()
        .with::<views::ViewsStage>()
}
