//! The table of a split.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_cache::Digest;
use sndpipe_engine::{BoundStage, StageError};
use sndpipe_random::Stream;

use crate::columns::{self, Values};

/// What a clip is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    /// Weights, statistics and thresholds are fitted on it, on nothing else.
    Train,
    /// Chooses the epoch.
    Val,
    /// Judges.
    Test,
}

impl Subset {
    /// Every subset.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// A split of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Clip -> subset; a clip that is not named is not used.
    pub clips: BTreeMap<String, Subset>,
}

impl Split {
    /// Columns of the table.
    pub const COLUMNS: [&'static str; 2] = ["clip_id", "subset"];

    /// Reads the table.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a column is missing or a subset is unknown.
    pub fn read(table: &RecordBatch) -> Result<Self, StageError> {
        let (ids, subsets) = (columns::text(table, "clip_id")?, columns::text(table, "subset")?);
        let mut clips = BTreeMap::new();
        for (id, name) in ids.into_iter().zip(subsets) {
            let subset = Subset::ALL.into_iter().find(|subset| subset.name() == name).ok_or_else(|| {
                StageError::failed(format!(
                    "`{name}` (clip `{id}`) is no subset; the subsets are train, val, test"
                ))
            })?;
            clips.insert(id, subset);
        }
        Ok(Self { clips })
    }

    /// The table, sorted by clip.
    ///
    /// # Errors
    /// Never in practice; [`StageError::Failed`] if Arrow refuses it.
    pub fn to_table(&self) -> Result<RecordBatch, StageError> {
        let ids = self.clips.keys().cloned().collect();
        let subsets = self.clips.values().map(|subset| subset.name().to_owned()).collect();
        columns::table(vec![("clip_id", Values::Text(ids)), ("subset", Values::Text(subsets))])
    }

    /// The clips of a subset, sorted.
    pub fn of(&self, subset: Subset) -> impl Iterator<Item = &str> {
        self.clips.iter().filter(move |(_, of)| **of == subset).map(|(id, _)| id.as_str())
    }
}

/// The place of a clip in a random order: a function of the stream and its id alone.
#[must_use]
pub fn place(stream: &Stream, id: &str) -> u64 {
    let mut address = [0; 8];
    address.copy_from_slice(&Digest::of(id.as_bytes()).0[..8]);
    stream.at(0, u64::from_le_bytes(address)).next_u64()
}

/// The stage that takes the folds of a data set.
pub const FOLDS: &str = "split.folds";
/// The stage that draws clips.
pub const RANDOM: &str = "split.random";
/// The stage that draws clips for validation from those for training.
pub const TRAIN_VAL: &str = "split.train_val";
/// The stage that keeps uploaders together.
pub const UPLOADER: &str = "split.uploader";
/// The stage that takes the subsets of a data set.
pub const SUBSETS: &str = "split.subsets";

/// Whether the split that a stage makes has clips for validation; `None` where only a run can tell.
///
/// For stages that need validation: their `check_wiring` sees the stage behind the port.
#[must_use]
pub fn has_validation(stage: &dyn BoundStage) -> Option<bool> {
    let val = || stage.params().get("val");
    match stage.name() {
        FOLDS => Some(val()?.as_str() != Some("none")),
        RANDOM => val()?.as_f64().map(|share| share > 0.0),
        TRAIN_VAL => Some(true),
        UPLOADER => Some(false),
        // A name in a list may be that of a subset that the data set lacks.
        SUBSETS => {
            let none = val()?.as_array()?.is_empty() && stage.params().get("val_where").is_none();
            none.then_some(false)
        }
        _ => None,
    }
}
