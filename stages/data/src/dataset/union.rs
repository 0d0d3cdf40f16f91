//! `clips.union`: several data sets as one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::columns;
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

use super::listing::outputs;

/// The column that says which set a clip is of.
const SET: &str = "set";
/// The column of ids.
const ID: &str = "clip_id";

/// Puts data sets together: an encoder learns from ESC-50, UrbanSound8K and DCASE 2013 at once.
///
/// Inputs, for each of `sets`: its clips under its name, and its labels under its name with `_labels` behind it. Outputs: `clips` and
/// `labels`. An id is the set's name, `/` and the id in the set; the column `set` holds the name. Other columns are kept; they are absent
/// where a set does not have them, and text where sets disagree on their type. The vocabulary is that of the first set and what each
/// further one adds; classes of one name are one class, and a remark names them. As everywhere, a class that nobody labelled in a clip
/// counts as negative there, so a set that does not know a class has no clip of it: who trains by labels of several sets makes sure
/// of that. A remark counts files that several sets have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnionParams {
    /// Names of the sets, two at least.
    pub sets: Vec<String>,
}

/// `clips.union`.
pub struct ClipsUnion;

/// The port of a set's labels.
fn labels_port(set: &str) -> String {
    format!("{set}_labels")
}

impl Stage for ClipsUnion {
    const NAME: &'static str = "clips.union";
    const VERSION: u32 = 1;
    type Params = UnionParams;

    fn check(params: &UnionParams) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        for (at, set) in params.sets.iter().enumerate() {
            let mut mistake =
                |what: &str| mistakes.push(ParamError::new(format!("sets[{at}]"), format!("`{set}` {what}")));
            if set.is_empty() || set.contains('/') {
                mistake("cannot be the name of a set: ids begin with it and a `/`");
            } else if params.sets[..at].contains(set) {
                mistake("is there twice");
            } else if params.sets.iter().any(|other| labels_port(other) == *set) {
                mistake("is the input of another set's labels");
            }
        }
        if params.sets.len() < 2 {
            let error = ParamError::new("sets", "a union is of two sets at least");
            mistakes.push(error.help("one set needs none: connect it where the union is read"));
        }
        mistakes
    }

    fn inputs(params: &UnionParams) -> Vec<Port> {
        let ports = params.sets.iter().flat_map(|set| {
            let labels = Port::new(&labels_port(set), Kind::Labels).reading(&Labels::COLUMNS);
            [Port::new(set, Kind::Clips), labels]
        });
        ports.collect()
    }

    fn outputs(_: &UnionParams) -> Vec<Output> {
        outputs()
    }

    fn run(params: &UnionParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let read = |set: &String| -> Result<(String, RecordBatch), StageError> {
            let table = io.table(set)?;
            if table.column_by_name(SET).is_some() {
                let message = format!("the clips of `{set}` have a column `{SET}` already");
                let help = "list the sets of all unions in one; a CSV file's column is left out of `keep`";
                return Err(StageError::failed(message).help(help));
            }
            Ok((set.clone(), table))
        };
        let mut sets: Vec<(String, RecordBatch)> = params.sets.iter().map(read).collect::<Result<_, _>>()?;
        let label = |set: &String| -> Result<(String, Labels), StageError> {
            let port = labels_port(set);
            Ok((set.clone(), Labels::read(&io.table(&port)?, io.meta(&port)?)?))
        };
        let labels: Vec<(String, Labels)> = params.sets.iter().map(label).collect::<Result<_, _>>()?;
        sets.iter()
            .zip(&labels)
            .try_for_each(|((set, clips), (_, labels))| of_one_set(set, clips, labels))?;
        let remarks = [shared_files(&sets)?, shared_classes(&labels)];
        // Rows are sorted by id, and the ids of each set are.
        sets.sort_by_key(|(set, _)| format!("{set}/"));
        let clips = together(&sets)?;
        let (meta, labels) = merged(labels).to_table()?;
        remarks.into_iter().flatten().for_each(|remark| io.remark(remark));
        io.write_table("clips", Meta::new(), &clips)?;
        io.write_table("labels", meta, &labels)
    }
}

/// Fails where labels are those of other clips.
fn of_one_set(set: &str, clips: &RecordBatch, labels: &Labels) -> Result<(), StageError> {
    let ids: BTreeSet<String> = columns::text(clips, ID)?.into_iter().collect();
    let Some(id) = labels.clips.keys().find(|id| !ids.contains(*id)) else { return Ok(()) };
    let port = labels_port(set);
    let message = format!("`{port}` labels the clip `{id}`, which `{set}` does not have");
    Err(StageError::failed(message)
        .help(format!("connect clips and labels of one stage to `{set}` and `{port}`")))
}

