//! `split.train_val`: separates clips for validation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::columns;
use sndpipe_artefacts::split as artefact;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, counted};

use super::clip_facts::ClipFacts;
use super::contamination;
use super::draw::draw;
use super::separate::separate;
use super::subsets::COLUMN;

/// How clips for validation are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Separation {
    /// Any clips.
    Random,
    /// The same share of every class, also where clips have several.
    Stratified,
    /// Whole groups of clips of one uploader and one class, with about the same share of every class: nobody's dog is in both. People
    /// may be, with different classes.
    Uploader,
}

/// Separates clips for validation from those that train.
///
/// Inputs: `clips`, `labels` (not needed by `random`) and optionally `split`. What trains or validates in that split is separated
/// anew, what tests stays, and what is in no subset stays out; without a split the column `subset` of the clips says so (`train`,
/// `val`, `test`), and without that column all clips are separated. Outputs: those of `split.folds`; `by_class` has the
/// targets of `stratified` and `uploader`. For `uploader`, give labels that were not propagated: where most clips of a person share
/// a general class such as `Music`, they are one group.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainValParams {
    /// How clips are chosen.
    pub method: Separation,
    /// Share of the clips that validate, above 0 and below 1.
    #[serde(default = "tenth")]
    pub val: f64,
    /// Seed of the draw.
    #[serde(default)]
    pub seed: u64,
}

const fn tenth() -> f64 {
    0.1
}

/// `split.train_val`.
pub struct SplitTrainVal;

impl Stage for SplitTrainVal {
    const NAME: &'static str = artefact::TRAIN_VAL;
    const VERSION: u32 = 1;
    const SOURCE: &'static str = "Sechidis, Tsoumakas, Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011; \
        Fonseca et al., FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP 2022";
    type Params = TrainValParams;

    fn check(params: &TrainValParams) -> Vec<ParamError> {
        let wrong = !(params.val > 0.0 && params.val < 1.0);
        wrong.then(|| ParamError::new("val", format!("{} is outside 0..1", params.val))).into_iter().collect()
    }

    fn inputs(params: &TrainValParams) -> Vec<Port> {
        let labels = ClipFacts::labels_port();
        vec![
            ClipFacts::port(&["subset?"]),
            if params.method == Separation::Random { labels.optional() } else { labels },
            Port::new("split", Kind::Split).reading(&Split::COLUMNS).optional(),
        ]
    }

    fn outputs(_: &TrainValParams) -> Vec<Output> {
        ClipFacts::outputs()
    }

    fn run(params: &TrainValParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (facts, table) = ClipFacts::read(io)?;
        if params.method == Separation::Uploader && facts.uploaders.is_none() {
            return Err(StageError::failed("the clips have no column `uploader`")
                .help("name it in the data set, or separate with `method: stratified`"));
        }
        let given = if io.has("split") {
            Split::read(&io.table("split")?)?
        } else if table.column_by_name(COLUMN).is_some() {
            official(&facts, &columns::maybe_text(&table, COLUMN)?)?
        } else {
            Split { clips: facts.ids.iter().map(|id| (id.clone(), Subset::Train)).collect() }
        };
        let split = split(params, &facts, &given)?;
        let targets = targets(params, &facts, &split);
        let reached = facts.class_counts(of(&facts, &split, &[Subset::Val]).into_iter());
        let empty = facts.vocabulary.iter().zip(reached.iter().zip(&targets));
        let empty = empty.filter(|(_, (reached, target))| **reached == 0 && **target > 0.0);
        let empty: Vec<&str> = empty.map(|(class, _)| class.as_str()).collect();
        if !empty.is_empty() {
            io.remark(format!("classes without a clip for validation: {}", empty.join(", ")));
        }
        let targets = (Subset::Val, targets);
        let targets = (params.method != Separation::Random).then_some(&targets);
        contamination::write(&facts, &split, targets, io)
    }
}

/// The split that the column `subset` describes.
fn official(facts: &ClipFacts, names: &[Option<String>]) -> Result<Split, StageError> {
    let mut split = Split::default();
    for (id, name) in facts.ids.iter().zip(names) {
        let Some(name) = name else { continue };
        let subset = Subset::ALL.into_iter().find(|subset| subset.name() == name).ok_or_else(|| {
            StageError::failed(format!("clip `{id}` is in the subset `{name}`, not in train, val or test"))
                .help("say what the subsets are for with `split.subsets`, and connect its split")
        })?;
        split.clips.insert(id.clone(), subset);
    }
    Ok(split)
}

/// Positions of the clips of some subsets.
fn of(facts: &ClipFacts, split: &Split, subsets: &[Subset]) -> Vec<usize> {
    let is_in = |&at: &usize| split.clips.get(&facts.ids[at]).is_some_and(|subset| subsets.contains(subset));
    (0..facts.ids.len()).filter(is_in).collect()
}

/// How many clips of each class were to validate.
fn targets(params: &TrainValParams, facts: &ClipFacts, split: &Split) -> Vec<f64> {
    let all = facts.class_counts(of(facts, split, &[Subset::Train, Subset::Val]).into_iter());
    all.into_iter().map(|n| params.val * n as f64).collect()
}

