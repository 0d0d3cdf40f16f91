//! Clips whose labels were checked.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::OutputKind;
use sndpipe_artefacts::Written;
use sndpipe_artefacts::columns;
use sndpipe_engine::{Kind, ParamError, Port, StageError, StageIo, Upstream};
use sndpipe_nn::LossSpec;

use super::loss::output_of;

/// The port that says which clips are clean.
pub(super) const PORT: &str = "clips";

/// Names the clips whose labels were checked, by a column of the table at the input `clips`: `{ column: verified, is: 1 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanParams {
    /// The column of `clips`.
    pub column: String,
    /// What stands there for a clean clip; an empty cell is none.
    pub is: Written,
}

impl CleanParams {
    /// Every parameter that does not fit; `loss` is that of the other clips.
    pub(super) fn mistakes(&self, loss: &LossSpec) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if self.column.trim().is_empty() {
            mistakes.push(ParamError::new("clean.column", "a column needs a name"));
        }
        if output_of(loss) == OutputKind::Sigmoid {
            let error =
                ParamError::new("clean", "clean clips are trained with `cce`, and the others with `bce`");
            mistakes.push(error.help("take a loss of one class a clip, or leave `clean` out"));
        }
        mistakes
    }

    /// The clean ones among the clips of a training.
    ///
    /// # Errors
    /// [`StageError::Failed`] if none of them is clean, or all are: then nothing is selected.
    pub(super) fn read<'a>(
        &self,
        training: impl Iterator<Item = &'a str>,
        io: &StageIo<'_>,
    ) -> Result<BTreeSet<String>, StageError> {
        let table = io.table(PORT)?;
        let ids = columns::text(&table, "clip_id")?;
        let values = columns::written(&table, &self.column)?;
        let values: BTreeMap<String, Option<String>> = ids.into_iter().zip(values).collect();
        self.choose(&values, training)
    }

    fn choose<'a>(
        &self,
        values: &BTreeMap<String, Option<String>>,
        training: impl Iterator<Item = &'a str>,
    ) -> Result<BTreeSet<String>, StageError> {
        let (mut clean, mut others) = (BTreeSet::new(), BTreeSet::new());
        for id in training {
            match values.get(id).and_then(Option::as_deref) {
                Some(value) if value == self.is.as_str() => {
                    clean.insert(id.to_owned());
                }
                value => {
                    others.insert(value.map_or("nothing".to_owned(), |value| format!("`{value}`")));
                }
            }
        }
        let (column, is) = (&self.column, self.is.as_str());
        if clean.is_empty() {
            let found: Vec<String> = others.into_iter().take(5).collect();
            let message = format!(
                "no clip of the training subset is clean: `{column}` is never `{is}`, but {}",
                found.join(", ")
            );
            return Err(StageError::failed(message).help("name the value of clean clips with `clean.is`"));
        }
        if others.is_empty() {
            let message =
                format!("every clip of the training subset is clean: `{column}` is `{is}` throughout");
            return Err(StageError::failed(message)
                .help("leave `clean` out, or train on clips whose labels may be wrong, too"));
        }
        Ok(clean)
    }
}

/// The input that says which clips are clean; where no clip is asked for, nothing of it is read but the ids.
pub(super) fn port(clean: Option<&CleanParams>) -> Port {
    let column = clean.map(|clean| clean.column.as_str());
    let columns: Vec<&str> = ["clip_id"].into_iter().chain(column).collect();
    Port::new(PORT, Kind::Clips).reading(&columns).optional()
}

/// What is missing where clean clips are asked for and nothing says which they are.
pub(super) fn unconnected(clean: Option<&CleanParams>, upstream: &[Upstream<'_>]) -> Option<ParamError> {
    clean?;
    if upstream.iter().any(|wired| wired.port == PORT) {
        return None;
    }
    let error = ParamError::new("clean", "nothing is connected to the input `clips`");
    Some(error.help("connect the table of clips of the data set: `in: { clips: … }`"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn params(is: Value) -> CleanParams {
        serde_json::from_value(json!({ "column": "verified", "is": is })).unwrap()
    }

    #[test]
    fn values_are_compared_as_they_are_written() {
        assert_eq!(params(json!(1)).is.as_str(), "1");
        assert_eq!(params(json!(true)).is.as_str(), "true");
        assert_eq!(params(json!("clean")).is.as_str(), "clean");
        let error =
            serde_json::from_value::<CleanParams>(json!({ "column": "verified", "is": [1] })).unwrap_err();
        assert!(error.to_string().starts_with("a text, a number, true or false was expected"), "{error}");
    }

    #[test]
    fn a_column_must_tell_clips_apart() {
        let values = [("a", Some("1")), ("b", Some("0")), ("c", None), ("d", Some("1"))];
        let values: BTreeMap<String, Option<String>> =
            values.into_iter().map(|(id, value)| (id.to_owned(), value.map(str::to_owned))).collect();
        let choose = |is: Value, ids: &[&str]| params(is).choose(&values, ids.iter().copied());
        assert_eq!(choose(json!(1), &["a", "b", "c"]).unwrap(), BTreeSet::from(["a".to_owned()]));
        let refused = |is: Value, ids: &[&str]| choose(is, ids).unwrap_err().to_string();
        assert_eq!(
            refused(json!("yes"), &["a", "b", "c"]),
            "no clip of the training subset is clean: `verified` is never `yes`, but `0`, `1`, nothing"
        );
        assert_eq!(
            refused(json!(1), &["a", "d"]),
            "every clip of the training subset is clean: `verified` is `1` throughout"
        );
    }
}
