//! `split.uploader`: development and evaluation by different people.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::split as artefact;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_engine::{Output, ParamError, Port, Stage, StageError, StageIo, counted};

use super::clip_facts::ClipFacts;
use super::contamination;

/// Divides people, not clips: each uploader either trains or tests, and about a share of every class tests.
///
/// People are taken from those with few clips to those with many, of equal ones first who has more classes, then by name: a few
/// people with many clips would make a test of their recordings. One is taken for testing if that brings classes nearer to their
/// targets by more clips than it pushes others beyond `excess` times theirs. Clips of unknown uploaders are people of their own.
/// There is no chance in it. Inputs: `clips` with a column `uploader`, and `labels`. Outputs: those of `split.folds`; `by_class`
/// has the targets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UploaderParams {
    /// Share of the clips of every class that is to test, above 0 and below 1.
    pub test: f64,
    /// How far beyond its target a class may grow before that counts against taking somebody, from 1.
    pub excess: f64,
}

impl Default for UploaderParams {
    fn default() -> Self {
        Self { test: 0.2, excess: 1.25 }
    }
}

/// `split.uploader`.
pub struct SplitUploader;

impl Stage for SplitUploader {
    const NAME: &'static str = artefact::UPLOADER;
    const VERSION: u32 = 1;
    const SOURCE: &'static str = "Fonseca et al., FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP 2022 (the \
        order and the targets are ours)";
    type Params = UploaderParams;

    fn check(params: &UploaderParams) -> Vec<ParamError> {
        let mut errors = Vec::new();
        if !(params.test > 0.0 && params.test < 1.0) {
            errors.push(ParamError::new("test", format!("{} is outside 0..1", params.test)));
        }
        if !(params.excess >= 1.0 && params.excess.is_finite()) {
            errors.push(ParamError::new("excess", format!("{} is below 1", params.excess)));
        }
        errors
    }

    fn inputs(_: &UploaderParams) -> Vec<Port> {
        vec![ClipFacts::port(&[]), ClipFacts::labels_port()]
    }

    fn outputs(_: &UploaderParams) -> Vec<Output> {
        ClipFacts::outputs()
    }

    fn run(params: &UploaderParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (facts, _) = ClipFacts::read(io)?;
        if facts.uploaders.is_none() {
            return Err(StageError::failed("the clips have no column `uploader`")
                .help("name it in the data set, or split with `split.random`"));
        }
        let unknown = (0..facts.ids.len()).filter(|&at| facts.uploader_of(at).is_none()).count();
        if unknown > 0 {
            io.remark(format!("{} of unknown uploaders, each divided by itself", counted(unknown, "clip")));
        }
        let targets = targets(params, &facts);
        let split = split(params, &facts, &targets)?;
        contamination::write(&facts, &split, Some(&(Subset::Test, targets)), io)
    }
}

/// How many clips of each class are to test.
fn targets(params: &UploaderParams, facts: &ClipFacts) -> Vec<f64> {
    let all = facts.class_counts(0..facts.ids.len());
    all.into_iter().map(|n| (params.test * n as f64).round()).collect()
}

/// The clips of one uploader, and how many of them have each class.
#[derive(Default)]
struct Person<'a> {
    name: &'a str,
    clips: Vec<usize>,
    classes: BTreeMap<usize, f64>,
}

fn people(facts: &ClipFacts) -> Vec<Person<'_>> {
    let mut people: BTreeMap<(bool, &str), Person<'_>> = BTreeMap::new();
    for (at, id) in facts.ids.iter().enumerate() {
        let uploader = facts.uploader_of(at);
        let name = uploader.unwrap_or(id);
        let person = people.entry((uploader.is_some(), name)).or_default();
        person.name = name;
        person.clips.push(at);
        facts.classes_of(at).iter().for_each(|&class| *person.classes.entry(class).or_default() += 1.0);
    }
    let mut people: Vec<Person<'_>> = people.into_values().collect();
    people.sort_by_key(|person| (person.clips.len(), std::cmp::Reverse(person.classes.len()), person.name));
    people
}

