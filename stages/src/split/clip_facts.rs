//! What a split needs to know of each clip.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use sndpipe_engine::{Kind, Output, Port, StageError, StageIo};

use crate::columns;
use crate::labels::Labels;

/// The clips of a data set as a split sees them.
#[derive(Debug, Default)]
pub(super) struct ClipFacts {
    /// Ids, sorted.
    pub ids: Vec<String>,
    /// Uploader of each clip, where the table has that column.
    pub uploaders: Option<Vec<Option<String>>>,
    /// Classes of each clip, where labels are connected.
    pub classes: Option<Vec<Vec<usize>>>,
}

impl ClipFacts {
    /// The port for clips, reading `columns` and what reports need.
    pub fn port(columns: &[&str]) -> Port {
        Port::new("clips", Kind::Clips).reading(&[&["clip_id", "uploader?"], columns].concat())
    }

    /// The port for labels.
    pub fn labels_port() -> Port {
        Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS)
    }

    /// The outputs of a split.
    pub fn outputs() -> Vec<Output> {
        vec![Output::new("split", Kind::Split), Output::new("contamination", Kind::Table)]
    }

    /// Reads the connected inputs; gives the table of clips, too.
    pub fn read(io: &StageIo<'_>) -> Result<(Self, RecordBatch), StageError> {
        let table = io.table("clips")?;
        let ids = columns::text(&table, "clip_id")?;
        let uploaders = match table.column_by_name("uploader") {
            Some(_) => Some(columns::maybe_text(&table, "uploader")?),
            None => None,
        };
        let classes = if io.has("labels") {
            let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
            Some(ids.iter().map(|id| labels.present(id).collect()).collect())
        } else {
            None
        };
        Ok((Self { ids, uploaders, classes }, table))
    }

    /// The clips at some positions with their classes, for [`super::draw::draw`].
    pub fn with_classes(&self, positions: &[usize]) -> Vec<(&str, Vec<usize>)> {
        let classes =
            |at: usize| self.classes.as_ref().map(|classes| classes[at].clone()).unwrap_or_default();
        positions.iter().map(|&at| (self.ids[at].as_str(), classes(at))).collect()
    }

    /// The known uploader of each clip by position, and its classes.
    pub fn pairs(&self) -> BTreeMap<usize, (&str, &[usize])> {
        let Some(uploaders) = &self.uploaders else { return BTreeMap::new() };
        let classes = |at: usize| self.classes.as_ref().map_or(&[][..], |classes| &classes[at]);
        uploaders
            .iter()
            .enumerate()
            .filter_map(|(at, uploader)| Some((at, (uploader.as_deref()?, classes(at)))))
            .collect()
    }
}
