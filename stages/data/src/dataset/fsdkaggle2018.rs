//! `dataset.fsdkaggle2018`: FSDKaggle2018 as it is published.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::StageError;

use super::listing::{Clip, Listing};
use super::official::{Layout, Metadata, Official, flag};
use super::sheet::refuse;

/// FSDKaggle2018: 11,073 clips of 41 classes, one a clip, in its published folders `FSDKaggle2018.audio_train`,
/// `FSDKaggle2018.audio_test` and `FSDKaggle2018.meta`.
///
/// Outputs: `clips` and `labels` (classes sorted). Ids are file names; `subset` is `train` or `test`; `verified` is `true` where the
/// label was verified by hand (all of test), else `false`; `usage` is `Public` or `Private` in test; `freesound_id` and `license`. Rows
/// of test that only pad the list (`Ignored`) are no clips.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fsdkaggle2018Params {
    /// The folder that holds `FSDKaggle2018.audio_train` and the others.
    #[serde(skip_serializing)]
    pub root: PathBuf,
}

/// `dataset.fsdkaggle2018`.
pub type DatasetFsdkaggle2018 = Official<Fsdkaggle2018Params>;

const TRAIN: &str = "FSDKaggle2018.meta/train_post_competition.csv";
const TEST: &str = "FSDKaggle2018.meta/test_post_competition.csv";
/// The list of test without padding, under which name it is published, too.
const SCORED: &str = "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv";

impl Layout for Fsdkaggle2018Params {
    const KIND: &'static str = "dataset.fsdkaggle2018";
    const PAPER: &'static str =
        "Fonseca et al., General-purpose Tagging of Freesound Audio with AudioSet Labels, DCASE 2018";
    const TITLE: &'static str = "FSDKaggle2018";
    const ORIGIN: &'static str = "get FSDKaggle2018 from https://zenodo.org/records/2552860 and unpack it";

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        ["train", "test"].map(|part| format!("FSDKaggle2018.audio_{part}")).to_vec()
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let scored = self.root.join(SCORED);
        let test = if scored.is_file() { scored } else { self.root.join(TEST) };
        vec![self.below(TRAIN), (TEST.to_owned(), test)]
    }

    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
        let mut clips = Vec::new();
        for (part, file) in [("train", TRAIN), ("test", TEST)] {
            let sheet = metadata.sheet(file)?;
            let special = if part == "train" { "manually_verified" } else { "usage" };
            let [name, class, id, license, special] =
                sheet.columns(["fname", "label", "freesound_id", "license", special])?;
            let mut mistakes = Vec::new();
            for line in sheet.lines().filter(|line| line[special].trim() != "Ignored") {
                let verified = part == "test" || flag(&sheet, line, special, &mut mistakes);
                let text = |at: usize| Some(line[at].trim().to_owned()).filter(|text| !text.is_empty());
                let usage = if part == "test" { text(special) } else { None };
                clips.push(Clip {
                    id: line[name].trim().to_owned(),
                    path: format!("FSDKaggle2018.audio_{part}/{}", line[name].trim()),
                    line: Some(line.number),
                    fold: None,
                    classes: vec![line[class].trim().to_owned()],
                    texts: vec![
                        Some(part.to_owned()),
                        Some(verified.to_string()),
                        usage,
                        text(id),
                        text(license),
                    ],
                });
            }
            refuse(mistakes, || format!("`{}` cannot be used", sheet.path.display()))?;
        }
        let classes: BTreeSet<&String> = clips.iter().flat_map(|clip| &clip.classes).collect();
        let classes = classes.into_iter().cloned().collect();
        let texts = ["subset", "verified", "usage", "freesound_id", "license"].map(str::to_owned).to_vec();
        Listing::new(clips, classes, false, texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published counts.
    #[test]
    fn the_real_metadata_is_read() {
        let Some(metadata) = crate::real::data("SNDPIPE_METADATA", "metadata") else { return };
        let folder = metadata.join("fsdkaggle2018");
        let files = [(TRAIN, "train_post_competition.csv"), (TEST, "test_post_competition.csv")];
        let files = files.map(|(label, name)| (label.to_owned(), folder.join(name))).to_vec();
        let params = Fsdkaggle2018Params { root: folder };
        let listing = params.listing(&Metadata::on_disk(files)).unwrap();
        let count = |column: usize, value: &str| {
            listing.clips.iter().filter(|clip| clip.texts[column].as_deref() == Some(value)).count()
        };
        assert_eq!((count(0, "train"), count(0, "test"), listing.classes.len()), (9_473, 1_600, 41));
        assert_eq!((count(1, "true"), count(1, "false")), (3_710 + 1_600, 5_763));
        assert_eq!((count(2, "Private"), count(2, "Public")), (1_299, 301));
    }
}
