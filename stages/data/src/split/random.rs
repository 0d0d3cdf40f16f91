//! `split.random`: a stratified draw.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::split as artefact;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_engine::{Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

use super::clip_facts::ClipFacts;
use super::contamination;
use super::draw::draw;

/// A random split in which every class is spread by the same shares.
///
/// Inputs: `clips` and `labels`. Outputs: `split` and `contamination`, as of `split.folds`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomParams {
    /// Share of the clips that test, above 0 and below 1.
    pub test: f64,
    /// Share of the clips that validate, from 0 (none).
    #[serde(default)]
    pub val: f64,
    /// Seed of the draw.
    #[serde(default)]
    pub seed: u64,
}

/// `split.random`.
pub struct SplitRandom;

impl Stage for SplitRandom {
    const NAME: &'static str = artefact::RANDOM;
    const VERSION: u32 = 2; // 2: the outputs `by_class` and `by_uploader`.
    const SOURCE: &'static str =
        "Sechidis, Tsoumakas, Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011";
    type Params = RandomParams;

    fn check(params: &RandomParams) -> Vec<ParamError> {
        let mut errors = Vec::new();
        if !(params.test > 0.0 && params.test < 1.0) {
            errors.push(ParamError::new("test", format!("{} is outside 0..1", params.test)));
        }
        if !(0.0..1.0).contains(&params.val) {
            errors.push(ParamError::new("val", format!("{} is outside 0..1", params.val)));
        }
        if errors.is_empty() && params.test + params.val >= 1.0 {
            let message = format!(
                "{} for testing and {} for validation leave nothing for training",
                params.test, params.val
            );
            errors.push(ParamError::new("", message).help("the two shares together must stay below 1"));
        }
        errors
    }

    fn inputs(_: &RandomParams) -> Vec<Port> {
        vec![ClipFacts::port(&[]), ClipFacts::labels_port()]
    }

    fn outputs(_: &RandomParams) -> Vec<Output> {
        ClipFacts::outputs()
    }

    fn run(params: &RandomParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (facts, _) = ClipFacts::read(io)?;
        let split = split(params, &facts)?;
        for (subset, share) in [(Subset::Test, params.test), (Subset::Val, params.val)] {
            let (count, wanted) = (split.of(subset).count(), (share * facts.ids.len() as f64).round());
            if (count as f64) < 0.8 * wanted - 1.0 {
                io.remark(format!(
                    "{count} of {} {} for `{}`, a share of {share} would be {wanted}: many classes have too few clips to be divided",
                    counted(facts.ids.len(), "clip"),
                    agree(count, "is", "are"),
                    subset.name()
                ));
            }
        }
        contamination::write(&facts, &split, None, io)
    }
}

fn split(params: &RandomParams, facts: &ClipFacts) -> Result<Split, StageError> {
    let all: Vec<usize> = (0..facts.ids.len()).collect();
    let shares = [1.0 - params.test - params.val, params.val, params.test];
    let drawn = draw(&facts.with_classes(&all), &shares, params.seed);
    let clips = facts.ids.iter().zip(drawn).map(|(id, subset)| (id.clone(), Subset::ALL[subset])).collect();
    let split = Split { clips };
    for (subset, share) in [(Subset::Test, params.test), (Subset::Val, params.val)] {
        if share > 0.0 && split.of(subset).next().is_none() {
            let message = format!(
                "a share of {share} of {} leaves none for `{}`",
                counted(facts.ids.len(), "clip"),
                subset.name()
            );
            return Err(StageError::failed(message).help("take a larger share"));
        }
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_for_every_class() {
        let ids: Vec<String> = (0..90).map(|at| format!("c{at}")).collect();
        let facts = ClipFacts {
            classes: Some((0..90).map(|at| vec![at % 3]).collect()),
            ids,
            ..ClipFacts::default()
        };
        let split = split(&RandomParams { test: 0.2, val: 0.1, seed: 5 }, &facts).unwrap();
        for class in 0..3 {
            let count =
                |subset| split.of(subset).filter(|id| id[1..].parse::<usize>().unwrap() % 3 == class).count();
            assert_eq!(Subset::ALL.map(count), [21, 3, 6]);
        }
    }

    #[test]
    fn single_clips_of_many_classes_are_drawn_by_their_share() {
        let ids: Vec<String> = (0..1500).map(|at| format!("c{at}")).collect();
        let classes = Some((0..1500).map(|at| vec![at]).collect());
        let facts = ClipFacts { classes, ids, ..ClipFacts::default() };
        let split = split(&RandomParams { test: 0.3, val: 0.0, seed: 1 }, &facts).unwrap();
        assert_eq!(split.of(Subset::Test).count(), 450);
    }

    #[test]
    fn shares_that_leave_nothing_are_refused() {
        let errors = SplitRandom::check(&RandomParams { test: 0.6, val: 0.5, seed: 0 });
        assert_eq!(errors[0].message, "0.6 for testing and 0.5 for validation leave nothing for training");
        let facts = ClipFacts { ids: vec!["a".into(), "b".into(), "c".into()], ..ClipFacts::default() };
        let error = split(&RandomParams { test: 0.01, val: 0.0, seed: 0 }, &facts).unwrap_err().to_string();
        assert_eq!(error, "a share of 0.01 of 3 clips leaves none for `test`");
    }
}
