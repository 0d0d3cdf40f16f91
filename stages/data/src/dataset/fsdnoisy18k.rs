//! `dataset.fsdnoisy18k`: FSDnoisy18k as it is published.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{StageError, agree, counted};

use super::listing::{Clip, Listing};
use super::official::{Layout, Metadata, Official, flag, freesound_id};
use super::sheet::refuse;

/// FSDnoisy18k: clips of 20 classes, one a clip, a few of them verified by hand and most with noisy labels, in its published folders
/// `FSDnoisy18k.audio_train`, `FSDnoisy18k.audio_test` and `FSDnoisy18k.meta`.
///
/// Outputs: `clips` and `labels` (classes sorted). Ids are file names; `subset` is `train` or `test`; `verified` is `true` where the
/// label was verified by hand (all of test), else `false`; `noisy_small` is `true` for the noisy clips that are as long together
/// as the verified ones; `freesound_id`. Clips that are both in train and in test are in test only, and a remark names them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fsdnoisy18kParams {
    /// The folder that holds `FSDnoisy18k.audio_train` and the others.
    #[serde(skip_serializing)]
    pub root: PathBuf,
}

/// `dataset.fsdnoisy18k`.
pub type DatasetFsdnoisy18k = Official<Fsdnoisy18kParams>;

const TRAIN: &str = "FSDnoisy18k.meta/train.csv";
const TEST: &str = "FSDnoisy18k.meta/test.csv";

impl Layout for Fsdnoisy18kParams {
    const KIND: &'static str = "dataset.fsdnoisy18k";
    const PAPER: &'static str =
        "Fonseca et al., Learning Sound Event Classifiers from Web Audio with Noisy Labels, ICASSP 2019";
    const TITLE: &'static str = "FSDnoisy18k";
    const ORIGIN: &'static str = "get FSDnoisy18k from https://zenodo.org/records/2529934 and unpack it";

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        ["train", "test"].map(|part| format!("FSDnoisy18k.audio_{part}")).to_vec()
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        vec![self.below(TRAIN), self.below(TEST)]
    }

    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
        let clip = |part: &str, name: &str, number, class: &str, [verified, small]: [bool; 2]| Clip {
            id: name.to_owned(),
            path: format!("FSDnoisy18k.audio_{part}/{name}"),
            line: Some(number),
            fold: None,
            classes: vec![class.to_owned()],
            texts: vec![
                Some(part.to_owned()),
                Some(verified.to_string()),
                Some(small.to_string()),
                freesound_id(name),
            ],
        };
        let sheet = metadata.sheet(TEST)?;
        let [name, class] = sheet.columns(["fname", "label"])?;
        let mut clips: Vec<Clip> = sheet
            .lines()
            .map(|line| clip("test", line[name].trim(), line.number, line[class].trim(), [true, false]))
            .collect();
        let tests: BTreeSet<String> = clips.iter().map(|clip| clip.id.clone()).collect();

        let sheet = metadata.sheet(TRAIN)?;
        let [name, class, verified, small] =
            sheet.columns(["fname", "label", "manually_verified", "noisy_small"])?;
        let (mut both, mut mistakes) = (Vec::new(), Vec::new());
        for line in sheet.lines() {
            let flags = [verified, small].map(|at| flag(&sheet, line, at, &mut mistakes));
            let name = line.cell(name).trim();
            if tests.contains(name) {
                both.push(name);
            } else {
                clips.push(clip("train", name, line.number, line[class].trim(), flags));
            }
        }
        refuse(mistakes, || format!("`{}` cannot be used", sheet.path.display()))?;
        let classes: BTreeSet<&String> = clips.iter().flat_map(|clip| &clip.classes).collect();
        let classes = classes.into_iter().cloned().collect();
        let texts = ["subset", "verified", "noisy_small", "freesound_id"].map(str::to_owned).to_vec();
        let mut listing = Listing::new(clips, classes, false, texts)?;
        if !both.is_empty() {
            let remark = format!(
                "{} of train {} not train: {}",
                counted(both.len(), "clip"),
                agree(both.len(), "is in test, too, and does", "are in test, too, and do"),
                both.join(", ")
            );
            listing.remarks.push(remark);
        }
        Ok(listing)
    }
}