/// Clips that the data set does not have any more are left out.
fn split(params: &TrainValParams, facts: &ClipFacts, given: &Split) -> Result<Split, StageError> {
    let pool = of(facts, given, &[Subset::Train, Subset::Val]);
    let shares = [1.0 - params.val, params.val];
    let chosen: Vec<bool> = match params.method {
        Separation::Random => {
            let clips: Vec<_> = pool.iter().map(|&at| (facts.ids[at].as_str(), Vec::new())).collect();
            draw(&clips, &shares, params.seed).into_iter().map(|side| side == 1).collect()
        }
        Separation::Stratified => {
            let drawn = draw(&facts.with_classes(&pool), &shares, params.seed);
            drawn.into_iter().map(|side| side == 1).collect()
        }
        Separation::Uploader => separate(facts, &pool, params.val, params.seed),
    };
    let tests = of(facts, given, &[Subset::Test]).into_iter().map(|at| (at, Subset::Test));
    let subset = |chosen| if chosen { Subset::Val } else { Subset::Train };
    let others = pool.iter().zip(chosen).map(|(&at, chosen)| (at, subset(chosen)));
    let clips = others.chain(tests).map(|(at, subset)| (facts.ids[at].clone(), subset)).collect();
    let split = Split { clips };
    if split.of(Subset::Val).next().is_none() {
        let all = counted(pool.len(), "clip");
        let message = format!("a share of {} of {all} leaves none for validation", params.val);
        return Err(StageError::failed(message).help("take a larger share"));
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ClipFacts {
        ClipFacts {
            ids: (0..200).map(|n| format!("c{n:03}")).collect(),
            uploaders: Some((0..200).map(|n| Some(format!("p{}", n / 2))).collect()),
            classes: Some((0..200).map(|n| vec![n / 2 % 4]).collect()),
            vocabulary: (0..4).map(|n| n.to_string()).collect(),
        }
    }

    fn params(method: Separation) -> TrainValParams {
        TrainValParams { method, val: 0.2, seed: 3 }
    }

    #[test]
    fn only_what_trains_or_validates_is_separated() {
        let facts = facts();
        let names: Vec<Option<String>> =
            (0..200).map(|n| ["train", "val", "test"].get(n / 60).map(|name| (*name).to_owned())).collect();
        let given = official(&facts, &names).unwrap();
        for method in [Separation::Random, Separation::Stratified, Separation::Uploader] {
            let split = split(&params(method), &facts, &given).unwrap();
            let counts = Subset::ALL.map(|subset| split.of(subset).count());
            assert_eq!(counts, [96, 24, 60], "{method:?}");
            assert!(split.of(Subset::Test).eq(given.of(Subset::Test)), "{method:?}");
            let other = super::split(&TrainValParams { seed: 4, ..params(method) }, &facts, &given).unwrap();
            assert_ne!(other, split, "{method:?}: the seed counts");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let facts = facts();
        let error = official(&facts, &[Some("dev".to_owned())]).unwrap_err().to_string();
        assert_eq!(error, "clip `c000` is in the subset `dev`, not in train, val or test");
        let given = Split { clips: [("c000".to_owned(), Subset::Train)].into() };
        let error = split(&params(Separation::Uploader), &facts, &given).unwrap_err().to_string();
        assert_eq!(error, "a share of 0.2 of 1 clip leaves none for validation");
        assert_eq!(
            SplitTrainVal::check(&TrainValParams { val: 1.0, ..params(Separation::Random) })[0].path,
            "val"
        );
    }

    /// Generated clips in the numbers of FSD50K: a few people with very many clips, many with few, one to four of 200 classes.
    #[test]
    fn fifty_thousand_clips_are_separated_at_once() {
        let n = 51_197;
        let person = |at: usize| (at as f64 / n as f64).powi(3) * 7000.0;
        let classes = |at: usize| {
            let first = (at * 7919) % 200;
            (0..1 + at % 4).map(|more| (first * (more + 1)) % 200).collect::<std::collections::BTreeSet<_>>()
        };
        let facts = ClipFacts {
            ids: (0..n).map(|at| at.to_string()).collect(),
            uploaders: Some((0..n).map(|at| Some(format!("p{}", person(at) as usize))).collect()),
            classes: Some((0..n).map(|at| classes(at).into_iter().collect()).collect()),
            vocabulary: (0..200).map(|class| class.to_string()).collect(),
        };
        let given = Split { clips: facts.ids.iter().map(|id| (id.clone(), Subset::Train)).collect() };
        for method in [Separation::Random, Separation::Stratified, Separation::Uploader] {
            let since = std::time::Instant::now();
            let split = split(&TrainValParams { method, val: 0.1, seed: 0 }, &facts, &given).unwrap();
            let took = since.elapsed();
            let val = split.of(Subset::Val).count();
            println!("{method:?}: {val} of {n} clips validate, {took:?}");
            assert!((n / 20..n / 6).contains(&val), "{method:?}: {val}");
        }
    }
}
