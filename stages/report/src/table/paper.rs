//! Published numbers beside ours.

use sndpipe_engine::StageError;

use super::params::TableParams;

/// Makes sure that a parameter names a row.
pub(super) fn known(parameter: &str, name: &str, rows: &[Vec<String>]) -> Result<(), StageError> {
    let mut labels: Vec<String> = rows.iter().map(|labels| labels.join(", ")).collect();
    if labels.iter().any(|label| label == name) {
        return Ok(());
    }
    labels.dedup();
    let rows: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    Err(StageError::failed(format!("`{parameter}` names the row `{name}`; the rows are {}", rows.join(", "))))
}

/// Numbers and where they stand.
pub(super) type PaperColumns = (Vec<Option<f64>>, Vec<Option<String>>);

/// The published number and its source for every row.
pub(super) fn paper(params: &TableParams, keys: &[(Vec<String>, String)]) -> PaperColumns {
    let label = |labels: &[String]| labels.join(", ");
    let found = |(labels, metric): &(Vec<String>, String)| {
        let value = params.paper.get(&label(labels))?;
        let of = value.metric.as_ref().or(params.metric.0.first());
        (of == Some(metric)).then_some(value)
    };
    let values = keys.iter().map(|key| found(key).and_then(|paper| paper.value)).collect();
    let source = |key| found(key).map(|paper| paper.source.clone()).filter(|source| !source.is_empty());
    (values, keys.iter().map(source).collect())
}
