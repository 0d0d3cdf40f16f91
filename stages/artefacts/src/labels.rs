//! The table of labels: sparse, with the ordered vocabulary in its metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use sndpipe_cache::Meta;
use sndpipe_engine::StageError;

use crate::columns;
use crate::name::composed;

/// What a row of the table says about a clip and a class. A pair without a row is an implicit negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The clip has the class.
    Present,
    /// Somebody checked: the clip does not have it.
    ExplicitNegative,
    /// Neither counts: for training and for evaluation the pair is left out.
    Ignored,
}

impl State {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::ExplicitNegative => "explicit_negative",
            Self::Ignored => "ignored",
        }
    }

    fn parse(text: &str) -> Result<Self, StageError> {
        [Self::Present, Self::ExplicitNegative, Self::Ignored]
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| {
                StageError::failed(format!(
                    "`{text}` is no state of a label; the states are present, explicit_negative, ignored"
                ))
            })
    }
}

/// The table of labels that come sorted by clip and class: clip, class index, state.
///
/// # Errors
/// [`StageError::Failed`] if a class index is outside the vocabulary.
pub fn table<'a>(
    classes: &[String],
    labels: impl Iterator<Item = (&'a str, usize, State)>,
) -> Result<(Meta, RecordBatch), StageError> {
    let (mut ids, mut names, mut states) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    for (id, class, state) in labels {
        let name = classes.get(class).ok_or_else(|| {
            StageError::failed(format!("clip `{id}` has class {class} of {}", classes.len()))
        })?;
        ids.append_value(id);
        names.append_value(name);
        states.append_value(state.name());
    }
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Schema::new(vec![text("clip_id"), text("class"), text("state")]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(ids.finish()), Arc::new(names.finish()), Arc::new(states.finish())];
    let table = RecordBatch::try_new(Arc::new(schema), columns)
        .map_err(|error| StageError::failed(error.to_string()))?;
    Ok((Meta::from([("classes".to_owned(), classes.to_vec().into())]), table))
}

/// The vocabulary of labels with this metadata, in its order.
///
/// # Errors
/// [`StageError::Failed`] if it names none.
pub fn vocabulary(meta: &Meta) -> Result<Vec<String>, StageError> {
    let classes = class_names(meta)
        .ok_or_else(|| StageError::failed("the labels have no vocabulary (`classes` in their metadata)"))?;
    let mut seen = BTreeSet::new();
    match classes.iter().find(|class| !seen.insert(*class)) {
        Some(class) => Err(StageError::failed(format!("the vocabulary lists the class `{class}` twice"))),
        None => Ok(classes),
    }
}

/// The names of the classes in the metadata of labels or scores, composed as the readers of data sets do: programs may write either form.
#[must_use]
pub fn class_names(meta: &Meta) -> Option<Vec<String>> {
    let names: Vec<String> = serde_json::from_value(meta.get("classes")?.clone()).ok()?;
    Some(names.iter().map(|name| composed(name)).collect())
}

/// The labels of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// The vocabulary in its order: class index -> name.
    pub classes: Vec<String>,
    /// Clip -> class index -> state.
    pub clips: BTreeMap<String, BTreeMap<usize, State>>,
}

impl Labels {
    /// Columns that a stage which trains or evaluates reads.
    pub const COLUMNS: [&'static str; 3] = ["clip_id", "class", "state"];

    /// Reads the table and the vocabulary.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a column is missing or a class is not in the vocabulary.
    pub fn read(table: &RecordBatch, meta: &Meta) -> Result<Self, StageError> {
        let classes = vocabulary(meta)?;
        let index: BTreeMap<&str, usize> =
            classes.iter().enumerate().map(|(index, class)| (class.as_str(), index)).collect();
        let mut clips: BTreeMap<String, BTreeMap<usize, State>> = BTreeMap::new();
        let (ids, names, states) = (
            columns::text(table, "clip_id")?,
            columns::text(table, "class")?,
            columns::text(table, "state")?,
        );
        for ((id, class), state) in ids.into_iter().zip(names).zip(states) {
            let class = *index.get(composed(&class).as_str()).ok_or_else(|| {
                StageError::failed(format!(
                    "clip `{id}` has the class `{class}`, which is not in the vocabulary"
                ))
            })?;
            clips.entry(id).or_default().insert(class, State::parse(&state)?);
        }
        Ok(Self { classes, clips })
    }

    /// The table, sorted by clip and class.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a class index is outside the vocabulary.
    pub fn to_table(&self) -> Result<(Meta, RecordBatch), StageError> {
        let labels = self
            .clips
            .iter()
            .flat_map(|(id, labels)| labels.iter().map(move |(&class, &state)| (id.as_str(), class, state)));
        table(&self.classes, labels)
    }

    /// The classes that a clip has, in the order of the vocabulary.
    pub fn present(&self, clip_id: &str) -> impl Iterator<Item = usize> + '_ {
        self.of_state(clip_id, State::Present)
    }

    /// The classes of a clip whose labels have a state, in the order of the vocabulary.
    pub fn of_state(&self, clip_id: &str, state: State) -> impl Iterator<Item = usize> + '_ {
        let labels = self.clips.get(clip_id);
        labels.into_iter().flatten().filter(move |(_, found)| **found == state).map(|(&class, _)| class)
    }
    /// How many clips have each class.
    #[must_use]
    pub fn counts(&self) -> Vec<i64> {
        let mut counts = vec![0; self.classes.len()];
        for clip in self.clips.keys() {
            self.present(clip).for_each(|class| counts[class] += 1);
        }
        counts
    }
}
