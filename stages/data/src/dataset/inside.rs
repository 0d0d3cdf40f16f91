//! Keeps the files of a data set inside its folder: a list from elsewhere may name any file of this machine.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;
use sndpipe_engine::StageError;

use super::listing::Clip;
use super::sheet::refuse;

/// What is wrong with a path as it is listed, if it could lead out of the folder that it is relative to.
pub(super) fn leads_out(path: &str) -> Option<&'static str> {
    Path::new(path).components().find_map(|component| match component {
        Component::ParentDir => Some("leads out of its folder with `..`"),
        Component::RootDir | Component::Prefix(_) => Some("is absolute"),
        Component::CurDir | Component::Normal(_) => None,
    })
}

/// Where a link leads to, if that is outside of a folder.
pub(super) fn link_out(link: &Path, root: &Path) -> Option<PathBuf> {
    let end = fs_err::canonicalize(link).ok()?;
    (!end.starts_with(fs_err::canonicalize(root).ok()?)).then_some(end)
}

/// Refuses clips whose files, at `paths`, are links, or lie behind links, that lead out of the folder of the data set.
///
/// # Errors
/// [`StageError::Failed`] naming the first few and where they lead to.
pub(super) fn check(clips: &[Clip], paths: &[PathBuf], root: &Path) -> Result<(), StageError> {
    let folder = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    // A folder that is not there is told of where its files are looked for.
    let Ok(real) = fs_err::canonicalize(folder) else { return Ok(()) };
    let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let mut folders: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for path in paths {
        let leads_out = |parent: &PathBuf| link_out(&folder.join(parent), &real).is_some();
        folders.entry(parent(path)).or_insert_with_key(leads_out);
    }
    let outside: Vec<String> = clips
        .par_iter()
        .zip(paths)
        .with_min_len(64)
        .filter(|(_, path)| {
            let file = folder.join(path);
            let is_link = || fs_err::symlink_metadata(file).is_ok_and(|meta| meta.is_symlink());
            folders.get(&parent(path)).copied().unwrap_or(false) || is_link()
        })
        .filter_map(|(clip, path)| {
            let end = link_out(&folder.join(path), &real)?;
            Some(format!("`{}`{} leads to `{}`", clip.path, clip.place(), end.display()))
        })
        .collect();
    refuse(outside, || format!("links lead out of the data set's folder `{}`", real.display()))
        .map_err(|error| error.help(HELP))
}

/// What to do about a file that lies elsewhere.
pub(super) const HELP: &str =
    "copy the files, or let `root:` name the folder that holds them all, with paths relative to it";
