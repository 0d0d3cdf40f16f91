//! `dataset.dcase2013`: the acoustic scenes of the DCASE 2013 challenge.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{ParamError, StageError};
use walkdir::WalkDir;

use super::listing::{Clip, Listing};
use super::official::{Layout, Metadata, Official};
use super::sheet::refuse;

/// The acoustic scenes of DCASE 2013: recordings of 30 seconds in ten places, in two folders of files that are named after the scene
/// and a number, such as `bus01.wav`.
///
/// Outputs: `clips` and `labels` (scenes sorted). Ids are paths; `subset` is `train` for the folder that was public and `test` for the
/// one that was private, where that is there; `fold` goes through the numbers of each scene in turn and is ours: the challenge
/// published other folds of files, which `dataset.csv` can read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dcase2013Params {
    /// The folder that holds both folders.
    #[serde(skip_serializing)]
    pub root: PathBuf,
    /// The folder of the public recordings, below the root.
    #[serde(default = "public")]
    pub public: String,
    /// The folder of the private recordings, below the root; absent where only the public ones are used.
    #[serde(default)]
    pub private: Option<String>,
    /// Number of folds, from 1.
    #[serde(default = "five")]
    pub folds: u32,
}

fn public() -> String {
    "scenes_stereo".to_owned()
}

const fn five() -> u32 {
    5
}

/// `dataset.dcase2013`.
pub type DatasetDcase2013 = Official<Dcase2013Params>;

impl Layout for Dcase2013Params {
    const KIND: &'static str = "dataset.dcase2013";
    const PAPER: &'static str = "Stowell et al., Detection and Classification of Acoustic Scenes and Events, IEEE Transactions on Multimedia 2015";
    const TITLE: &'static str = "DCASE 2013 scenes";
    const ORIGIN: &'static str =
        "get the scene classification data from https://dcase.community/challenge2013 and unpack it";

    fn mistakes(&self) -> Vec<ParamError> {
        let none = self.folds == 0;
        none.then(|| ParamError::new("folds", "0 is outside 1..")).into_iter().collect()
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        std::iter::once(&self.public).chain(&self.private).cloned().collect()
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        Vec::new()
    }

    fn listing(&self, _: &Metadata<'_>) -> Result<Listing, StageError> {
        let (mut clips, mut mistakes) = (Vec::new(), Vec::new());
        for (subset, folder) in self.folders().into_iter().enumerate() {
            let path = self.root.join(&folder);
            for entry in WalkDir::new(&path).min_depth(1).max_depth(1).sort_by_file_name() {
                let entry = entry.map_err(|error| StageError::failed(error.to_string()))?;
                let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".wav")) else {
                    continue;
                };
                let scene = name.trim_end_matches(|c: char| c.is_ascii_digit());
                let number = name[scene.len()..].parse::<i64>().ok().filter(|_| !scene.is_empty());
                let Some(number) = number else {
                    mistakes.push(format!("`{folder}/{name}.wav` is not a scene and a number"));
                    continue;
                };
                let path = format!("{folder}/{name}.wav");
                clips.push(Clip {
                    id: path.clone(),
                    path,
                    line: None,
                    fold: Some((number - 1).rem_euclid(i64::from(self.folds)) + 1),
                    classes: vec![scene.to_owned()],
                    texts: vec![Some(["train", "test"][subset].to_owned())],
                });
            }
        }
        refuse(mistakes, || format!("`{}` cannot be used", self.root.display()))?;
        if clips.is_empty() {
            let message = format!("`{}` holds no recordings", self.root.join(&self.public).display());
            return Err(StageError::failed(message).help(Self::ORIGIN));
        }
        let scenes: BTreeSet<&String> = clips.iter().flat_map(|clip| &clip.classes).collect();
        let scenes = scenes.into_iter().cloned().collect();
        Listing::new(clips, scenes, true, vec!["subset".to_owned()])
    }
}
