//! Which clips a stage is for, by their subset.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_cache::Rows;
use sndpipe_engine::{Kind, Port, Selector, StageError, StageIo, counted};

use crate::split::Split;

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

impl Scored {
    /// Where the clips that are meant stand, by the input `split`; all where none is connected. Those without a row are told; `what` says
    /// what rows are.
    ///
    /// # Errors
    /// [`StageError::Failed`] if there is none.
    pub fn positions(self, rows: &Rows, what: &str, io: &mut StageIo<'_>) -> Result<Vec<usize>, StageError> {
        if !io.has("split") {
            return Ok((0..rows.len()).collect());
        }
        let split = Split::read(&io.table("split")?)?;
        let names = self.values();
        let wanted = split.clips.iter().filter(|(_, subset)| names.contains(&subset.name()));
        let (mut positions, mut without) = (Vec::new(), 0);
        for (id, _) in wanted {
            match rows.position(id) {
                Some(position) => positions.push(position),
                None => without += 1,
            }
        }
        if without > 0 {
            io.remark(format!("{} without {what}, left out", counted(without, "clip")));
        }
        if positions.is_empty() {
            let names = names.join(", ");
            return Err(StageError::failed(format!("the split has no clip with {what} in {names}")));
        }
        Ok(positions)
    }
}
