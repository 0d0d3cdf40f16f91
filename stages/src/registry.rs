//! Every stage kind that a pipeline file can name.

use sndpipe_audio::Decode;
use sndpipe_audio::spectrogram::SpectrogramStage;
use sndpipe_data::dataset::{
    ClipsExclude, ClipsUnion, DatasetAudioset, DatasetCsv, DatasetDcase2013, DatasetEsc50, DatasetFolder,
    DatasetFsd50k, DatasetFsdkaggle2018, DatasetFsdnoisy18k, DatasetGtzan, DatasetSynth, DatasetUrbansound8k,
};
use sndpipe_data::labels::{
    LabelsCorrupt, LabelsEnhance, LabelsHide, LabelsMerge, LabelsPropagate, LabelsSubset,
};
use sndpipe_data::scenes::Scenes;
use sndpipe_data::split::{SplitFolds, SplitPrune, SplitRandom, SplitSubsets, SplitTrainVal, SplitUploader};
use sndpipe_engine::Registry;
use sndpipe_learn::consistency::EvaluateConsistency;
use sndpipe_learn::embed::{Embed, EmbedRaw};
use sndpipe_learn::import::ModelImport;
use sndpipe_learn::losses::Losses;
use sndpipe_learn::pretrain::Pretrain;
use sndpipe_learn::score::Score;
use sndpipe_learn::train::Train;
use sndpipe_learn::views::ViewsStage;
use sndpipe_report::evaluate::{Evaluate, EvaluateHistory, EvaluateKnn, EvaluateRecovery, EvaluateRetrieval};
use sndpipe_report::plot::{Plot, Scatter};
use sndpipe_report::table::{Claims, Table};
use sndpipe_report::tsne::Tsne;

use crate::command::CommandStage;

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
