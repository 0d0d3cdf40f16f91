//! `split.folds`: official folds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sndpipe_artefacts::columns;
use sndpipe_artefacts::split as artefact;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_engine::{Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

use super::clip_facts::ClipFacts;
use super::contamination;
use super::draw::draw;

/// Where the clips for validation come from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Validation {
    /// There are none.
    #[default]
    None,
    /// The fold after the test fold; after the last comes the first.
    NextFold,
    /// A share of the clips that are not for testing, between 0 and 1, spread over the classes where labels are connected.
    Share(f64),
}

impl Serialize for Validation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::NextFold => serializer.serialize_str("next_fold"),
            Self::Share(share) => serializer.serialize_f64(*share),
        }
    }
}

impl<'de> Deserialize<'de> for Validation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Validation;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, `next_fold` or a share between 0 and 1")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Validation, E> {
                match text {
                    "none" => Ok(Validation::None),
                    "next_fold" => Ok(Validation::NextFold),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_unit<E: de::Error>(self) -> Result<Validation, E> {
                Ok(Validation::None)
            }
            fn visit_f64<E: de::Error>(self, share: f64) -> Result<Validation, E> {
                Ok(Validation::Share(share))
            }
            fn visit_u64<E: de::Error>(self, share: u64) -> Result<Validation, E> {
                Ok(Validation::Share(share as f64))
            }
            fn visit_i64<E: de::Error>(self, share: i64) -> Result<Validation, E> {
                Ok(Validation::Share(share as f64))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for Validation {
    fn schema_name() -> Cow<'static, str> {
        "Validation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`none`, `next_fold`, or a share of the clips that are not for testing, between 0 and 1.",
            "oneOf": [
                { "enum": ["none", "next_fold"] },
                { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 },
            ],
        })
    }
}

/// One official fold tests, the others train.
///
/// Inputs: `clips` with a column `fold`; optionally `labels`, which spread a share for validation over the classes and tell the two sorts
/// of contamination apart. Outputs: `split` and `contamination`: for each subset how many clips come from people whose
/// other clips are trained on (`within_class`: with the same class, `between_class`: with other classes only).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FoldsParams {
    /// The fold that tests.
    pub test: i64,
    /// Where the clips for validation come from.
    #[serde(default)]
    pub val: Validation,
    /// Seed of the draw where `val` is a share.
    #[serde(default)]
    pub seed: u64,
}

/// `split.folds`.
pub struct SplitFolds;

impl Stage for SplitFolds {
    const NAME: &'static str = artefact::FOLDS;
    const VERSION: u32 = 2; // 2: the outputs `by_class` and `by_uploader`.
    type Params = FoldsParams;

