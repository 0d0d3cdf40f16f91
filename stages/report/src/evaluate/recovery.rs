//! `evaluate.recovery`: whether flagged labels are the missing ones.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_artefacts::Scale;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::{Labels, State};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, Port, Stage, StageError, StageIo};
use sndpipe_metrics::metric::Measured;
use sndpipe_metrics::table::long_table;

/// Judges flags for missing labels by labels that are known to be missing.
///
/// Inputs: `labels`, in which the state `ignored` flags what may be missing, and `truth`, which has every label (`labels.hide` gives
/// it). A pair of clip and class is missing if it is present in `truth` and not in `labels`. `metrics` has, over all pairs and for each
/// class, `flag_precision` (share of flagged pairs that are missing; `n` counts the flagged) and `flag_recall` (share of missing
/// pairs that are flagged; `n` counts the missing), and over all classes `flag_precision_macro` and `flag_recall_macro`, the means of
/// those that are defined. `counts` has `class, flagged, missing, found`. What `truth` itself ignores is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryParams {}

/// `evaluate.recovery`.
pub struct EvaluateRecovery;

impl Stage for EvaluateRecovery {
    const NAME: &'static str = "evaluate.recovery";
    const VERSION: u32 = 2;
    type Params = RecoveryParams;

    fn inputs(_: &RecoveryParams) -> Vec<Port> {
        ["labels", "truth"].map(|name| Port::new(name, Kind::Labels).reading(&Labels::COLUMNS)).into()
    }

    fn outputs(_: &RecoveryParams) -> Vec<Output> {
        vec![Output::new("metrics", Kind::Metrics), Output::new("counts", Kind::Table)]
    }

    fn run(_: &RecoveryParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let read = |port: &str| Labels::read(&io.table(port)?, io.meta(port)?);
        let (labels, truth) = (read("labels")?, read("truth")?);
        let counts = count(&labels, &truth)?;
        if counts.iter().all(|of| of.missing == 0) {
            return Err(StageError::failed("the labels miss nothing that the truth has").help(
                "give the enhanced labels as `labels`, and as `truth` those that `labels.hide` started from",
            ));
        }
        let meta = Meta::from([("classes".to_owned(), json!(labels.classes))]);
        io.write_table("metrics", meta, &metrics(&labels.classes, &counts)?)?;
        io.write_table("counts", Meta::new(), &table(&labels.classes, &counts)?)
    }
}

/// Pairs of a class, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    flagged: usize,
    missing: usize,
    /// Both.
    found: usize,
}

impl Counts {
    fn precision(self) -> Measured {
        share(self.found, self.flagged)
    }

    fn recall(self) -> Measured {
        share(self.found, self.missing)
    }
}

fn share(part: usize, of: usize) -> Measured {
    Measured { value: (of > 0).then(|| part as f64 / of as f64), n: of }
}

/// The counts of each class of the labels.
fn count(labels: &Labels, truth: &Labels) -> Result<Vec<Counts>, StageError> {
    let mut counts = vec![Counts::default(); labels.classes.len()];
    let index: BTreeMap<&str, usize> =
        labels.classes.iter().enumerate().map(|(at, class)| (class.as_str(), at)).collect();
    let state = |of: &Labels, id: &str, class: usize| of.clips.get(id)?.get(&class).copied();
    // The class of the truth that is each class of the labels.
    let mut places = vec![None; labels.classes.len()];
    for (class, name) in truth.classes.iter().enumerate() {
        if let Some(&place) = index.get(name.as_str()) {
            places[place] = Some(class);
        }
    }
    for (id, states) in &truth.clips {
        for (&class, _) in states.iter().filter(|(_, state)| **state == State::Present) {
            let name = &truth.classes[class];
            let Some(&place) = index.get(name.as_str()) else {
                let message = format!("clip `{id}` has the class `{name}`, which `labels` does not know");
                return Err(StageError::failed(message)
                    .help("`labels` and `truth` must come from labels with the same classes"));
            };
            let given = state(labels, id, place);
            counts[place].missing += usize::from(given != Some(State::Present));
            counts[place].found += usize::from(given == Some(State::Ignored));
        }
    }
    for (id, states) in &labels.clips {
        for (&class, _) in states.iter().filter(|(_, state)| **state == State::Ignored) {
            let known = places[class].and_then(|place| state(truth, id, place));
            counts[class].flagged += usize::from(known != Some(State::Ignored));
        }
    }
    Ok(counts)
}

