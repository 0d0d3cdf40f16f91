//! The clips that a training uses.

use std::collections::BTreeSet;

use sndpipe_artefacts::OutputKind;
use sndpipe_artefacts::{Labels, State};
use sndpipe_cache::Rows;
use sndpipe_engine::StageError;
use sndpipe_nn::LossSpec;

use super::loss::output_of;

/// What the summary says about clips of a subset that are left out: lists of them, each with what they lack.
pub(crate) fn left_out(subset: &str, lists: &[(&[String], &str)]) -> Option<String> {
    let part = |&(ids, what): &(&[String], &str)| {
        let first = ids.first()?;
        Some(format!("{} without {what} (the first is `{first}`)", ids.len()))
    };
    let parts: Vec<String> = lists.iter().filter_map(part).collect();
    (!parts.is_empty()).then(|| format!("{subset} clips left out: {}", parts.join(", ")))
}

/// Clips of a subset, sorted by id.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Samples {
    /// Where the features of each clip stand.
    pub positions: Vec<usize>,
    /// The classes that each clip has.
    pub present: Vec<Vec<usize>>,
    /// The classes of each clip that neither count as had nor as not had.
    pub ignored: Vec<Vec<usize>>,
    /// Whether the labels of each clip were checked; empty where nothing says so.
    pub clean: Vec<bool>,
    /// Clips of the subset without features.
    pub without_features: Vec<String>,
    /// Clips of the subset without a class; only where the loss needs one.
    pub without_class: Vec<String>,
}

impl Samples {
    /// The clips of a subset that can be used.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a clip's labels do not fit the loss.
    pub fn new<'a>(
        ids: impl Iterator<Item = &'a str>,
        rows: &Rows,
        labels: &Labels,
        loss: &LossSpec,
    ) -> Result<Self, StageError> {
        let mut samples = Self::default();
        for id in ids {
            let Some(position) = rows.position(id) else {
                samples.without_features.push(id.to_owned());
                continue;
            };
            let present: Vec<usize> = labels.present(id).collect();
            match output_of(loss) {
                OutputKind::Softmax if present.is_empty() => {
                    samples.without_class.push(id.to_owned());
                    continue;
                }
                OutputKind::Softmax if present.len() > 1 => {
                    let message =
                        format!("clip `{id}` has {} classes, and the loss needs exactly one", present.len());
                    return Err(StageError::failed(message).help("train with `loss: bce`"));
                }
                _ => {}
            }
            samples.positions.push(position);
            samples.present.push(present);
            samples.ignored.push(labels.of_state(id, State::Ignored).collect());
        }
        Ok(samples)
    }

    /// The same clips, of which those in a list are clean.
    pub fn with_clean(self, rows: &Rows, clean: &BTreeSet<String>) -> Self {
        let clean = self.positions.iter().map(|&position| clean.contains(&rows.ids()[position])).collect();
        Self { clean, ..self }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether any label is to be ignored.
    pub fn ignores(&self) -> bool {
        self.ignored.iter().any(|classes| !classes.is_empty())
    }
}
