//! Every stage kind that a pipeline file can name.

use sndpipe_engine::Registry;

use crate::audio::Decode;
use crate::command::CommandStage;
use crate::dataset::{
    ClipsExclude, ClipsUnion, DatasetAudioset, DatasetCsv, DatasetDcase2013, DatasetEsc50, DatasetFolder,
    DatasetFsd50k, DatasetFsdkaggle2018, DatasetFsdnoisy18k, DatasetGtzan, DatasetSynth, DatasetUrbansound8k,
};
use crate::embed::{Embed, EmbedRaw};
use crate::evaluate::{
    Evaluate, EvaluateConsistency, EvaluateHistory, EvaluateKnn, EvaluateRecovery, EvaluateRetrieval,
};
use crate::import::ModelImport;
use crate::labels::{LabelsCorrupt, LabelsEnhance, LabelsHide, LabelsMerge, LabelsPropagate, LabelsSubset};
use crate::losses::Losses;
use crate::plot::{Plot, Scatter};
use crate::pretrain::Pretrain;
use crate::scenes::Scenes;
use crate::score::Score;
use crate::spectrogram::SpectrogramStage;
use crate::split::{SplitFolds, SplitPrune, SplitRandom, SplitSubsets, SplitTrainVal, SplitUploader};
use crate::table::{Claims, Table};
use crate::train::Train;
use crate::tsne::Tsne;
use crate::views::ViewsStage;

/// The registry of all stages.
#[must_use]
pub fn registry() -> Registry {
    Registry::new()
        .with::<CommandStage>()
        .with::<ClipsExclude>()
        .with::<ClipsUnion>()
        .with::<DatasetAudioset>()
        .with::<DatasetCsv>()
        .with::<DatasetDcase2013>()
        .with::<DatasetEsc50>()
        .with::<DatasetFolder>()
        .with::<DatasetFsd50k>()
        .with::<DatasetFsdkaggle2018>()
        .with::<DatasetFsdnoisy18k>()
        .with::<DatasetGtzan>()
        .with::<DatasetSynth>()
        .with::<DatasetUrbansound8k>()
        .with_map::<Decode>()
        .with_map::<SpectrogramStage>()
        .with_map::<Embed>()
        .with_map::<EmbedRaw>()
        .with::<Evaluate>()
        .with::<EvaluateConsistency>()
        .with::<EvaluateHistory>()
        .with::<EvaluateKnn>()
        .with::<EvaluateRecovery>()
        .with::<EvaluateRetrieval>()
        .with::<LabelsCorrupt>()
        .with::<LabelsEnhance>()
        .with::<LabelsHide>()
        .with::<LabelsMerge>()
        .with::<LabelsPropagate>()
        .with::<LabelsSubset>()
        .with::<Losses>()
        .with::<ModelImport>()
        .with::<Plot>()
        .with::<Scatter>()
        .with::<Pretrain>()
        .with::<Scenes>()
        .with_map::<Score>()
        .with::<SplitFolds>()
        .with::<SplitPrune>()
        .with::<SplitRandom>()
        .with::<SplitSubsets>()
        .with::<SplitTrainVal>()
        .with::<SplitUploader>()
        .with::<Table>()
        .with::<Claims>()
        .with::<Train>()
        .with::<Tsne>()
        .with::<ViewsStage>()
}
