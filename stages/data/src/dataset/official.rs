//! Data sets in the layout in which they are published.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sndpipe_cache::Meta;
use sndpipe_engine::declared;
use sndpipe_engine::{Output, ParamError, Port, SourceScan, Stage, StageError, StageIo};

use super::inside;
use super::listing::{Listing, outputs};
use super::sheet::{Line, Sheet, current_directory, refuse};

/// How classes are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassName {
    /// By their names in the vocabulary.
    #[default]
    Name,
    /// By their ids in the ontology of AudioSet, such as `/m/0395lw`.
    Mid,
}

type Reader<'a> = dyn Fn(&str, &Path) -> Result<Vec<u8>, StageError> + 'a;

/// The metadata files of a data set: on the disk when a run is planned; when it runs, proven to be what was planned with.
pub(super) struct Metadata<'a> {
    files: Vec<(String, PathBuf)>,
    reader: Box<Reader<'a>>,
}

impl<'a> Metadata<'a> {
    /// Files as they are on the disk.
    pub fn on_disk(files: Vec<(String, PathBuf)>) -> Self {
        Self { files, reader: Box::new(|_, path| Ok(fs_err::read(path)?)) }
    }

    /// The files that a running stage declared.
    fn declared(files: Vec<(String, PathBuf)>, io: &'a StageIo<'_>) -> Self {
        Self { files, reader: Box::new(|name, path| declared::read(name, path, io)) }
    }

    /// Whether the data set has a file that it need not have.
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(label, _)| label == name)
    }

    /// Path and bytes of a file.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it cannot be read or has changed.
    pub fn read(&self, name: &str) -> Result<(&Path, Vec<u8>), StageError> {
        let (_, path) = self
            .files
            .iter()
            .find(|(label, _)| label == name)
            .ok_or_else(|| StageError::failed(format!("the metadata file `{name}` was not declared")))?;
        Ok((path, (self.reader)(name, path)?))
    }

    /// A CSV file.
    ///
    /// # Errors
    /// As [`Metadata::read`] and [`Sheet::parse`].
    pub fn sheet(&self, name: &str) -> Result<Sheet, StageError> {
        let (path, bytes) = self.read(name)?;
        Sheet::parse(path, &bytes, ',')?.single_lines()
    }
}

/// The parameters of a data set in its published layout, and how it is read.
pub(super) trait Layout: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What `uses:` says.
    const KIND: &'static str;
    /// See [`Stage::SOURCE`].
    const PAPER: &'static str;
    /// What people call it.
    const TITLE: &'static str;
    /// How to get it: "get it from …".
    const ORIGIN: &'static str;

    /// See [`Stage::check`].
    fn mistakes(&self) -> Vec<ParamError> {
        Vec::new()
    }

    /// The folder that holds everything.
    fn root(&self) -> &Path;

    /// Folders that must be there, relative to the root.
    fn folders(&self) -> Vec<String>;

    /// Metadata files under the names by which they are read, with their paths; those that need not be there only if they are.
    fn files(&self) -> Vec<(String, PathBuf)>;

    /// The clips; their files may be missing.
    ///
    /// # Errors
    /// [`StageError::Failed`] where metadata is not what was published.
    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError>;

    /// Outputs after `clips` and `labels`.
    fn more_outputs(&self) -> Vec<Output> {
        Vec::new()
    }

    /// The content of [`Layout::more_outputs`], in order.
    ///
    /// # Errors
    /// As [`Layout::listing`].
    fn more(&self, metadata: &Metadata<'_>) -> Result<Vec<(Meta, RecordBatch)>, StageError> {
        let _ = metadata;
        Ok(Vec::new())
    }

    /// A file below the root, under its relative path.
    fn below(&self, name: &str) -> (String, PathBuf) {
        (name.to_owned(), self.root().join(name))
    }
}

/// Whether a cell is `1` rather than `0`; anything else is a mistake.
pub(super) fn flag(sheet: &Sheet, line: Line<'_>, at: usize, mistakes: &mut Vec<String>) -> bool {
    let text = line[at].trim();
    if !matches!(text, "0" | "1") {
        mistakes.push(format!("line {}: `{}` is `{text}`, not 0 or 1", line.number, sheet.header[at]));
    }
    text == "1"
}

/// The Freesound id in a file name such as `17.wav`.
pub(super) fn freesound_id(name: &str) -> Option<String> {
    let stem = Path::new(name).file_stem()?.to_str()?;
    stem.bytes().all(|byte| byte.is_ascii_digit()).then(|| stem.to_owned())
}

/// What is missing of a data set, all at once.
fn complete<P: Layout>(params: &P) -> Result<(), StageError> {
    let root = params.root();
    let here = current_directory();
    let help =
        format!("{}; or let `root:` name its folder, relative to the current directory{here}", P::ORIGIN);
    if !root.is_dir() {
        let what = if root.exists() { "is no folder" } else { "does not exist" };
        return Err(StageError::failed(format!("{}: `{}` {what}", P::TITLE, root.display())).help(help));
    }
    let folders = params.folders().into_iter().filter(|name| !root.join(name).is_dir());
    let files = params.files().into_iter().filter(|(_, path)| !path.is_file());
    let missing =
        folders.map(|name| format!("the folder `{name}` is missing")).chain(files.map(|(_, path)| {
            let shown = path.strip_prefix(root).unwrap_or(&path);
            format!("the file `{}` is missing", shown.display())
        }));
    refuse(missing, || format!("{} is not complete in `{}`", P::TITLE, root.display()))
        .map_err(|error| error.help(help))
}

/// The clips of a data set, with what every one of them is checked for.
fn read<P: Layout>(params: &P, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
    let mut listing = params.listing(metadata)?;
    listing.origin = P::ORIGIN;
    let outside = listing.clips.iter().filter_map(|clip| {
        let what = inside::leads_out(&clip.path)?;
        Some(format!("`{}`{} {what}", clip.path, clip.place()))
    });
    refuse(outside, || format!("{} names files outside of its folder", P::TITLE))
        .map_err(|error| error.help(inside::HELP))?;
    Ok(listing)
}

/// The stage of a data set in its published layout.
pub struct Official<P>(PhantomData<fn() -> P>);

impl<P: Layout> Stage for Official<P> {
    const NAME: &'static str = P::KIND;
    const VERSION: u32 = 1;
    const SOURCE: &'static str = P::PAPER;
    type Params = P;

    fn check(params: &P) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &P) -> Vec<Port> {
        Vec::new()
    }

    fn outputs(params: &P) -> Vec<Output> {
        outputs().into_iter().chain(params.more_outputs()).collect()
    }

    fn sources(params: &P, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        complete(params)?;
        let files = params.files();
        let listing = read(params, &Metadata::on_disk(files.clone()))?;
        scan.files(files)?;
        listing.declare(params.root(), scan)
    }

    fn run(params: &P, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let metadata = Metadata::declared(params.files(), io);
        let listing = read(params, &metadata)?;
        let more = params.more(&metadata)?;
        drop(metadata);
        for (output, (meta, table)) in params.more_outputs().iter().zip(more) {
            io.write_table(&output.name, meta, &table)?;
        }
        listing.write(io)
    }
}
