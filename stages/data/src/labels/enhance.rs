//! `labels.enhance`: marks labels that may be missing.

use std::collections::BTreeMap;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::labels::class_names;
use sndpipe_artefacts::{Labels, State};
use sndpipe_artefacts::{Split, Subset};
use sndpipe_cache::{Meta, Rows};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

/// Scores that are held at once, 256 MB of them.
const HELD: usize = 64 << 20;

/// Marks the labels that a teacher believes to be missing: of each class, the clips that nobody checked for it and that the
/// teacher gives the highest scores.
///
/// A pair of a clip and a class without a label is an implicit negative: mostly nobody ever looked. Of the `n` implicit negatives of
/// a class, `floor(rate / 100 * n + 0.5)` become `ignored`, those with the highest scores (of equal ones the first by clip id). Labels
/// that are there are left as they are. `train` with `loss: bce` leaves ignored labels out of its loss.
///
/// Inputs: `labels`; `scores` of a teacher, clip by clip (`score` with `subset: train`); optionally `split`: only training clips are
/// marked. Clips without scores are not marked. Outputs: `labels`, and `thresholds` with a row for each class: `class, n, flagged,
/// threshold`: implicit negatives, how many of them were marked, and the lowest score among these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnhanceParams {
    /// Percentage of the implicit negatives of a class that are marked, `0..=100`.
    pub rate: f64,
}

/// `labels.enhance`.
pub struct LabelsEnhance;

impl Stage for LabelsEnhance {
    const NAME: &'static str = "labels.enhance";
    const VERSION: u32 = 1;
    const SOURCE: &'static str = "Fonseca, Hershey, Plakal, Ellis, Jansen, Moore, Addressing Missing Labels in Large-Scale Sound Event \
                                  Recognition Using a Teacher-Student Framework With Loss Masking, IEEE SPL 2020";
    type Params = EnhanceParams;

    fn check(params: &EnhanceParams) -> Vec<ParamError> {
        let wrong = !(0.0..=100.0).contains(&params.rate);
        wrong
            .then(|| {
                ParamError::new("rate", format!("{} is outside 0..=100", params.rate)).help("a percentage")
            })
            .into_iter()
            .collect()
    }

    fn inputs(_: &EnhanceParams) -> Vec<Port> {
        vec![
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            Port::new("scores", Kind::Scores),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS).optional(),
        ]
    }

    fn outputs(_: &EnhanceParams) -> Vec<Output> {
        vec![Output::new("labels", Kind::Labels), Output::new("thresholds", Kind::Table)]
    }

    fn run(params: &EnhanceParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let mut labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let places = places(&labels.classes, io.meta("scores")?)?;
        let rows = io.open_rows("scores")?;
        let split = if io.has("split") { Some(Split::read(&io.table("split")?)?) } else { None };
        let clips: Vec<usize> = match &split {
            None => (0..rows.len()).collect(),
            Some(split) => split.of(Subset::Train).filter_map(|id| rows.position(id)).collect(),
        };
        if clips.is_empty() {
            return Err(StageError::failed("no clip that could be marked has scores")
                .help("score the training clips with the teacher: `score` with `subset: train`"));
        }
        if let Some(split) = &split {
            let without = split.of(Subset::Train).count() - clips.len();
            if without > 0 {
                let are = agree(without, "is", "are");
                let clips = counted(without, "training clip");
                io.remark(format!("{clips} without scores {are} not marked"));
            }
        }
        let marked = mark(params.rate, &labels, &places, &rows, &clips, io)?;
        for (class, marked) in marked.iter().enumerate() {
            for &position in &marked.clips {
                labels
                    .clips
                    .entry(rows.ids()[position].to_owned())
                    .or_default()
                    .insert(class, State::Ignored);
            }
        }
        let (meta, table) = labels.to_table()?;
        io.write_table("labels", meta, &table)?;
        let count = |of: fn(&Marked) -> usize| {
            Values::Int(marked.iter().map(|marked| i64::try_from(of(marked)).unwrap_or(i64::MAX)).collect())
        };
        let thresholds = columns::table(vec![
            ("class", Values::Text(labels.classes.clone())),
            ("n", count(|marked| marked.negatives)),
            ("flagged", count(|marked| marked.clips.len())),
            ("threshold", Values::Number(marked.iter().map(|marked| marked.threshold).collect())),
        ])?;
        io.write_table("thresholds", Meta::new(), &thresholds)
    }
}

/// What was marked of a class.
#[derive(Debug, Clone, PartialEq)]
struct Marked {
    /// How many clips have no label of the class.
    negatives: usize,
    /// The marked ones, by their position.
    clips: Vec<usize>,
    /// Their lowest score.
    threshold: Option<f64>,
}

/// For each class of the labels its place among the scores.
fn places(classes: &[String], scores: &Meta) -> Result<Vec<usize>, StageError> {
    let scored = class_names(scores).ok_or_else(|| {
        StageError::failed("the scores do not name their classes (`classes` in their metadata)")
    })?;
    let index: BTreeMap<&String, usize> = scored.iter().enumerate().map(|(i, class)| (class, i)).collect();
    let place = |class: &String| {
        index.get(class).copied().ok_or_else(|| {
            StageError::failed(format!("the teacher gives no scores of the class `{class}`"))
                .help("train the teacher on labels with the same classes")
        })
    };
    classes.iter().map(place).collect()
}

