//! `dataset.csv`: clips listed in a CSV file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::composed;
use sndpipe_engine::declared;
use sndpipe_engine::{Output, ParamError, Port, SourceScan, Stage, StageError, StageIo};

use super::listing::{Columns, Listing, MANIFEST};
use super::sheet::Sheet;

/// Columns that the stage writes itself.
const RESERVED: [&str; 7] = ["clip_id", "path", "digest", "fold", "subset", "uploader", "license"];

/// Clips listed in a CSV file, one row a clip, with a header.
///
/// Outputs: `clips` (sorted by id, so that the order of rows does not matter) and `labels`. Cells are trimmed; an empty cell is an
/// absent value, which paths, ids and single classes may not be. A name matches a file, and a class another one, in whatever Unicode normal
/// form either is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvParams {
    /// The CSV file.
    #[serde(skip_serializing)]
    pub manifest: PathBuf,
    /// The folder that paths are relative to; the folder of the CSV file if absent.
    #[serde(default, skip_serializing)]
    pub root: Option<PathBuf>,
    /// What separates the cells: one ASCII character.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Column with the path of the audio file.
    #[serde(default = "path")]
    pub path: String,
    /// Column with the clip's id; the path as it is written if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Column with the class.
    #[serde(default = "class")]
    pub class: String,
    /// What separates several classes in one cell, for multi-label data; one class a clip if absent.
    #[serde(default)]
    pub class_separator: Option<String>,
    /// Column with the number of the class: the vocabulary is in that order.
    #[serde(default)]
    pub target: Option<String>,
    /// The vocabulary in its order; sorted if neither this nor `target` is given.
    #[serde(default)]
    pub classes: Option<Vec<String>>,
    /// Column with the number of the fold.
    #[serde(default)]
    pub fold: Option<String>,
    /// Column with the name of an official subset.
    #[serde(default)]
    pub subset: Option<String>,
    /// Column with the person or source that the clip comes from.
    #[serde(default)]
    pub uploader: Option<String>,
    /// Column with the licence.
    #[serde(default)]
    pub license: Option<String>,
    /// Further columns that are kept as text, under their names.
    #[serde(default)]
    pub keep: Vec<String>,
}

fn comma() -> char {
    ','
}

fn path() -> String {
    "path".to_owned()
}

fn class() -> String {
    "class".to_owned()
}

impl CsvParams {
    fn root(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(|| self.manifest.parent().map(PathBuf::from).unwrap_or_default())
    }

    fn listing(&self, sheet: &Sheet) -> Result<Listing, StageError> {
        let named = [("subset", &self.subset), ("uploader", &self.uploader), ("license", &self.license)];
        let mut texts: Vec<(&str, &str, &str)> =
            named.iter().filter_map(|(name, column)| Some((*name, column.as_deref()?, *name))).collect();
        texts.extend(self.keep.iter().map(|name| (name.as_str(), name.as_str(), "keep")));
        let columns = Columns {
            path: &self.path,
            prefix: "",
            id: self.id.as_deref(),
            class: &self.class,
            class_separator: self.class_separator.as_deref(),
            target: self.target.as_deref(),
            classes: self.classes.as_deref(),
            fold: self.fold.as_deref(),
            texts,
            only: None,
        };
        Listing::read(sheet, &columns)
    }
}

/// `dataset.csv`.
pub struct DatasetCsv;

impl Stage for DatasetCsv {
    const NAME: &'static str = "dataset.csv";
    /// 2: paths are trimmed, as other cells, and classes are in Unicode's normal form C.
    const VERSION: u32 = 2;
    type Params = CsvParams;

    fn check(params: &CsvParams) -> Vec<ParamError> {
        let mut errors = Vec::new();
        if !params.delimiter.is_ascii() || matches!(params.delimiter, '"' | '\n' | '\r') {
            errors
                .push(ParamError::new("delimiter", format!("{:?} cannot separate cells", params.delimiter)));
        }
        if params.class_separator.as_deref() == Some("") {
            errors.push(ParamError::new("class_separator", "an empty text separates nothing"));
        }
        if params.class_separator.is_some() && params.target.is_some() {
            let message = "a cell with several classes has no single class number";
            errors.push(ParamError::new("target", message).help("order the vocabulary with `classes:`"));
        }
        if let Some(classes) = &params.classes {
            if params.target.is_some() {
                errors.push(
                    ParamError::new("target", "`classes` and `target` both order the vocabulary")
                        .help("give one of them"),
                );
            }
            if classes.is_empty() {
                errors.push(ParamError::new("classes", "an empty vocabulary"));
            }
            let mut seen = BTreeSet::new();
            for (index, class) in classes.iter().enumerate() {
                if !seen.insert(composed(class)) {
                    errors.push(ParamError::new(
                        format!("classes[{index}]"),
                        format!("`{class}` is listed twice"),
                    ));
                }
            }
        }
        let mut seen = BTreeSet::new();
        for (index, column) in params.keep.iter().enumerate() {
            let at = format!("keep[{index}]");
            if RESERVED.contains(&column.as_str()) {
                let message = format!("`{column}` is a column that the table of clips has anyway");
                errors.push(ParamError::new(at, message).help(format!("use `{column}: {column}`")));
            } else if !seen.insert(column) {
                errors.push(ParamError::new(at, format!("`{column}` is listed twice")));
            }
        }
        errors
    }

    fn inputs(_: &CsvParams) -> Vec<Port> {
        Vec::new()
    }

    fn outputs(_: &CsvParams) -> Vec<Output> {
        super::listing::outputs()
    }

    fn sources(params: &CsvParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        let listing = params.listing(&Sheet::open(&params.manifest, params.delimiter)?)?;
        scan.file(MANIFEST, &params.manifest)?;
        listing.declare(&params.root(), scan)
    }

    fn run(params: &CsvParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        params.listing(&manifest(&params.manifest, params.delimiter, io)?)?.write(io)
    }
}

/// Reads the manifest again and proves that it still is what the plan saw.
fn manifest(path: &std::path::Path, delimiter: char, io: &StageIo<'_>) -> Result<Sheet, StageError> {
    Sheet::parse(path, &declared::read(MANIFEST, path, io)?, delimiter)
}