    fn check(params: &FoldsParams) -> Vec<ParamError> {
        match params.val {
            Validation::Share(share) if !(share > 0.0 && share < 1.0) => {
                vec![
                    ParamError::new("val", format!("{share} is outside 0..1"))
                        .help("a share of the clips, or `none`, or `next_fold`"),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn inputs(_: &FoldsParams) -> Vec<Port> {
        vec![ClipFacts::port(&["fold"]), ClipFacts::labels_port().optional()]
    }

    fn outputs(_: &FoldsParams) -> Vec<Output> {
        ClipFacts::outputs()
    }

    fn run(params: &FoldsParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (facts, table) = ClipFacts::read(io)?;
        let split = split(params, &facts, &columns::maybe_int(&table, "fold")?)?;
        contamination::write(&facts, &split, None, io)
    }
}

fn split(params: &FoldsParams, facts: &ClipFacts, folds: &[Option<i64>]) -> Result<Split, StageError> {
    let homeless: Vec<&str> =
        facts.ids.iter().zip(folds).filter(|(_, fold)| fold.is_none()).map(|(id, _)| id.as_str()).collect();
    if let Some(first) = homeless.first() {
        let (count, all) = (homeless.len(), counted(facts.ids.len(), "clip"));
        let are = agree(count, "is", "are");
        let message = format!("{count} of {all} {are} in no fold, the first is `{first}`");
        return Err(StageError::failed(message).help("give every clip a fold, or use `split.random`"));
    }
    let known: BTreeSet<i64> = folds.iter().flatten().copied().collect();
    if !known.contains(&params.test) {
        let names: Vec<String> = known.iter().map(i64::to_string).collect();
        return Err(StageError::failed(format!(
            "there is no fold {}; the folds are {}",
            params.test,
            names.join(", ")
        )));
    }
    let next = known.range(params.test + 1..).next().or_else(|| known.first()).copied();
    let validates =
        |fold: i64| params.val == Validation::NextFold && Some(fold) == next && fold != params.test;
    let mut clips: BTreeMap<String, Subset> = BTreeMap::new();
    let mut rest = Vec::new();
    for (at, (id, fold)) in facts.ids.iter().zip(folds.iter().flatten()).enumerate() {
        let subset = if *fold == params.test {
            Subset::Test
        } else if validates(*fold) {
            Subset::Val
        } else {
            rest.push(at);
            Subset::Train
        };
        clips.insert(id.clone(), subset);
    }
    if let Validation::Share(share) = params.val {
        let drawn = draw(&facts.with_classes(&rest), &[1.0 - share, share], params.seed);
        for (&at, _) in rest.iter().zip(&drawn).filter(|(_, drawn)| **drawn == 1) {
            clips.insert(facts.ids[at].clone(), Subset::Val);
        }
    }
    if params.val != Validation::None && !clips.values().any(|subset| *subset == Subset::Val) {
        let message = "no clip is left for validation";
        return Err(StageError::failed(message).help("take a larger share, or set `val: none`"));
    }
    Ok(Split { clips })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(test: i64, val: &str) -> FoldsParams {
        serde_json::from_str(&format!("{{\"test\": {test}, \"val\": {val}}}")).unwrap()
    }

    fn facts(n: usize) -> (ClipFacts, Vec<Option<i64>>) {
        let ids = (0..n).map(|at| format!("c{at:03}")).collect();
        let classes = Some((0..n).map(|at| vec![at / 5 % 2]).collect());
        (
            ClipFacts { ids, classes, ..ClipFacts::default() },
            (0..n).map(|at| Some(at as i64 % 5 + 1)).collect(),
        )
    }

    fn counts(params: &FoldsParams) -> [usize; 3] {
        let (facts, folds) = facts(100);
        let split = split(params, &facts, &folds).unwrap();
        Subset::ALL.map(|subset| split.of(subset).count())
    }

    #[test]
    fn folds_become_subsets() {
        assert_eq!(counts(&params(2, "\"none\"")), [80, 0, 20]);
        assert_eq!(counts(&params(2, "\"next_fold\"")), [60, 20, 20]);
        assert_eq!(counts(&params(2, "0.1")), [72, 8, 20]);
        let (facts, folds) = facts(100);
        let last = split(&params(5, "\"next_fold\""), &facts, &folds).unwrap();
        assert!(
            last.of(Subset::Val).all(|id| id[1..].parse::<usize>().unwrap() % 5 == 0),
            "after the last comes the first"
        );
    }

    #[test]
    fn a_share_for_validation_is_spread_over_the_classes() {
        let (facts, folds) = facts(100);
        let split = split(&params(1, "0.25"), &facts, &folds).unwrap();
        let of_class = |class| {
            split.of(Subset::Val).filter(|id| id[1..].parse::<usize>().unwrap() / 5 % 2 == class).count()
        };
        assert_eq!([of_class(0), of_class(1)], [10, 10]);
    }

    #[track_caller]
    fn refused(params: &FoldsParams, folds: &[Option<i64>], expected: &str) {
        let ids = (0..folds.len()).map(|at| format!("c{at}")).collect();
        let error = split(params, &ClipFacts { ids, ..ClipFacts::default() }, folds).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn impossible_splits_are_refused() {
        refused(
            &params(1, "\"none\""),
            &[Some(1), None, None],
            "2 of 3 clips are in no fold, the first is `c1`",
        );
        refused(&params(7, "\"none\""), &[Some(1), Some(3)], "there is no fold 7; the folds are 1, 3");
        refused(&params(1, "\"next_fold\""), &[Some(1), Some(1)], "no clip is left for validation");
        assert_eq!(SplitFolds::check(&params(1, "1.5"))[0].message, "1.5 is outside 0..1");
        let error =
            serde_json::from_str::<FoldsParams>("{\"test\": 1, \"val\": \"nxt\"}").unwrap_err().to_string();
        assert!(error.contains("`none`, `next_fold` or a share"), "{error}");
    }
}
