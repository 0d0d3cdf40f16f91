//! The clips that scenes are made of.

use std::collections::BTreeMap;

use sndpipe_artefacts::Labels;
use sndpipe_artefacts::Split;
use sndpipe_artefacts::columns;
use sndpipe_cache::Rows;
use sndpipe_engine::{Kind, Port, StageError, StageIo};

/// A clip that can be an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    pub id: String,
    /// Where its audio stands.
    pub position: usize,
    pub uploader: Option<String>,
}

/// The subset and the fold of a clip.
type Key = (Option<String>, Option<i64>);

/// Clips that may meet in a scene.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    /// `train-fold1`, or less where there are no subsets or folds.
    pub name: String,
    pub subset: Option<String>,
    pub fold: Option<i64>,
    /// The classes that some clip has, with these clips.
    pub classes: Vec<(usize, Vec<Source>)>,
}

impl Group {
    /// Clips of the group.
    pub fn len(&self) -> usize {
        self.classes.iter().map(|(_, clips)| clips.len()).sum()
    }
}

/// Everything that scenes are made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sources {
    pub groups: Vec<Group>,
    /// The vocabulary.
    pub classes: Vec<String>,
    pub has_folds: bool,
    pub has_subsets: bool,
    /// Clips that are no sources: without exactly one class, and without audio.
    pub unfit: [usize; 2],
}

impl Sources {
    /// The inputs that are tables.
    pub fn ports() -> Vec<Port> {
        vec![
            Port::new("clips", Kind::Clips).reading(&["clip_id", "fold?", "subset?", "uploader?"]),
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS).optional(),
        ]
    }

    /// Groups the clips.
    ///
    /// # Errors
    /// [`StageError::Failed`] if no clip can be an event.
    pub fn read(io: &StageIo<'_>, audio: &Rows) -> Result<Self, StageError> {
        let clips = io.table("clips")?;
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let split = if io.has("split") { Some(Split::read(&io.table("split")?)?) } else { None };
        let ids = columns::text(&clips, "clip_id")?;
        let there = |name: &str| clips.column_by_name(name).is_some();
        let text = |name: &str| -> Result<Vec<Option<String>>, StageError> {
            if there(name) { columns::maybe_text(&clips, name) } else { Ok(vec![None; ids.len()]) }
        };
        let has_folds = there("fold") && split.is_none();
        let folds = if has_folds { columns::maybe_int(&clips, "fold")? } else { vec![None; ids.len()] };
        let (official, uploaders) = (text("subset")?, text("uploader")?);
        let has_subsets = split.is_some() || there("subset");

        let mut unfit = [0, 0];
        let mut groups: BTreeMap<Key, BTreeMap<usize, Vec<Source>>> = BTreeMap::new();
        for (((id, fold), official), uploader) in ids.into_iter().zip(folds).zip(official).zip(uploaders) {
            let subset = match &split {
                Some(split) => match split.clips.get(&id) {
                    Some(subset) => Some(subset.name().to_owned()),
                    None => continue,
                },
                None => official,
            };
            let present: Vec<usize> = labels.present(&id).collect();
            let &[class] = &present[..] else {
                unfit[0] += 1;
                continue;
            };
            let Some(position) = audio.position(&id) else {
                unfit[1] += 1;
                continue;
            };
            let of_class = groups.entry((subset, fold)).or_default().entry(class).or_default();
            of_class.push(Source { id, position, uploader });
        }
        if groups.is_empty() {
            let message = format!(
                "no clip can be an event: {} have not exactly one class, {} no audio",
                unfit[0], unfit[1]
            );
            return Err(StageError::failed(message)
                .help("give audio, clips and labels of one data set with one class a clip"));
        }
        let group = |((subset, fold), classes): (Key, BTreeMap<_, _>)| {
            let parts = [subset.clone(), fold.map(|fold| format!("fold{fold}"))];
            let name = parts.into_iter().flatten().collect::<Vec<_>>().join("-");
            let name = if name.is_empty() { "scene".to_owned() } else { name };
            Group { name, subset, fold, classes: classes.into_iter().collect() }
        };
        let groups = groups.into_iter().map(group).collect();
        Ok(Self { groups, classes: labels.classes, has_folds, has_subsets, unfit })
    }

    /// How many of `count` scenes each group gets, by its number of clips.
    pub fn shares(&self, count: usize) -> Vec<usize> {
        let all: usize = self.groups.iter().map(Group::len).sum();
        let (mut clips, mut given) = (0, 0);
        let share = |group: &Group| {
            clips += group.len();
            let until = (count as u128 * 2 * clips as u128 + all as u128) / (2 * all as u128);
            let share = until as usize - given;
            given = until as usize;
            share
        };
        self.groups.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_are_shared_out_by_clips() {
        let group = |clips: usize| Group {
            name: String::new(),
            subset: None,
            fold: None,
            classes: vec![(0, vec![Source { id: String::new(), position: 0, uploader: None }; clips])],
        };
        let sources = Sources {
            groups: [1, 1, 4].map(group).to_vec(),
            classes: vec!["a".to_owned()],
            has_folds: false,
            has_subsets: false,
            unfit: [0, 0],
        };
        assert_eq!(sources.shares(60), [10, 10, 40]);
        for count in 1..50 {
            assert_eq!(sources.shares(count).iter().sum::<usize>(), count);
        }
    }
}
