//! `dataset.urbansound8k`: UrbanSound8K as it is published.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::StageError;

use super::listing::{Clip, Columns, Listing};
use super::official::{Layout, Metadata, Official};

/// UrbanSound8K: 8,732 clips of ten classes, one a clip, in ten folds, in its published folders `audio/fold1` to `audio/fold10` and
/// `metadata`.
///
/// Outputs: `clips` and `labels` (classes in the order of their numbers). Ids are file names; `fold`; `freesound_id` is the recording
/// that a clip was cut from (recordings in two folds are told in a remark); `salience`. To be evaluated on the official folds:
/// other splits put clips of one recording on both sides.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Urbansound8kParams {
    /// The folder that holds `audio` and `metadata`.
    #[serde(skip_serializing)]
    pub root: PathBuf,
}

/// `dataset.urbansound8k`.
pub type DatasetUrbansound8k = Official<Urbansound8kParams>;

const LIST: &str = "metadata/UrbanSound8K.csv";

impl Layout for Urbansound8kParams {
    const KIND: &'static str = "dataset.urbansound8k";
    const PAPER: &'static str =
        "Salamon, Jacoby, Bello, A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia 2014";
    const TITLE: &'static str = "UrbanSound8K";
    const ORIGIN: &'static str = "get UrbanSound8K from https://zenodo.org/records/1203745 and unpack it";

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        (1..=10).map(|fold| format!("audio/fold{fold}")).collect()
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        vec![self.below(LIST)]
    }

    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
        let sheet = metadata.sheet(LIST)?;
        sheet.columns(["slice_file_name", "fsID", "salience", "fold", "classID", "class"])?;
        let columns = Columns {
            path: "slice_file_name",
            prefix: "",
            id: Some("slice_file_name"),
            class: "class",
            class_separator: None,
            target: Some("classID"),
            classes: None,
            fold: Some("fold"),
            texts: vec![("freesound_id", "fsID", "fsID"), ("salience", "salience", "salience")],
            only: None,
        };
        let mut listing = Listing::read(&sheet, &columns)?;
        for Clip { path, fold, id, line, .. } in &mut listing.clips {
            let fold = fold.ok_or_else(|| {
                let line = line.unwrap_or_default();
                StageError::failed(format!("`{}`, line {line}: `{id}` has no fold", sheet.path.display()))
            })?;
            *path = format!("audio/fold{fold}/{path}");
        }
        Ok(listing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::traps;
    use super::*;

    /// The published counts.
    #[test]
    fn the_real_metadata_is_read() {
        let Some(metadata) = crate::real::data("SNDPIPE_METADATA", "metadata") else { return };
        let root = metadata.join("urbansound8k");
        let files = vec![(LIST.to_owned(), root.join("UrbanSound8K.csv"))];
        let listing = Urbansound8kParams { root }.listing(&Metadata::on_disk(files)).unwrap();
        let count = |is: &dyn Fn(&Clip) -> bool| listing.clips.iter().filter(|clip| is(clip)).count();
        let folds: Vec<usize> = (1..=10).map(|fold| count(&|clip| clip.fold == Some(fold))).collect();
        assert_eq!(folds, [873, 888, 925, 990, 936, 823, 838, 806, 816, 837]);
        let classes: Vec<usize> =
            listing.classes.iter().map(|class| count(&|clip| clip.classes[0] == *class)).collect();
        assert_eq!(classes, [1000, 429, 1000, 1000, 1000, 1000, 374, 1000, 929, 1000]);
        assert_eq!((&*listing.classes[0], &*listing.classes[9]), ("air_conditioner", "street_music"));
        let digests: Vec<String> = (0..listing.clips.len()).map(|n| n.to_string()).collect();
        let expected = "clips of 5 recordings are on several sides: 106905 (fold 1, fold 8), 132016 (fold 1, fold 4), \
            176638 (fold 1, fold 4), 180937 (fold 1, fold 9), 77751 (fold 2, fold 7)";
        assert_eq!(traps::found(&listing, &digests), [expected]);
    }
}
