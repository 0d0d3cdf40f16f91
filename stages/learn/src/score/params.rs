//! Parameters of `score`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::{PatchMean, Scored};
use sndpipe_engine::ParamError;

/// Scores clips with a model: the mean over their patches of its softmax or sigmoid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreParams {
    /// Which clips: those of one subset, or all. `all` takes every clip of the split, or of the features where no split is
    /// connected.
    pub subset: Scored,
    /// Frames between the starts of patches, `1..=65536`; only full patches count. Absent: the hop of the training.
    pub hop: Option<usize>,
    /// How the patches of a clip become one score.
    pub mean: PatchMean,
}

impl ScoreParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let hop = self.hop.filter(|hop| !(1..=65_536).contains(hop));
        hop.map(|hop| ParamError::new("hop", format!("{hop} is outside 1..=65536"))).into_iter().collect()
    }
}
