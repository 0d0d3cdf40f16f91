//! `clips.exclude`: a data set without the clips that another one has, too.

use std::collections::BTreeSet;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::columns;
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

use super::listing::outputs;

/// Leaves out the clips of a data set that another one has, too: FSDnoisy18k and FSD50K share 7,856 clips, and who trains on one
/// and tests on the other must remove them.
///
/// Inputs: `clips` and `labels`, and `other`, the clips of the other data set. Clips are the same where a column of text, by which
/// they are compared, has the same value; absent values are never the same. Outputs: `clips` and `labels` of what is left, with a
/// remark how many were left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExcludeParams {
    /// The column by which clips are compared: `freesound_id`, which the data sets made of Freesound have, `digest` for files with the
    /// same bytes, or any other column of text.
    pub by: String,
    /// The column of `other`, where it has another name.
    pub other_by: Option<String>,
    /// The subsets of `other` whose clips count; absent: all of its clips.
    pub subsets: Option<Vec<String>>,
}

impl Default for ExcludeParams {
    fn default() -> Self {
        Self { by: "freesound_id".to_owned(), other_by: None, subsets: None }
    }
}

impl ExcludeParams {
    fn other_by(&self) -> &str {
        self.other_by.as_deref().unwrap_or(&self.by)
    }
}

/// `clips.exclude`.
pub struct ClipsExclude;

impl Stage for ClipsExclude {
    const NAME: &'static str = "clips.exclude";
    const VERSION: u32 = 1;
    type Params = ExcludeParams;

    fn check(params: &ExcludeParams) -> Vec<ParamError> {
        let none = params.subsets.as_ref().is_some_and(Vec::is_empty);
        let error =
            || ParamError::new("subsets", "an empty list excludes nothing").help("leave it out for all");
        none.then(error).into_iter().collect()
    }

    fn inputs(params: &ExcludeParams) -> Vec<Port> {
        let mut columns = vec!["clip_id", params.other_by()];
        columns.extend(params.subsets.is_some().then_some("subset"));
        columns.dedup();
        vec![
            Port::new("clips", Kind::Clips),
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            Port::new("other", Kind::Clips).reading(&columns),
        ]
    }

    fn outputs(_: &ExcludeParams) -> Vec<Output> {
        outputs()
    }

    fn run(params: &ExcludeParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (clips, labels, other) = (io.table("clips")?, io.table("labels")?, io.table("other")?);
        let keep = kept(params, &clips, &other)?;
        let left = keep.iter().filter(|keep| **keep).count();
        if left == 0 {
            return Err(StageError::failed("every clip is in the other data set, too")
                .help("is `other` another data set? `subsets:` takes only some of its clips"));
        }
        let ids: BTreeSet<String> = columns::text(&clips, "clip_id")?
            .into_iter()
            .zip(&keep)
            .filter(|(_, keep)| **keep)
            .map(|(id, _)| id)
            .collect();
        let labelled: Vec<bool> =
            columns::text(&labels, "clip_id")?.iter().map(|id| ids.contains(id)).collect();
        io.remark(format!(
            "{} of {} {} in the other data set, too, and left out",
            keep.len() - left,
            counted(keep.len(), "clip"),
            agree(keep.len() - left, "is", "are")
        ));
        let (meta, labels_meta): (Meta, Meta) = (io.meta("clips")?.clone(), io.meta("labels")?.clone());
        io.write_table("clips", meta, &filter(&clips, keep)?)?;
        io.write_table("labels", labels_meta, &filter(&labels, labelled)?)
    }
}

/// Whether each clip stays.
fn kept(params: &ExcludeParams, clips: &RecordBatch, other: &RecordBatch) -> Result<Vec<bool>, StageError> {
    let theirs = theirs(params, other)?;
    let ours = columns::maybe_text(clips, &params.by)
        .map_err(|error| error.help("compare by another column: `by:`"))?;
    let shared = |value: &Option<String>| value.as_ref().is_some_and(|value| theirs.contains(value));
    Ok(ours.iter().map(|value| !shared(value)).collect())
}

/// What the clips of the other data set have in the column.
fn theirs(params: &ExcludeParams, other: &RecordBatch) -> Result<BTreeSet<String>, StageError> {
    let values = columns::maybe_text(other, params.other_by())?;
    let Some(wanted) = &params.subsets else { return Ok(values.into_iter().flatten().collect()) };
    let subsets = columns::maybe_text(other, "subset")?;
    let known: BTreeSet<&String> = subsets.iter().flatten().collect();
    if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
        let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
        let message = format!("`other` has no subset `{name}`; it has {}", known.join(", "));
        return Err(StageError::failed(message));
    }
    let counts = |subset: &Option<String>| subset.as_ref().is_some_and(|subset| wanted.contains(subset));
    Ok(values
        .into_iter()
        .zip(&subsets)
        .filter(|(_, subset)| counts(subset))
        .filter_map(|(value, _)| value)
        .collect())
}

fn filter(table: &RecordBatch, keep: Vec<bool>) -> Result<RecordBatch, StageError> {
    filter_record_batch(table, &BooleanArray::from(keep))
        .map_err(|error| StageError::failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use sndpipe_artefacts::columns::Values;

    use super::super::official::freesound_id;
    use super::super::sheet::Sheet;
    use super::*;

    /// The overlap of the released sets, counted by Freesound ids.
    #[test]
    fn the_real_overlap_of_two_sets_is_found() {
        let Some(metadata) = crate::real::data("SNDPIPE_METADATA", "metadata") else { return };
        let clips = |set: &str, wanted: &str| {
            let sheet = Sheet::open(&metadata.join(set).join("clips_md5.csv"), ',').unwrap();
            let [name, subset] = sheet.columns(["fname", "subset"]).unwrap();
            let (ids, subsets): (Vec<String>, Vec<String>) = sheet
                .lines()
                .filter(|line| wanted.is_empty() || &line[subset] == wanted)
                .map(|line| (freesound_id(&line[name]).unwrap(), line[subset].to_owned()))
                .unzip();
            let columns = [("clip_id", ids.clone()), ("freesound_id", ids), ("subset", subsets)];
            columns::table(columns.into_iter().map(|(name, values)| (name, Values::Text(values))).collect())
        };
        let shared = |part: &str, subsets: Option<&str>| {
            let subsets = subsets.map(|subset| vec![subset.to_owned()]);
            let params = ExcludeParams { subsets, ..ExcludeParams::default() };
            let other = clips("fsd50k", "").unwrap();
            let kept = kept(&params, &clips("fsdnoisy18k", part).unwrap(), &other).unwrap();
            kept.into_iter().filter(|kept| !kept).count()
        };
        assert_eq!(shared("", None), 7_856);
        assert_eq!([shared("train", Some("dev")), shared("train", Some("eval"))], [5_684, 1_245]);
        assert_eq!([shared("test", Some("dev")), shared("test", Some("eval"))], [680, 247]);
    }
}
