//! Parameters of `score`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{Kind, ParamError, Port, Selector};

use crate::model::PatchMean;
use crate::split::Split;

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

/// The clips to score or embed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scored {
    /// Those of the test subset.
    #[default]
    Test,
    /// Those of the validation subset.
    Val,
    /// Those of the training subset.
    Train,
    /// Every clip.
    All,
}

impl Scored {
    /// The values of the split's column `subset` that are meant.
    #[must_use]
    pub const fn values(self) -> &'static [&'static str] {
        match self {
            Self::Test => &["test"],
            Self::Val => &["val"],
            Self::Train => &["train"],
            Self::All => &["test", "train", "val"],
        }
    }

    /// The input `split` that chooses the clips; it may be left out where all are meant.
    #[must_use]
    pub fn selector(self) -> Selector {
        let port = Port::new("split", Kind::Split).reading(&Split::COLUMNS);
        Selector {
            port: if self == Self::All { port.optional() } else { port },
            column: "subset".to_owned(),
            values: self.values().iter().map(|&value| value.to_owned()).collect(),
        }
    }
}

impl ScoreParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let hop = self.hop.filter(|hop| !(1..=65_536).contains(hop));
        hop.map(|hop| ParamError::new("hop", format!("{hop} is outside 1..=65536"))).into_iter().collect()
    }
}
