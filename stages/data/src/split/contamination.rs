//! How much a split leaks: clips of people whose other clips are trained on.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::{Split, Subset};
use sndpipe_cache::Meta;
use sndpipe_engine::{StageError, StageIo};

use super::clip_facts::ClipFacts;

/// How a clip leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaking {
    /// Its uploader has one of its classes in the training subset.
    WithinClass,
    /// Its uploader has other classes in the training subset.
    BetweenClass,
    /// Its uploader has nothing there, or is not known.
    Clean,
}

/// Who is in the training subset, and with which classes.
struct Trained<'a> {
    facts: &'a ClipFacts,
    people: BTreeSet<&'a str>,
    pairs: BTreeSet<(&'a str, usize)>,
}

impl<'a> Trained<'a> {
    fn new(facts: &'a ClipFacts, subsets: &[Option<Subset>]) -> Self {
        let (mut people, mut pairs) = (BTreeSet::new(), BTreeSet::new());
        for (at, _) in subsets.iter().enumerate().filter(|(_, subset)| **subset == Some(Subset::Train)) {
            if let Some(uploader) = facts.uploader_of(at) {
                people.insert(uploader);
                pairs.extend(facts.classes_of(at).iter().map(|&class| (uploader, class)));
            }
        }
        Self { facts, people, pairs }
    }

    /// How a clip leaks where only some of its classes count.
    fn judge(&self, at: usize, classes: &[usize]) -> Leaking {
        match self.facts.uploader_of(at).filter(|uploader| self.people.contains(uploader)) {
            None => Leaking::Clean,
            Some(uploader) if classes.iter().any(|&class| self.pairs.contains(&(uploader, class))) => {
                Leaking::WithinClass
            }
            Some(_) => Leaking::BetweenClass,
        }
    }
}

/// Clips by how they leak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    within: i64,
    between: i64,
    clean: i64,
}

impl Tally {
    fn add(&mut self, leaking: Leaking) {
        match leaking {
            Leaking::WithinClass => self.within += 1,
            Leaking::BetweenClass => self.between += 1,
            Leaking::Clean => self.clean += 1,
        }
    }

    const fn clips(self) -> i64 {
        self.within + self.between + self.clean
    }
}

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

/// The subset of each clip, in the order of the facts.
fn subsets(facts: &ClipFacts, split: &Split) -> Vec<Option<Subset>> {
    facts.ids.iter().map(|id| split.clips.get(id).copied()).collect()
}

