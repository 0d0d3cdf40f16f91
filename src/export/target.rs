//! Where exported files go.

use std::path::{Path, PathBuf};

use sndpipe_cache::Store;

use crate::args::ExportForm;
use crate::failure::Failure;

/// Where and how to export.
pub struct Export<'a> {
    /// The cache.
    pub store: &'a Store,
    /// The folder.
    pub dir: &'a Path,
    /// The form, where one was asked for.
    pub form: Option<ExportForm>,
    /// Whether files that exist may be replaced.
    pub overwrite: bool,
}

impl Export<'_> {
    /// A path in the folder that may be written to.
    pub fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        fs_err::create_dir_all(self.dir).map_err(|error| Failure::failed(error.to_string()))?;
        let path = self.dir.join(name);
        if path.exists() && !self.overwrite {
            return Err(Failure::usage(format!("{} exists already", path.display()))
                .help("`--overwrite` replaces it"));
        }
        Ok(path)
    }
}