/// Marks class by class. Scores are read for as many classes at a time as may be held.
fn mark(
    rate: f64,
    labels: &Labels,
    places: &[usize],
    rows: &Rows,
    clips: &[usize],
    io: &StageIo<'_>,
) -> Result<Vec<Marked>, StageError> {
    // Explicit labels of each class, as a sorted list of clips.
    let mut explicit = vec![Vec::new(); places.len()];
    for &position in clips {
        let labels = labels.clips.get(&rows.ids()[position]);
        labels.into_iter().flat_map(BTreeMap::keys).for_each(|&class| explicit[class].push(position));
    }
    let at_once = (HELD / clips.len()).clamp(1, places.len().max(1));
    let mut marked = Vec::with_capacity(places.len());
    for (places, explicit) in places.chunks(at_once).zip(explicit.chunks(at_once)) {
        let mut scores = vec![Vec::with_capacity(clips.len()); places.len()];
        for (done, &position) in clips.iter().enumerate() {
            if done % 1024 == 0 {
                io.tick()?;
                io.progress(marked.len() as u64, labels.classes.len() as u64, "classes", "");
            }
            let row = rows.row(position)?.to_f32();
            for (scores, &place) in scores.iter_mut().zip(places) {
                let score = row.get(place).copied().filter(|score| score.is_finite());
                scores.push(score.ok_or_else(|| bad(&rows.ids()[position], place, &row))?);
            }
        }
        let of_class = |(scores, explicit): (&Vec<f32>, &Vec<usize>)| select(rate, clips, scores, explicit);
        marked.par_extend(scores.par_iter().zip(explicit).map(of_class));
    }
    Ok(marked)
}

/// What is wrong with the scores of a clip.
fn bad(id: &str, place: usize, row: &[f32]) -> StageError {
    match row.get(place) {
        Some(score) => StageError::failed(format!("clip `{id}` has the score {score} for class {place}")),
        None => {
            StageError::failed(format!("clip `{id}` has {} scores, and there are more classes", row.len()))
        }
    }
}

/// Marks the implicit negatives of one class: `clips` are sorted by id, with a score each; `explicit` are those with a label.
fn select(rate: f64, clips: &[usize], scores: &[f32], explicit: &[usize]) -> Marked {
    let mut negatives: Vec<(f32, usize)> = scores
        .iter()
        .copied()
        .zip(clips.iter().copied())
        .filter(|(_, clip)| explicit.binary_search(clip).is_err())
        .collect();
    let count = negatives.len();
    let flagged = ((rate / 100.0 * count as f64 + 0.5).floor() as usize).min(count);
    // Positions are in the order of ids.
    let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if flagged > 0 && flagged < count {
        negatives.select_nth_unstable_by(flagged - 1, order);
    }
    negatives.truncate(flagged);
    let threshold = negatives.iter().map(|(score, _)| f64::from(*score)).reduce(f64::min);
    Marked { negatives: count, clips: negatives.into_iter().map(|(_, clip)| clip).collect(), threshold }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clips(marked: &Marked) -> Vec<usize> {
        let mut clips = marked.clips.clone();
        clips.sort_unstable();
        clips
    }

    #[test]
    fn the_highest_scores_without_a_label_are_marked() {
        let scores = [0.1, 0.9, 0.5, 0.9, 0.2, 0.8];
        let all: Vec<usize> = (0..6).collect();
        // Clip 1 has a label: 0.9, 0.8, 0.5, 0.2, 0.1 are left.
        let select = |rate| select(rate, &all, &scores, &[1]);
        assert_eq!(select(0.0), Marked { negatives: 5, clips: vec![], threshold: None });
        // floor(0.1 * 5 + 0.5) = 1 and floor(0.09 * 5 + 0.5) = 0.
        assert_eq!(select(10.0), Marked { negatives: 5, clips: vec![3], threshold: Some(f64::from(0.9f32)) });
        assert_eq!(select(9.0).clips, Vec::<usize>::new());
        assert_eq!(clips(&select(50.0)), [2, 3, 5]);
        assert_eq!(select(50.0).threshold, Some(0.5));
        assert_eq!(clips(&select(100.0)), [0, 2, 3, 4, 5]);
    }

    #[test]
    fn of_equal_scores_the_first_clip_is_marked() {
        let all: Vec<usize> = (10..20).collect();
        assert_eq!(clips(&select(30.0, &all, &[0.5; 10], &[10, 12])), [11, 13]);
    }

    proptest! {
        /// Marking more keeps what was marked, marks nothing that has a label, and leaves no higher score out.
        #[test]
        fn marks_grow_with_the_rate(
            scores in prop::collection::vec(0u8..10, 1..60),
            labelled in prop::collection::vec(any::<bool>(), 60),
            rates in (0.0f64..100.0, 0.0f64..100.0),
        ) {
            let all: Vec<usize> = (0..scores.len()).collect();
            let explicit: Vec<usize> = all.iter().copied().filter(|&clip| labelled[clip]).collect();
            let values: Vec<f32> = scores.iter().map(|&score| f32::from(score)).collect();
            let (low, high) = (rates.0.min(rates.1), rates.0.max(rates.1));
            let (few, many) = (select(low, &all, &values, &explicit), select(high, &all, &values, &explicit));
            prop_assert_eq!(few.negatives, scores.len() - explicit.len());
            prop_assert!(few.clips.iter().all(|clip| many.clips.contains(clip)));
            prop_assert!(many.clips.iter().all(|clip| !explicit.contains(clip)));
            let left = all.iter().filter(|clip| !explicit.contains(clip) && !many.clips.contains(clip));
            let highest = left.map(|&clip| values[clip]).fold(f32::NEG_INFINITY, f32::max);
            prop_assert!(many.clips.iter().all(|&clip| values[clip] >= highest));
        }
    }
}
