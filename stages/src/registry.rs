//! Every stage kind that a pipeline file can name.

use sndpipe_engine::Registry;

use crate::audio::Decode;
use crate::command::CommandStage;
use crate::dataset::{DatasetCsv, DatasetEsc50, DatasetFolder, DatasetSynth};
use crate::embed::Embed;
use crate::evaluate::{Evaluate, EvaluateConsistency, EvaluateRecovery};
use crate::import::ModelImport;
use crate::labels::{LabelsCorrupt, LabelsHide};
use crate::plot::Plot;
use crate::scenes::Scenes;
use crate::score::Score;
use crate::spectrogram::SpectrogramStage;
use crate::split::{SplitFolds, SplitRandom};
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
        .with::<EvaluateConsistency>()
        .with::<EvaluateRecovery>()
        .with::<LabelsCorrupt>()
        .with::<LabelsHide>()
        .with::<ModelImport>()
        .with::<Plot>()
        .with::<Scenes>()
        .with_map::<Score>()
        .with::<SplitFolds>()
        .with::<SplitRandom>()
        .with::<Table>()
        .with::<Train>()
}