fn split(params: &UploaderParams, facts: &ClipFacts, targets: &[f64]) -> Result<Split, StageError> {
    let mut split = Split { clips: facts.ids.iter().map(|id| (id.clone(), Subset::Train)).collect() };
    let mut reached = vec![0.0; targets.len()];
    let mut missing = targets.iter().filter(|target| **target > 0.0).count();
    for person in people(facts) {
        if missing == 0 {
            break;
        }
        let (mut nearer, mut beyond) = (0.0, 0.0);
        for (&class, n) in &person.classes {
            let (target, before): (f64, f64) = (targets[class], reached[class]);
            nearer += ((target - before).abs() - (target - before - n).abs()).max(0.0);
            beyond += (before + n - before.max(params.excess * target)).max(0.0);
        }
        if nearer <= beyond {
            continue;
        }
        for (&class, n) in &person.classes {
            let short = reached[class] < targets[class];
            reached[class] += n;
            missing -= usize::from(short && reached[class] >= targets[class]);
        }
        for at in person.clips {
            split.clips.insert(facts.ids[at].clone(), Subset::Test);
        }
    }
    for subset in [Subset::Train, Subset::Test] {
        if split.of(subset).next().is_none() {
            let message = format!("no uploader is left for `{}`", subset.name());
            return Err(StageError::failed(message)
                .help("a split by uploader needs several people for each class; try another share"));
        }
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn facts(clips: &[(Option<usize>, Vec<usize>)], classes: usize) -> ClipFacts {
        ClipFacts {
            ids: (0..clips.len()).map(|n| format!("c{n:05}")).collect(),
            uploaders: Some(clips.iter().map(|(person, _)| person.map(|n| format!("p{n:03}"))).collect()),
            classes: Some(clips.iter().map(|(_, classes)| classes.clone()).collect()),
            vocabulary: (0..classes).map(|class| class.to_string()).collect(),
        }
    }

    fn run(facts: &ClipFacts) -> Result<Split, StageError> {
        let params = UploaderParams::default();
        split(&params, facts, &targets(&params, facts))
    }

    #[test]
    fn small_uploaders_test_until_the_targets_are_met() {
        // Person n has n + 1 clips, of two classes in turn: 210 clips, 20 people, a target of 21 clips a class.
        let clips = (0..20).flat_map(|n| (0..=n).map(move |k| (Some(n), vec![k % 2])));
        let facts = facts(&clips.collect::<Vec<_>>(), 2);
        let split = run(&facts).unwrap();
        let people: BTreeSet<&str> = (0..facts.ids.len())
            .filter(|&at| split.clips[&facts.ids[at]] == Subset::Test)
            .filter_map(|at| facts.uploader_of(at))
            .collect();
        // 1 + 2 + … + 8 = 36 clips are too few, 45 are enough.
        assert_eq!(
            people.into_iter().collect::<Vec<_>>(),
            (0..9).map(|n| format!("p{n:03}")).collect::<Vec<_>>()
        );
    }

    #[test]
    fn who_would_push_a_class_far_beyond_stays() {
        // Five people with a clip of class 0 and one with ten of it: 15 clips, a target of 3.
        let few = (0..5).map(|n| (Some(n), vec![0]));
        let clips: Vec<_> = few.chain((0..10).map(|_| (Some(9), vec![0]))).collect();
        let split = run(&facts(&clips, 1)).unwrap();
        assert_eq!(split.of(Subset::Test).collect::<Vec<_>>(), ["c00000", "c00001", "c00002"]);
        let error = run(&facts(&[(Some(1), vec![0]), (Some(1), vec![0])], 1)).unwrap_err().to_string();
        assert_eq!(error, "no uploader is left for `test`");
    }

    proptest! {
        /// Whatever the clips are, nobody is on both sides.
        #[test]
        fn nobody_is_on_both_sides(
            clips in prop::collection::vec(
                (prop::option::of(0usize..8), prop::collection::vec(0usize..5, 0..4)), 1..80),
        ) {
            let facts = facts(&clips, 5);
            let Ok(split) = run(&facts) else { return Ok(()) };
            let people = |wanted: Subset| {
                (0..facts.ids.len())
                    .filter(|&at| split.clips[&facts.ids[at]] == wanted)
                    .filter_map(|at| facts.uploader_of(at))
                    .collect::<BTreeSet<_>>()
            };
            prop_assert!(people(Subset::Train).is_disjoint(&people(Subset::Test)));
        }
    }
}
