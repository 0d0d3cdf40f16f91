//! `dataset.esc50`: ESC-50 and ESC-10 in their official layout.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{Output, Port, SourceScan, Stage, StageError, StageIo};

use super::listing::{Columns, Listing, MANIFEST};
use super::sheet::Sheet;

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

impl Esc50Params {
    fn manifest(&self) -> PathBuf {
        self.meta.clone().unwrap_or_else(|| self.root.join("meta/esc50.csv"))
    }

    fn listing(&self, sheet: &Sheet) -> Result<Listing, StageError> {
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
        Listing::read(sheet, &columns)
    }
}

/// `dataset.esc50`.
pub struct DatasetEsc50;

impl Stage for DatasetEsc50 {
    const NAME: &'static str = "dataset.esc50";
    const VERSION: u32 = 1;
    const SOURCE: &'static str =
        "Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015";
    type Params = Esc50Params;

    fn inputs(_: &Esc50Params) -> Vec<Port> {
        Vec::new()
    }

    fn outputs(_: &Esc50Params) -> Vec<Output> {
        super::listing::outputs()
    }

    fn sources(params: &Esc50Params, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        if params.meta.is_none() && !params.root.is_dir() {
            let message = format!("the folder `{}` does not exist", params.root.display());
            let help = "`root` is the folder of ESC-50 that holds `meta/` and `audio/`";
            return Err(StageError::failed(message).help(help));
        }
        let manifest = params.manifest();
        let listing = params.listing(&Sheet::open(&manifest, ',')?).map_err(|error| {
            error.help("this is not the official layout of ESC-50; use `dataset.csv` for another one")
        })?;
        scan.file(MANIFEST, &manifest)?;
        listing.declare(&params.root, scan)
    }

    fn run(params: &Esc50Params, io: &mut StageIo<'_>) -> Result<(), StageError> {
        params.listing(&super::csv::manifest(&params.manifest(), ',', io)?)?.write(io)
    }
}