fn metrics(classes: &[String], counts: &[Counts]) -> Result<RecordBatch, StageError> {
    let all = counts.iter().fold(Counts::default(), |all, of| Counts {
        flagged: all.flagged + of.flagged,
        missing: all.missing + of.missing,
        found: all.found + of.found,
    });
    let precisions: Vec<Measured> = counts.iter().map(|of| of.precision()).collect();
    let recalls: Vec<Measured> = counts.iter().map(|of| of.recall()).collect();
    let share = |name, class, measured| (name, class, measured, Scale::FRACTION);
    let mut rows = vec![
        share("flag_precision", None, all.precision()),
        share("flag_recall", None, all.recall()),
        share("flag_precision_macro", None, Measured::macro_mean(&precisions)),
        share("flag_recall_macro", None, Measured::macro_mean(&recalls)),
    ];
    for (name, measured) in [("flag_precision", precisions), ("flag_recall", recalls)] {
        rows.extend(measured.into_iter().enumerate().map(|(class, of)| share(name, Some(class), of)));
    }
    long_table(classes, &rows)
}

fn table(classes: &[String], counts: &[Counts]) -> Result<RecordBatch, StageError> {
    let numbers =
        |value: fn(&Counts) -> usize| Values::Int(counts.iter().map(|of| value(of) as i64).collect());
    columns::table(vec![
        ("class", Values::Text(classes.to_vec())),
        ("flagged", numbers(|of| of.flagged)),
        ("missing", numbers(|of| of.missing)),
        ("found", numbers(|of| of.found)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(clips: &[(&str, &[(usize, State)])]) -> Labels {
        let states = |states: &[(usize, State)]| states.iter().copied().collect::<BTreeMap<_, _>>();
        Labels {
            classes: ["a", "b"].map(str::to_owned).to_vec(),
            clips: clips.iter().map(|(id, of)| ((*id).to_owned(), states(of))).collect(),
        }
    }

    #[test]
    fn flags_are_counted_against_what_is_missing() {
        use State::{ExplicitNegative, Ignored, Present};

        let truth = labels(&[
            ("1", &[(0, Present), (1, Present)]),
            ("2", &[(0, Present)]),
            ("3", &[(1, Present)]),
            ("5", &[(0, Ignored), (1, Present)]),
        ]);
        let given = labels(&[
            ("1", &[(0, Present), (1, Ignored)]), // a missing b, found
            ("2", &[(1, Ignored)]),               // a missing a, not found, and a flag in vain
            ("3", &[(1, ExplicitNegative)]),      // a missing b, denied
            ("4", &[(0, Ignored)]),               // a clip without any label, flagged in vain
            ("5", &[(0, Ignored), (1, Present)]), // nobody knows about a
        ]);
        let counts = count(&given, &truth).unwrap();
        let expected =
            [Counts { flagged: 1, missing: 1, found: 0 }, Counts { flagged: 2, missing: 2, found: 1 }];
        assert_eq!(counts, expected);
        let table = metrics(&given.classes, &counts).unwrap();
        let values = columns::number(&table, "value").unwrap();
        assert_eq!(values[..4], [Some(1.0 / 3.0), Some(1.0 / 3.0), Some(0.25), Some(0.25)]);
        assert_eq!(values[4..], [Some(0.0), Some(0.5), Some(0.0), Some(0.5)]);
    }

    #[test]
    fn without_flags_there_is_no_precision() {
        let truth = labels(&[("1", &[(0, State::Present)])]);
        let counts = count(&labels(&[]), &truth).unwrap();
        assert_eq!(counts[0], Counts { flagged: 0, missing: 1, found: 0 });
        assert_eq!(counts[0].precision(), Measured { value: None, n: 0 });
        assert_eq!(counts[0].recall(), Measured { value: Some(0.0), n: 1 });
        let other = Labels { classes: vec!["b".to_owned()], ..Labels::default() };
        let error = count(&other, &truth).unwrap_err().to_string();
        assert_eq!(error, "clip `1` has the class `a`, which `labels` does not know");
    }
}
