//! Every stage kind that a pipeline file can name.

use sndpipe_engine::Registry;

use crate::audio::Decode;
use crate::command::CommandStage;
use crate::dataset::{DatasetCsv, DatasetEsc50, DatasetFolder, DatasetSynth};
use crate::embed::Embed;
use crate::evaluate::Evaluate;
use crate::import::ModelImport;
use crate::labels::LabelsEnhance;
use crate::losses::Losses;
use crate::score::Score;
use crate::spectrogram::SpectrogramStage;
use crate::split::{SplitFolds, SplitPrune, SplitRandom};
use crate::table::Table;
use crate::train::Train;

/// The registry of all stages.
#[must_use]
pub fn registry() -> Registry {
    Registry::new()
        .with::<CommandStage>()
        .with::<DatasetCsv>()
        .with::<DatasetEsc50>()
        .with::<DatasetFolder>()
        .with::<DatasetSynth>()
        .with_map::<Decode>()
        .with_map::<SpectrogramStage>()
        .with_map::<Embed>()
        .with::<Evaluate>()
        .with::<LabelsEnhance>()
        .with::<Losses>()
        .with::<ModelImport>()
        .with_map::<Score>()
        .with::<SplitFolds>()
        .with::<SplitPrune>()
        .with::<SplitRandom>()
        .with::<Table>()
        .with::<Train>()
}