/// Counts the contamination of each subset against the training subset.
///
/// Clips without a named uploader share nothing. Without labels only shared uploaders are counted.
///
/// # Source
/// Fonseca et al., *FSD50K: an Open Dataset of Human-Labeled Sound Events*, on within-class and between-class contamination.
pub(super) fn count(facts: &ClipFacts, split: &Split) -> Vec<Leak> {
    let subsets = subsets(facts, split);
    let trained = Trained::new(facts, &subsets);
    let known = facts.uploaders.is_some();
    let labelled = facts.classes.is_some();
    let mut rows = Vec::new();
    for subset in Subset::ALL {
        let (mut tally, mut people) = (Tally::default(), BTreeSet::new());
        for (at, _) in subsets.iter().enumerate().filter(|(_, of)| **of == Some(subset)) {
            tally.add(trained.judge(at, facts.classes_of(at)));
            people.extend(facts.uploader_of(at));
        }
        if tally.clips() == 0 {
            continue;
        }
        let judged = known && subset != Subset::Train;
        rows.push(Leak {
            subset,
            clips: tally.clips(),
            uploaders: known.then(|| i64::try_from(people.len()).unwrap_or(i64::MAX)),
            shared: judged.then_some(tally.within + tally.between),
            within_class: (judged && labelled).then_some(tally.within),
            between_class: (judged && labelled).then_some(tally.between),
            clean: judged.then_some(tally.clean),
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

/// How many clips of each class a method wants in a subset, by the index of the class.
pub(super) type Targets = (Subset, Vec<f64>);

/// For each class and subset: clips, their share of the class's clips in the split, the target where the method has one, and how many
/// leak, where of several classes of a clip only the one counts.
fn by_class(facts: &ClipFacts, split: &Split, targets: Option<&Targets>) -> Result<RecordBatch, StageError> {
    let subsets = subsets(facts, split);
    let trained = Trained::new(facts, &subsets);
    let mut tallies = vec![[Tally::default(); 3]; facts.vocabulary.len()];
    for (at, subset) in subsets.iter().enumerate() {
        let Some(subset) = subset else { continue };
        for &class in facts.classes_of(at) {
            tallies[class][*subset as usize].add(trained.judge(at, &[class]));
        }
    }
    let (mut classes, mut names, mut clips) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shares, mut wanted) = (Vec::new(), Vec::new());
    let (mut within, mut between, mut clean) = (Vec::new(), Vec::new(), Vec::new());
    let used: Vec<Subset> = Subset::ALL.into_iter().filter(|of| subsets.contains(&Some(*of))).collect();
    for (class, of_class) in tallies.iter().enumerate() {
        let all: i64 = of_class.iter().map(|tally| tally.clips()).sum();
        for &subset in &used {
            let tally = of_class[subset as usize];
            let judged = facts.uploaders.is_some() && subset != Subset::Train;
            classes.push(facts.vocabulary[class].clone());
            names.push(subset.name().to_owned());
            clips.push(tally.clips());
            shares.push((all > 0).then(|| tally.clips() as f64 / all as f64));
            wanted.push(targets.filter(|(of, _)| *of == subset).map(|(_, targets)| targets[class]));
            within.push(judged.then_some(tally.within));
            between.push(judged.then_some(tally.between));
            clean.push(judged.then_some(tally.clean));
        }
    }
    columns::table(vec![
        ("class", Values::Text(classes)),
        ("subset", Values::Text(names)),
        ("clips", Values::Int(clips)),
        ("share", Values::Number(shares)),
        ("target", Values::Number(wanted)),
        ("within_class", Values::MaybeInt(within)),
        ("between_class", Values::MaybeInt(between)),
        ("clean", Values::MaybeInt(clean)),
    ])
}

/// For each named uploader: clips in each subset, and how many of those that validate and test leak.
fn by_uploader(facts: &ClipFacts, split: &Split) -> Result<RecordBatch, StageError> {
    let subsets = subsets(facts, split);
    let trained = Trained::new(facts, &subsets);
    let mut people: BTreeMap<&str, ([i64; 3], Tally)> = BTreeMap::new();
    for (at, subset) in subsets.iter().enumerate() {
        let (Some(subset), Some(uploader)) = (subset, facts.uploader_of(at)) else { continue };
        let (clips, tally) = people.entry(uploader).or_default();
        clips[*subset as usize] += 1;
        if *subset != Subset::Train {
            tally.add(trained.judge(at, facts.classes_of(at)));
        }
    }
    let labelled = facts.classes.is_some();
    let clips = |subset: Subset| people.values().map(|(clips, _)| clips[subset as usize]).collect();
    let leaks = |value: fn(&Tally) -> i64| {
        Values::MaybeInt(people.values().map(|(_, tally)| labelled.then(|| value(tally))).collect())
    };
    columns::table(vec![
        ("uploader", Values::Text(people.keys().map(|&name| name.to_owned()).collect())),
        ("train", Values::Int(clips(Subset::Train))),
        ("val", Values::Int(clips(Subset::Val))),
        ("test", Values::Int(clips(Subset::Test))),
        ("within_class", leaks(|tally| tally.within)),
        ("between_class", leaks(|tally| tally.between)),
    ])
}

/// Checks a split and writes the outputs of a split stage.
///
/// # Errors
/// [`StageError::Failed`] if no clip is left for training or testing.
pub(super) fn write(
    facts: &ClipFacts,
    split: &Split,
    targets: Option<&Targets>,
    io: &mut StageIo<'_>,
) -> Result<(), StageError> {
    if split.of(Subset::Train).next().is_none() {
        return Err(StageError::failed("the split leaves no clip for training")
            .help("take fewer clips for validation and test"));
    }
    io.write_table("split", Meta::new(), &split.to_table()?)?;
    io.write_table("contamination", Meta::new(), &table(&count(facts, split))?)?;
    io.write_table("by_class", Meta::new(), &by_class(facts, split, targets)?)?;
    io.write_table("by_uploader", Meta::new(), &by_uploader(facts, split)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (ClipFacts, Split) {
        let clip = |id: &str, person: Option<&str>, classes: &[usize], subset| {
            (id.to_owned(), person.map(str::to_owned), classes.to_vec(), subset)
        };
        let clips = [
            clip("a", Some("ann"), &[0], Subset::Train),
            clip("b", Some("bob"), &[1], Subset::Train),
            clip("c", Some("ann"), &[0, 1], Subset::Test), // within class 0, not within class 1
            clip("d", Some("ann"), &[1], Subset::Test),    // between classes: class 1 is bob's
            clip("e", Some("eve"), &[0], Subset::Test),    // clean
            clip("f", None, &[0], Subset::Test),           // unknown: clean
        ];
        let split = Split { clips: clips.iter().map(|(id, .., subset)| (id.clone(), *subset)).collect() };
        let facts = ClipFacts {
            ids: clips.iter().map(|clip| clip.0.clone()).collect(),
            uploaders: Some(clips.iter().map(|clip| clip.1.clone()).collect()),
            classes: Some(clips.iter().map(|clip| clip.2.clone()).collect()),
            vocabulary: vec!["zero".to_owned(), "one".to_owned()],
        };
        (facts, split)
    }

    #[test]
    fn clips_of_one_person_are_told_apart_by_class() {
        let (facts, split) = example();
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

    #[test]
    fn classes_and_people_have_tables_of_their_own() {
        let (facts, split) = example();
        let targets = (Subset::Test, vec![1.5, 0.5]);
        let classes = by_class(&facts, &split, Some(&targets)).unwrap();
        let numbers = |table: &RecordBatch, name| columns::maybe_int(table, name).unwrap();
        assert_eq!(columns::text(&classes, "subset").unwrap(), ["train", "test", "train", "test"]);
        assert_eq!(numbers(&classes, "clips"), [1, 3, 1, 2].map(Some));
        assert_eq!(columns::number(&classes, "share").unwrap()[1], Some(0.75));
        assert_eq!(columns::number(&classes, "target").unwrap(), [None, Some(1.5), None, Some(0.5)]);
        assert_eq!(numbers(&classes, "within_class"), [None, Some(1), None, Some(0)]);
        assert_eq!(numbers(&classes, "between_class"), [None, Some(0), None, Some(2)]);
        assert_eq!(numbers(&classes, "clean"), [None, Some(2), None, Some(0)]);
        let people = by_uploader(&facts, &split).unwrap();
        assert_eq!(columns::text(&people, "uploader").unwrap(), ["ann", "bob", "eve"]);
        assert_eq!(numbers(&people, "train"), [1, 1, 0].map(Some));
        assert_eq!(numbers(&people, "test"), [2, 0, 1].map(Some));
        assert_eq!(numbers(&people, "within_class"), [1, 0, 0].map(Some));
        assert_eq!(numbers(&people, "between_class"), [1, 0, 0].map(Some));
    }
}
