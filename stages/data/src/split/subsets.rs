//! `split.subsets`: official subsets.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Written;
use sndpipe_artefacts::columns;
use sndpipe_artefacts::split as artefact;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_engine::{Output, ParamError, Port, Stage, StageError, StageIo, did_you_mean};

use super::clip_facts::ClipFacts;
use super::contamination;

/// The column with official subsets.
pub(super) const COLUMN: &str = "subset";

/// The official subsets of a data set, as its column `subset` names them.
///
/// Inputs: `clips` with that column; optionally `labels`, which tell the two sorts of contamination apart. Outputs: those of
/// `split.folds`. Clips of other subsets, or of none, are not used; a remark counts them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubsetsParams {
    /// Names of the subsets that train.
    pub train: Vec<String>,
    /// Names of the subsets that validate.
    pub val: Vec<String>,
    /// Names of the subsets that test.
    pub test: Vec<String>,
    /// What a clip that trains or validates must have in columns of `clips`: `{ verified: false }` takes the noisy clips of
    /// FSDnoisy18k. Other clips that would train or validate are not used.
    pub train_where: BTreeMap<String, Written>,
    /// What a clip of the subsets that train must have to validate instead: with `{ verified: true }` here and `{ verified: false }`
    /// there, models of FSDnoisy18k learn from noisy clips and are chosen by verified ones. Absent: none does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub val_where: BTreeMap<String, Written>,
}

impl Default for SubsetsParams {
    fn default() -> Self {
        let [train, val, test] = Subset::ALL.map(|subset| vec![subset.name().to_owned()]);
        Self { train, val, test, train_where: BTreeMap::new(), val_where: BTreeMap::new() }
    }
}

impl SubsetsParams {
    fn names(&self) -> [(&'static str, &[String], Subset); 3] {
        [
            ("train", &self.train[..], Subset::Train),
            ("val", &self.val[..], Subset::Val),
            ("test", &self.test[..], Subset::Test),
        ]
    }

    /// The subset that a name stands for.
    fn subset(&self, name: &str) -> Option<Subset> {
        let stands = |names: &[String]| names.iter().any(|known| known == name);
        self.names().into_iter().find(|(_, names, _)| stands(names)).map(|(.., subset)| subset)
    }
}

/// `split.subsets`.
pub struct SplitSubsets;

impl Stage for SplitSubsets {
    const NAME: &'static str = artefact::SUBSETS;
    const VERSION: u32 = 1;
    type Params = SubsetsParams;

    fn check(params: &SubsetsParams) -> Vec<ParamError> {
        let mut seen = BTreeSet::new();
        let mut errors = Vec::new();
        for (parameter, names, _) in params.names() {
            for (index, name) in names.iter().enumerate() {
                if !seen.insert(name) {
                    let message = format!("`{name}` is there twice");
                    errors.push(ParamError::new(format!("{parameter}[{index}]"), message));
                }
            }
        }
        if params.train.is_empty() {
            errors.push(ParamError::new("train", "an empty list leaves nothing for training"));
        }
        errors
    }

    fn inputs(params: &SubsetsParams) -> Vec<Port> {
        let wanted = params.train_where.keys().chain(params.val_where.keys()).map(String::as_str);
        let columns: BTreeSet<&str> = wanted.filter(|&column| column != COLUMN).collect();
        let columns: Vec<&str> = std::iter::once(COLUMN).chain(columns).collect();
        vec![ClipFacts::port(&columns), ClipFacts::labels_port().optional()]
    }

    fn outputs(_: &SubsetsParams) -> Vec<Output> {
        ClipFacts::outputs()
    }

