//! The table of a split.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::StageError;

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
