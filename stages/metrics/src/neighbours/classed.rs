//! Clips with one class, and their embeddings.

use sndpipe_artefacts::Embedded;
use sndpipe_artefacts::Labels;
use sndpipe_cache::Rows;
use sndpipe_engine::StageError;

/// The clips, of some, that have a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneClass {
    /// Where each stands.
    pub positions: Vec<usize>,
    /// The class of each.
    pub classes: Vec<u32>,
    /// Clips that have none.
    pub without: usize,
}

impl OneClass {
    /// Chooses among the clips at some positions; `what` says what rows are.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming a clip with several classes, or if no clip has one.
    pub fn new(labels: &Labels, rows: &Rows, positions: &[usize], what: &str) -> Result<Self, StageError> {
        let mut chosen = Self { positions: Vec::new(), classes: Vec::new(), without: 0 };
        for &position in positions {
            let id = &rows.ids()[position];
            let mut present = labels.present(id);
            let Some(class) = present.next() else {
                chosen.without += 1;
                continue;
            };
            let more = present.count();
            if more > 0 {
                let message = format!("clip `{id}` has {} classes, and a neighbour stands for one", more + 1);
                return Err(StageError::failed(message)
                    .help("give labels with one class a clip, or judge by `evaluate.retrieval`"));
            }
            chosen.positions.push(position);
            chosen.classes.push(class as u32);
        }
        if chosen.positions.is_empty() {
            return Err(StageError::failed(format!("no clip has {what} and a class"))
                .help(format!("the {what}, the labels and the split must be of the same clips")));
        }
        Ok(chosen)
    }
}

/// Clips with one class, and their embeddings.
pub struct Classed {
    /// Of length 1.
    pub embedded: Embedded,
    /// The class of each clip.
    pub classes: Vec<u32>,
}

impl Classed {
    /// Scales embeddings to length 1.
    pub fn new(mut embedded: Embedded, classes: Vec<u32>) -> Self {
        embedded.normalise();
        Self { embedded, classes }
    }
}
