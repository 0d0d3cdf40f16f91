//! `dataset.esc50`: ESC-50 and ESC-10 in their official layout.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::StageError;

use super::listing::{Columns, Listing};
use super::official::{Layout, Metadata, Official};

/// Which clips are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Esc50Subset {
    /// 2,000 clips of 50 classes.
    #[default]
    All,
    /// The 400 clips of the ten classes marked `esc10`; classes are numbered anew, in their order.
    Esc10,
}

/// ESC-50 as it is published: `meta/esc50.csv` and the folder `audio/`.
///
/// Outputs: `clips` (ids are file names; official folds) and `labels` (classes in the order of their numbers). Where the CSV file has the
/// columns `uploader` and `license`, they are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Esc50Params {
    /// The folder that holds `meta/` and `audio/`.
    #[serde(skip_serializing)]
    pub root: PathBuf,
    /// Another CSV file with the same columns; `meta/esc50.csv` if absent.
    #[serde(default, skip_serializing)]
    pub meta: Option<PathBuf>,
    /// Which clips are used.
    #[serde(default)]
    pub subset: Esc50Subset,
}

/// `dataset.esc50`.
pub type DatasetEsc50 = Official<Esc50Params>;

const LIST: &str = "meta/esc50.csv";

impl Layout for Esc50Params {
    const KIND: &'static str = "dataset.esc50";
    const PAPER: &'static str =
        "Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015";
    const TITLE: &'static str = "ESC-50";
    const ORIGIN: &'static str = "get ESC-50 from https://github.com/karolpiczak/ESC-50 and unpack it";

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        vec!["audio".to_owned()]
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let path = self.meta.clone().unwrap_or_else(|| self.root.join(LIST));
        vec![(LIST.to_owned(), path)]
    }

    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
        let sheet = metadata.sheet(LIST)?;
        let kept = ["uploader", "license", "src_file", "take"];
        let kept = kept.into_iter().filter(|name| sheet.header.iter().any(|column| column == name));
        let columns = Columns {
            path: "filename",
            prefix: "audio/",
            id: Some("filename"),
            class: "category",
            class_separator: None,
            target: Some("target"),
            classes: None,
            fold: Some("fold"),
            texts: kept.map(|name| (name, name, name)).collect(),
            only: (self.subset == Esc50Subset::Esc10).then_some("esc10"),
        };
        Listing::read(&sheet, &columns).map_err(|error| {
            error.help("this is not the official layout of ESC-50; use `dataset.csv` for another one")
        })
    }
}