    fn run(params: &SubsetsParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (facts, table) = ClipFacts::read(io)?;
        let (split, unused) = split(params, &facts, &table)?;
        if !unused.is_empty() {
            let unused = unused.iter().map(|(what, clips)| format!("{clips} {what}"));
            io.remark(format!("clips not used: {}", unused.collect::<Vec<_>>().join(", ")));
        }
        contamination::write(&facts, &split, None, io)
    }
}

/// The split, and why how many clips are not in it.
fn split(
    params: &SubsetsParams,
    facts: &ClipFacts,
    table: &RecordBatch,
) -> Result<(Split, BTreeMap<String, usize>), StageError> {
    let names = columns::maybe_text(table, COLUMN)?;
    let known: BTreeSet<&str> = names.iter().flatten().map(String::as_str).collect();
    for (parameter, wanted, _) in params.names() {
        // The names that are taken where nothing is said need not be there.
        let missing = wanted.iter().find(|name| !known.contains(name.as_str()) && *name != parameter);
        if let Some(name) = missing {
            let near = did_you_mean(name, known.iter().copied());
            let there: Vec<&str> = known.iter().copied().collect();
            return Err(StageError::failed(format!(
                "`{parameter}` names the subset `{name}`, which no clip is in{near}; there are {}",
                there.join(", ")
            )));
        }
    }
    let trains = Conditions::read("train_where", &params.train_where, table)?;
    let validates = Conditions::read("val_where", &params.val_where, table)?;
    let mut split = Split::default();
    let mut unused: BTreeMap<String, usize> = BTreeMap::new();
    for (at, (id, name)) in facts.ids.iter().zip(&names).enumerate() {
        let subset = name.as_deref().and_then(|name| params.subset(name));
        match (subset, trains.unmet(at)) {
            (Some(Subset::Train), _) if !params.val_where.is_empty() && validates.unmet(at).is_none() => {
                split.clips.insert(id.clone(), Subset::Val);
            }
            (Some(Subset::Train | Subset::Val), Some((column, value))) => {
                *unused.entry(format!("without {column} {value}")).or_default() += 1;
            }
            (Some(subset), _) => {
                split.clips.insert(id.clone(), subset);
            }
            (None, _) => {
                let why =
                    name.as_ref().map_or_else(|| "in no subset".to_owned(), |name| format!("of `{name}`"));
                *unused.entry(why).or_default() += 1;
            }
        }
    }
    if split.clips.is_empty() {
        let there: Vec<&str> = known.into_iter().collect();
        let message = format!("no clip is in a subset that is used; the subsets are {}", there.join(", "));
        return Err(StageError::failed(message).help("name them with `train`, `val` and `test`"));
    }
    Ok((split, unused))
}

/// What cells must say, with the cells.
struct Conditions<'a>(Vec<(&'a str, &'a str, Vec<Option<String>>)>);

impl<'a> Conditions<'a> {
    fn read(
        parameter: &str,
        wanted: &'a BTreeMap<String, Written>,
        table: &RecordBatch,
    ) -> Result<Self, StageError> {
        let mut conditions = Vec::new();
        for (column, value) in wanted {
            let cells = columns::maybe_text(table, column)
                .map_err(|error| error.help(format!("`{parameter}` names columns of text of the clips")))?;
            let there: BTreeSet<&str> = cells.iter().flatten().map(String::as_str).collect();
            if !there.contains(value.as_str()) {
                let there: Vec<&str> = there.into_iter().take(10).collect();
                let message = format!("no clip has `{}` in the column `{column}`", value.as_str());
                return Err(StageError::failed(message).help(format!("there is: {}", there.join(", "))));
            }
            conditions.push((column.as_str(), value.as_str(), cells));
        }
        Ok(Self(conditions))
    }

    /// The first condition that a row does not meet.
    fn unmet(&self, row: usize) -> Option<(&'a str, &'a str)> {
        let unmet = self.0.iter().find(|(_, value, cells)| cells[row].as_deref() != Some(*value));
        unmet.map(|&(column, value, _)| (column, value))
    }
}

#[cfg(test)]
mod tests {
    use sndpipe_artefacts::columns::Values;

    use super::*;

    fn clips(subsets: &[Option<&str>], verified: &[&str]) -> (ClipFacts, RecordBatch) {
        let ids = (0..subsets.len()).map(|n| format!("c{n}")).collect();
        let table = columns::table(vec![
            ("subset", Values::MaybeText(subsets.iter().map(|name| name.map(str::to_owned)).collect())),
            ("verified", Values::Text(verified.iter().map(|&value| value.to_owned()).collect())),
        ]);
        (ClipFacts { ids, ..ClipFacts::default() }, table.unwrap())
    }

    fn params(text: &str) -> SubsetsParams {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn names_become_subsets() {
        let (facts, table) = clips(
            &[Some("dev"), Some("dev"), Some("eval"), None, Some("x")],
            &["true", "false", "true", "true", "true"],
        );
        let text = r#"{ "train": ["dev"], "test": ["eval"], "train_where": { "verified": false } }"#;
        let (split, unused) = split(&params(text), &facts, &table).unwrap();
        let expected = [("c1", Subset::Train), ("c2", Subset::Test)];
        assert_eq!(split.clips, expected.map(|(id, subset)| (id.to_owned(), subset)).into());
        let expected = [("in no subset", 1), ("of `x`", 1), ("without verified false", 1)];
        assert_eq!(unused, expected.map(|(why, clips)| (why.to_owned(), clips)).into());
    }

    #[test]
    fn clips_that_were_checked_validate() {
        let subsets = [Some("train"), Some("train"), Some("train"), Some("test")];
        let (facts, table) = clips(&subsets, &["true", "false", "unknown", "true"]);
        let text = r#"{ "train_where": { "verified": false }, "val_where": { "verified": true } }"#;
        let (split, unused) = split(&params(text), &facts, &table).unwrap();
        let expected = [("c0", Subset::Val), ("c1", Subset::Train), ("c3", Subset::Test)];
        assert_eq!(split.clips, expected.map(|(id, subset)| (id.to_owned(), subset)).into());
        assert_eq!(unused, [("without verified false".to_owned(), 1)].into());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (facts, table) = clips(&[Some("dev"), Some("eval")], &["1", "1"]);
        let refused = |text: &str, expected: &str| {
            let error = split(&params(text), &facts, &table).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("{}", "the subsets are dev, eval");
        refused(r#"{ "train": ["devel"] }"#, "did you mean `dev`?; there are dev, eval");
        let text = r#"{ "train": ["dev"], "test": ["eval"], "train_where": { "verified": true } }"#;
        refused(text, "no clip has `true` in the column `verified`");
        let twice = SplitSubsets::check(&params(r#"{ "train": ["a"], "test": ["a"] }"#));
        assert_eq!((twice[0].path.as_str(), twice[0].message.as_str()), ("test[0]", "`a` is there twice"));
    }
}
