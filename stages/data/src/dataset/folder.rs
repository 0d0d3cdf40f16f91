//! `dataset.folder`: one folder for each class.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::audio::{EXTENSIONS, Unused, has_extension, is_companion};
use sndpipe_artefacts::composed;
use sndpipe_engine::{Output, ParamError, Port, SourceScan, Stage, StageError, StageIo};
use walkdir::{DirEntry, WalkDir};

use super::inside::{HELP, link_out};
use super::listing::{Clip, Listing};
use super::sheet::{current_directory, refuse};

/// Audio files in one folder for each class, nested as deep as they like.
///
/// Outputs: `clips` (ids are paths below `root`, with `/`) and `labels` (classes are the names of the folders, sorted). Files with another
/// extension are not used, and counted in the summary. Hidden files and folders, and folders without audio files, are passed over.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderParams {
    /// The folder that holds the folders of the classes.
    #[serde(skip_serializing)]
    pub root: PathBuf,
    /// Extensions of audio files, without the dot, in any case; by default of all formats that `decode` reads.
    #[serde(default = "extensions")]
    pub extensions: Vec<String>,
}

fn extensions() -> Vec<String> {
    EXTENSIONS.map(str::to_owned).to_vec()
}

impl FolderParams {
    fn listing(&self) -> Result<(Listing, Unused), StageError> {
        let root = &self.root;
        if !root.is_dir() {
            let what = if root.exists() { "is no folder" } else { "does not exist" };
            let help = format!("relative paths are taken from the current directory{}", current_directory());
            return Err(StageError::failed(format!("`{}` {what}", root.display())).help(help));
        }
        let (mut clips, mut mistakes, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        let mut unused = Unused::default();
        // A folder behind a link that leads out of the data set is not entered.
        let mut passes = |entry: &DirEntry| {
            let leads_to = entry.path_is_symlink().then(|| link_out(entry.path(), root)).flatten();
            if let Some(end) = &leads_to {
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                outside.push(format!("`{}` leads to `{}`", path.display(), end.display()));
            }
            leads_to.is_none()
        };
        let walk = WalkDir::new(root).min_depth(1).follow_links(true).sort_by_file_name();
        let walk = walk.into_iter();
        for entry in
            walk.filter_entry(|entry| entry.depth() == 0 || !is_companion(entry.file_name()) && passes(entry))
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    mistakes.push(error.to_string());
                    continue;
                }
            };
            if !entry.file_type().is_file() {
                continue;
            }
            if !has_extension(entry.path(), &self.extensions) {
                unused.add(entry.path());
                continue;
            }
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
            match relative.iter().map(|part| part.to_str()).collect::<Option<Vec<&str>>>().as_deref() {
                None => mistakes.push(format!("`{}`: the name is not UTF-8", relative.display())),
                Some([name]) => mistakes.push(format!("`{name}` lies in no folder of a class")),
                Some(parts) => clips.push(Clip {
                    id: parts.join("/"),
                    path: parts.join("/"),
                    line: None,
                    fold: None,
                    classes: parts.first().map(|class| composed(class)).into_iter().collect(),
                    texts: Vec::new(),
                }),
            }
        }
        refuse(mistakes, || format!("`{}` cannot be used", root.display()))?;
        refuse(outside, || format!("links lead out of the data set's folder `{}`", root.display()))
            .map_err(|error| error.help(HELP))?;
        if clips.is_empty() {
            let unused = unused.told().map(|unused| format!("; {unused}")).unwrap_or_default();
            let message = format!(
                "`{}` holds no folder with audio files ({}){unused}",
                root.display(),
                self.extensions.join(", ")
            );
            return Err(StageError::failed(message)
                .help("every class is a folder below `root`; see also `extensions`"));
        }
        let classes: BTreeSet<&String> = clips.iter().flat_map(|clip| &clip.classes).collect();
        let classes = classes.into_iter().cloned().collect();
        Ok((Listing::new(clips, classes, false, Vec::new())?, unused))
    }
}

/// `dataset.folder`.
pub struct DatasetFolder;

impl Stage for DatasetFolder {
    const NAME: &'static str = "dataset.folder";
    /// 2: classes are in Unicode's normal form C.
    const VERSION: u32 = 2;
    type Params = FolderParams;

    fn check(params: &FolderParams) -> Vec<ParamError> {
        let mut errors = Vec::new();
        if params.extensions.is_empty() {
            errors.push(ParamError::new("extensions", "an empty list selects no file"));
        }
        for (index, extension) in params.extensions.iter().enumerate() {
            if extension.is_empty() || extension.contains(['.', '/']) {
                let message = format!("`{extension}` is no extension");
                errors.push(
                    ParamError::new(format!("extensions[{index}]"), message).help("without the dot: `wav`"),
                );
            }
        }
        errors
    }

    fn inputs(_: &FolderParams) -> Vec<Port> {
        Vec::new()
    }

    fn outputs(_: &FolderParams) -> Vec<Output> {
        super::listing::outputs()
    }

    fn sources(params: &FolderParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        params.listing()?.0.declare(&params.root, scan)
    }

    fn run(params: &FolderParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (listing, unused) = params.listing()?;
        unused.told().into_iter().for_each(|told| io.remark(told));
        listing.write(io)
    }
}
