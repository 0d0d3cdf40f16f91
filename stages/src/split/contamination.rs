//! How much a split leaks: clips of people whose other clips are trained on.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use sndpipe_cache::Meta;
use sndpipe_engine::{StageError, StageIo};

use super::clip_facts::ClipFacts;
use super::table::{Split, Subset};
use crate::columns::{self, Values};

/// One row of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leak {
    pub subset: Subset,
    pub clips: i64,
    /// Different uploaders; absent where the data set does not name them.
    pub uploaders: Option<i64>,
    /// Clips whose uploader has clips in the training subset.
    pub shared: Option<i64>,
    /// Of these, clips one of whose classes the uploader has in the training subset: within-class contamination.
    pub within_class: Option<i64>,
    /// The other shared clips: between-class contamination.
    pub between_class: Option<i64>,
    /// Clips that share no uploader.
    pub clean: Option<i64>,
}

/// Counts the contamination of each subset against the training subset.
///
/// Clips without a named uploader share nothing. Without labels only shared uploaders are counted.
///
/// # Source
/// Fonseca et al., *FSD50K: an Open Dataset of Human-Labeled Sound Events*, on within-class and between-class contamination.
pub(super) fn count(facts: &ClipFacts, split: &Split) -> Vec<Leak> {
    let pairs = facts.pairs();
    let of = |subset: Subset| {
        let ids = &facts.ids;
        (0..ids.len()).filter(move |&at| split.clips.get(&ids[at]) == Some(&subset))
    };
    let (mut people, mut their) = (BTreeSet::new(), BTreeSet::new());
    for (uploader, classes) in of(Subset::Train).filter_map(|at| pairs.get(&at)) {
        people.insert(*uploader);
        their.extend(classes.iter().map(|class| (*uploader, *class)));
    }
    let known = facts.uploaders.is_some();
    let labelled = facts.classes.is_some();
    let mut rows = Vec::new();
    for subset in Subset::ALL {
        let clips = of(subset).count();
        if clips == 0 {
            continue;
        }
        let uploaders = of(subset)
            .filter_map(|at| pairs.get(&at))
            .map(|(uploader, _)| *uploader)
            .collect::<BTreeSet<_>>()
            .len();
        let judged = known && subset != Subset::Train;
        let shared: Vec<_> = of(subset)
            .filter_map(|at| pairs.get(&at))
            .filter(|(uploader, _)| people.contains(uploader))
            .collect();
        let within = shared
            .iter()
            .filter(|(uploader, classes)| classes.iter().any(|&class| their.contains(&(*uploader, class))))
            .count();
        let number = |n: usize, told: bool| told.then(|| i64::try_from(n).unwrap_or(i64::MAX));
        rows.push(Leak {
            subset,
            clips: i64::try_from(clips).unwrap_or(i64::MAX),
            uploaders: number(uploaders, known),
            shared: number(shared.len(), judged),
            within_class: number(within, judged && labelled),
            between_class: number(shared.len() - within, judged && labelled),
            clean: number(clips - shared.len(), judged),
        });
    }
    rows
}

fn table(rows: &[Leak]) -> Result<RecordBatch, StageError> {
    let numbers = |value: fn(&Leak) -> Option<i64>| Values::MaybeInt(rows.iter().map(value).collect());
    columns::table(vec![
        ("subset", Values::Text(rows.iter().map(|row| row.subset.name().to_owned()).collect())),
        ("clips", numbers(|row| Some(row.clips))),
        ("uploaders", numbers(|row| row.uploaders)),
        ("shared", numbers(|row| row.shared)),
        ("within_class", numbers(|row| row.within_class)),
        ("between_class", numbers(|row| row.between_class)),
        ("clean", numbers(|row| row.clean)),
    ])
}

/// Checks a split and writes both outputs of a split stage.
///
/// # Errors
/// [`StageError::Failed`] if no clip is left for training or testing.
pub(super) fn write(facts: &ClipFacts, split: &Split, io: &mut StageIo<'_>) -> Result<(), StageError> {
    if split.of(Subset::Train).next().is_none() {
        return Err(StageError::failed("the split leaves no clip for training")
            .help("take fewer clips for validation and test"));
    }
    let rows = count(facts, split);
    io.write_table("split", Meta::new(), &split.to_table()?)?;
    io.write_table("contamination", Meta::new(), &table(&rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_of_one_person_are_told_apart_by_class() {
        let clip = |id: &str, person: Option<&str>, class: usize, subset| {
            (id.to_owned(), person.map(str::to_owned), vec![class], subset)
        };
        let clips = [
            clip("a", Some("ann"), 0, Subset::Train),
            clip("b", Some("bob"), 1, Subset::Train),
            clip("c", Some("ann"), 0, Subset::Test), // within class
            clip("d", Some("ann"), 1, Subset::Test), // between classes: class 1 is bob's
            clip("e", Some("eve"), 0, Subset::Test), // clean
            clip("f", None, 0, Subset::Test),        // unknown: clean
        ];
        let split = Split { clips: clips.iter().map(|(id, .., subset)| (id.clone(), *subset)).collect() };
        let facts = ClipFacts {
            ids: clips.iter().map(|clip| clip.0.clone()).collect(),
            uploaders: Some(clips.iter().map(|clip| clip.1.clone()).collect()),
            classes: Some(clips.iter().map(|clip| clip.2.clone()).collect()),
        };
        let row = |subset, clips, uploaders, rest: [Option<i64>; 4]| Leak {
            subset,
            clips,
            uploaders,
            shared: rest[0],
            within_class: rest[1],
            between_class: rest[2],
            clean: rest[3],
        };
        let expected = [
            row(Subset::Train, 2, Some(2), [None; 4]),
            row(Subset::Test, 4, Some(2), [Some(2), Some(1), Some(1), Some(2)]),
        ];
        assert_eq!(count(&facts, &split), expected);

        let blind = ClipFacts { uploaders: None, ..facts };
        assert_eq!(count(&blind, &split)[1], row(Subset::Test, 4, None, [None; 4]));
    }
}
