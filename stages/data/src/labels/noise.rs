//! Parameters of `labels.corrupt`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Subset;
use sndpipe_artefacts::composed;
use sndpipe_artefacts::named;
use sndpipe_engine::ParamError;

use super::touched;

/// Makes labels wrong, so that what learns from wrong labels can be judged by what is true.
///
/// Inputs: `labels`, and optionally `split`: then only labels of the clips in `subsets` become wrong, else those of all clips, which
/// takes the truth from the clips that test, too. Outputs: `labels`, and `truth`, the labels as they came. Of a class with n labels
/// round(rate · n) become wrong (a half up); with one seed and kind a higher rate makes the same ones wrong and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorruptParams {
    /// What a wrong label is: `symmetric`, `cyclic`, or a map such as `{ name: pairs, pairs: { cat: dog } }` with `pairs`, `matrix` or
    /// `out_of_vocabulary`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<Noise>")]
    pub kind: Noise,
    /// Share of wrong labels, `0..=1`; for `out_of_vocabulary` below 1. Not for `matrix`, which says it itself.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Which labels, and what becomes of them.
    #[serde(default)]
    pub seed: u64,
    /// The subsets of the split whose labels become wrong.
    #[serde(default = "touched::train")]
    pub subsets: Vec<Subset>,
}

/// What a wrong label is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Noise {
    /// Any class that the clip does not have, each as likely.
    Symmetric {},
    /// The next class of the vocabulary; after the last comes the first.
    Cyclic {},
    /// A class for each class; those that are not named stay right.
    Pairs {
        /// From class to class.
        pairs: BTreeMap<String, String>,
    },
    /// Shares for each class; what a row leaves of 1 stays right.
    Matrix {
        /// From class to class to the share of its labels that become it, `0..=1`.
        rows: BTreeMap<String, BTreeMap<String, f64>>,
    },
    /// Some classes leave the vocabulary, and their clips get labels of the others: as many that the rate is the share of
    /// them among the labels of each class. The other clips of these classes have no label, in `truth` none of them has.
    OutOfVocabulary {
        /// The classes that leave.
        classes: Vec<String>,
    },
}

impl CorruptParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let mut say = |path: &str, message: String| mistakes.push(ParamError::new(path, message));
        match (&self.kind, self.rate) {
            (Noise::Matrix { .. }, Some(_)) => {
                say("rate", "a `matrix` says itself how many labels become wrong".to_owned());
            }
            (Noise::Matrix { .. }, None) => {}
            (_, None) => say("rate", "is missing".to_owned()),
            (Noise::OutOfVocabulary { .. }, Some(rate)) if !(0.0..1.0).contains(&rate) => {
                say("rate", format!("{rate} is outside 0..1"));
            }
            (_, Some(rate)) if !(0.0..=1.0).contains(&rate) => {
                say("rate", format!("{rate} is outside 0..=1"))
            }
            _ => {}
        }
        match &self.kind {
            Noise::Pairs { pairs } => {
                for (from, _) in pairs.iter().filter(|(from, to)| from == to) {
                    say("kind.pairs", format!("`{from}` becomes itself"));
                }
            }
            Noise::Matrix { rows } => {
                for (from, row) in rows {
                    if row.contains_key(from) {
                        say("kind.rows", format!("`{from}` becomes itself; what a row leaves of 1 stays"));
                    }
                    for (to, share) in row.iter().filter(|(_, share)| !(0.0..=1.0).contains(*share)) {
                        say("kind.rows", format!("{share} from `{from}` to `{to}` is outside 0..=1"));
                    }
                    let sum: f64 = row.values().sum();
                    if sum > 1.0 + 1e-9 {
                        say("kind.rows", format!("the shares of `{from}` add up to {sum}, more than 1"));
                    }
                }
            }
            Noise::OutOfVocabulary { classes } => {
                let unique: BTreeSet<String> = classes.iter().map(|class| composed(class)).collect();
                if unique.is_empty() {
                    say("kind.classes", "no class leaves the vocabulary".to_owned());
                } else if unique.len() < classes.len() {
                    say("kind.classes", "a class stands there twice".to_owned());
                }
            }
            Noise::Symmetric {} | Noise::Cyclic {} => {}
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: &[&str]) {
        let params: CorruptParams = serde_json::from_value(value).unwrap();
        let found: Vec<String> =
            params.mistakes().into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn mistakes_are_named() {
        check(json!({ "kind": "symmetric", "rate": 0.4 }), &[]);
        check(json!({ "kind": "cyclic" }), &["rate: is missing"]);
        check(json!({ "kind": "cyclic", "rate": 1.5 }), &["rate: 1.5 is outside 0..=1"]);
        let pairs = json!({ "name": "pairs", "pairs": { "a": "a", "b": "a" } });
        check(json!({ "kind": pairs, "rate": 0.1 }), &["kind.pairs: `a` becomes itself"]);
        let rows = json!({ "a": { "b": 0.7, "c": 0.6 }, "b": { "a": -0.1 } });
        check(
            json!({ "kind": { "name": "matrix", "rows": rows }, "rate": 0.1 }),
            &[
                "rate: a `matrix` says itself how many labels become wrong",
                "kind.rows: the shares of `a` add up to 1.2999999999999998, more than 1",
                "kind.rows: -0.1 from `b` to `a` is outside 0..=1",
            ],
        );
        let open = json!({ "name": "out_of_vocabulary", "classes": ["a", "a"] });
        check(
            json!({ "kind": open, "rate": 1 }),
            &["rate: 1 is outside 0..1", "kind.classes: a class stands there twice"],
        );
    }
}