/// The clips of all sets, one set behind the other.
fn together(sets: &[(String, RecordBatch)]) -> Result<RecordBatch, StageError> {
    let failed = |error: arrow_schema::ArrowError| StageError::failed(error.to_string());
    let mut names: Vec<String> = Vec::new();
    for (_, table) in sets {
        for field in table.schema().fields() {
            if field.name() != ID && !names.contains(field.name()) {
                names.push(field.name().clone());
            }
        }
    }
    let (mut ids, mut of) = (Vec::new(), Vec::new());
    for (set, table) in sets {
        let theirs = columns::text(table, ID)?;
        of.extend(vec![set.as_str(); theirs.len()]);
        ids.extend(theirs.into_iter().map(|id| format!("{set}/{id}")));
    }
    let mut fields = vec![Field::new(ID, DataType::Utf8, false)];
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(StringArray::from(ids))];
    for name in &names {
        let column = joined(sets, name)?;
        let nullable = sets.iter().any(|(_, table)| {
            table.schema().field_with_name(name).map_or(true, arrow_schema::Field::is_nullable)
        });
        let parts: Vec<&dyn Array> = column.iter().map(AsRef::as_ref).collect();
        let column = concat(&parts).map_err(failed)?;
        fields.push(Field::new(name, column.data_type().clone(), nullable));
        arrays.push(column);
    }
    fields.push(Field::new(SET, DataType::Utf8, false));
    arrays.push(Arc::new(StringArray::from(of)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(failed)
}

/// A column of all sets: of one type, or of text.
fn joined(sets: &[(String, RecordBatch)], name: &str) -> Result<Vec<ArrayRef>, StageError> {
    let types: Vec<DataType> = sets
        .iter()
        .filter_map(|(_, table)| table.column_by_name(name).map(|column| column.data_type().clone()))
        .collect();
    let same = types.windows(2).all(|pair| pair[0] == pair[1]);
    let shared = if same { types[0].clone() } else { DataType::Utf8 };
    let part = |(_, table): &(String, RecordBatch)| match table.column_by_name(name) {
        None => Ok(new_null_array(&shared, table.num_rows())),
        Some(column) if same => Ok(Arc::clone(column)),
        Some(_) => Ok(Arc::new(StringArray::from(columns::written(table, name)?)) as ArrayRef),
    };
    sets.iter().map(part).collect()
}

/// The labels of all sets in one vocabulary.
fn merged(sets: Vec<(String, Labels)>) -> Labels {
    let mut all = Labels::default();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    for (set, Labels { classes, clips }) in sets {
        let place = |class: String| {
            *index.entry(class).or_insert_with_key(|class| {
                all.classes.push(class.clone());
                all.classes.len() - 1
            })
        };
        let places: Vec<usize> = classes.into_iter().map(place).collect();
        for (id, states) in clips {
            let states = states.into_iter().map(|(class, state)| (places[class], state)).collect();
            all.clips.insert(format!("{set}/{id}"), states);
        }
    }
    all
}

/// Classes that several sets have.
fn shared_classes(sets: &[(String, Labels)]) -> Option<String> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for class in sets.iter().flat_map(|(_, labels)| &labels.classes) {
        if !seen.insert(class) {
            shared.insert(class.as_str());
        }
    }
    let shared: Vec<&str> = shared.into_iter().collect();
    (!shared.is_empty()).then(|| format!("classes of several sets: {}", shared.join(", ")))
}

/// Files with the same bytes in several sets.
fn shared_files(sets: &[(String, RecordBatch)]) -> Result<Option<String>, StageError> {
    let mut holders: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (set, table) in sets {
        for digest in columns::text(table, "digest")? {
            holders.entry(digest).or_default().insert(set);
        }
    }
    let shared = holders.values().filter(|sets| sets.len() > 1).count();
    Ok((shared > 0).then(|| {
        let (files, are) = (counted(shared, "file"), agree(shared, "is", "are"));
        format!("{files} {are} in several sets; `clips.exclude` with `by: digest` leaves them out of one")
    }))
}

#[cfg(test)]
mod tests {
    use sndpipe_artefacts::columns::Values;

    use super::*;

    fn set(ids: &[&str], column: (&str, Values)) -> RecordBatch {
        let text = |values: &[&str]| Values::Text(values.iter().map(|&value| value.to_owned()).collect());
        let columns = vec![(ID, text(ids)), ("path", text(ids)), ("digest", text(ids)), column];
        columns::table(columns).unwrap()
    }

    #[test]
    fn rows_stay_sorted_where_a_name_is_the_beginning_of_another() {
        let numbers = |n: usize| ("fold", Values::MaybeInt(vec![Some(1); n]));
        let mut sets = vec![
            ("a".to_owned(), set(&["1", "2"], numbers(2))),
            ("a-b".to_owned(), set(&["0", "3"], numbers(2))),
        ];
        sets.sort_by_key(|(set, _)| format!("{set}/"));
        let ids = columns::text(&together(&sets).unwrap(), ID).unwrap();
        assert_eq!(ids, ["a-b/0", "a-b/3", "a/1", "a/2"]);
        assert!(ids.is_sorted());
    }

    #[test]
    fn columns_are_text_where_sets_disagree_and_absent_where_a_set_lacks_them() {
        let sets = [
            ("a".to_owned(), set(&["1"], ("fold", Values::MaybeInt(vec![Some(3)])))),
            ("b".to_owned(), set(&["1"], ("fold", Values::MaybeText(vec![Some("x".to_owned())])))),
            ("c".to_owned(), set(&["1"], ("rate", Values::Number(vec![Some(0.5)])))),
        ];
        let all = together(&sets).unwrap();
        let text = |value: &str| Some(value.to_owned());
        assert_eq!(columns::maybe_text(&all, "fold").unwrap(), [text("3"), text("x"), None]);
        assert_eq!(columns::number(&all, "rate").unwrap(), [None, None, Some(0.5)]);
        assert_eq!(columns::text(&all, SET).unwrap(), ["a", "b", "c"]);
    }
}
