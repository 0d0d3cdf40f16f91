//! Where the files of clips lie. The name `é.wav` can be written in several Unicode normal forms that look the same: lists usually have
//! the composed one, files that were copied from macOS often the decomposed one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sndpipe_artefacts::composed;

use super::listing::Clip;

/// The path of each clip's file as the file system has it, relative to `root`; as it is listed where there is no such file.
pub(super) fn located(clips: &[Clip], root: &Path) -> Vec<PathBuf> {
    let mut folders = Folders::default();
    clips
        .iter()
        .map(|clip| {
            let listed = Path::new(&clip.path);
            let found = !clip.path.is_ascii() && fs_err::symlink_metadata(root.join(listed)).is_err();
            found.then(|| folders.find(root, listed)).flatten().unwrap_or_else(|| listed.to_owned())
        })
        .collect()
}

/// The names in folders under their composed forms.
#[derive(Default)]
struct Folders(BTreeMap<PathBuf, BTreeMap<String, OsString>>);

impl Folders {
    /// Finds a file part by part, in any normal form.
    fn find(&mut self, root: &Path, listed: &Path) -> Option<PathBuf> {
        let mut found = PathBuf::new();
        for part in listed.iter() {
            let names = self.0.entry(found.clone()).or_insert_with(|| names(&root.join(&found)));
            let there = fs_err::symlink_metadata(root.join(&found).join(part)).is_ok();
            let name = if there { part } else { names.get(&composed(part.to_str()?))? };
            found.push(name);
        }
        Some(found)
    }
}

/// The names in a folder; of several forms of one name the first, by bytes.
fn names(folder: &Path) -> BTreeMap<String, OsString> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut names = BTreeMap::new();
    let mut all: Vec<OsString> = fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    all.sort();
    for name in all {
        if let Some(text) = name.to_str() {
            names.entry(composed(text)).or_insert(name);
        }
    }
    names
}
