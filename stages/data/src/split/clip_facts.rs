//! What a split needs to know of each clip.

use arrow_array::RecordBatch;
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::columns;
use sndpipe_engine::{Kind, Output, Port, StageError, StageIo};

/// The clips of a data set as a split sees them.
#[derive(Debug, Default)]
pub(super) struct ClipFacts {
    /// Ids, sorted.
    pub ids: Vec<String>,
    /// Uploader of each clip, where the table has that column.
    pub uploaders: Option<Vec<Option<String>>>,
    /// Classes of each clip, where labels are connected.
    pub classes: Option<Vec<Vec<usize>>>,
    /// Names of the classes.
    pub vocabulary: Vec<String>,
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
        vec![
            Output::new("split", Kind::Split),
            Output::new("contamination", Kind::Table),
            Output::new("by_class", Kind::Table),
            Output::new("by_uploader", Kind::Table),
        ]
    }

    /// Reads the connected inputs; gives the table of clips, too.
    pub fn read(io: &StageIo<'_>) -> Result<(Self, RecordBatch), StageError> {
        let table = io.table("clips")?;
        let ids = columns::text(&table, "clip_id")?;
        let uploaders = match table.column_by_name("uploader") {
            Some(_) => Some(columns::maybe_text(&table, "uploader")?),
            None => None,
        };
        let (classes, vocabulary) = if io.has("labels") {
            let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
            (Some(ids.iter().map(|id| labels.present(id).collect()).collect()), labels.classes)
        } else {
            (None, Vec::new())
        };
        Ok((Self { ids, uploaders, classes, vocabulary }, table))
    }

    /// The classes of a clip; none where labels are not connected.
    pub fn classes_of(&self, at: usize) -> &[usize] {
        self.classes.as_ref().map_or(&[], |classes| &classes[at])
    }

    /// The uploader of a clip, where it is known.
    pub fn uploader_of(&self, at: usize) -> Option<&str> {
        self.uploaders.as_ref()?[at].as_deref()
    }

    /// How many of the clips at some positions have each class, by the index of the class.
    pub fn class_counts(&self, positions: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut counts = vec![0; self.vocabulary.len()];
        positions.for_each(|at| self.classes_of(at).iter().for_each(|&class| counts[class] += 1));
        counts
    }

    /// The clips at some positions with their classes, for [`super::draw::draw`].
    pub fn with_classes(&self, positions: &[usize]) -> Vec<(&str, Vec<usize>)> {
        positions.iter().map(|&at| (self.ids[at].as_str(), self.classes_of(at).to_vec())).collect()
    }
}
