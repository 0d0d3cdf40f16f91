//! Files that a stage has declared, read again when it runs.

use std::path::Path;

use sndpipe_cache::Digest;

use crate::{SourceFile, StageError, StageIo};

/// Reads a declared file and proves that it still is what the plan saw.
///
/// # Errors
/// [`StageError::Failed`] if it cannot be read or has changed.
pub fn read(label: &str, path: &Path, io: &StageIo<'_>) -> Result<Vec<u8>, StageError> {
    let bytes = fs_err::read(path)?;
    let declared = io.sources().iter().find(|source| source.label == label).map(SourceFile::digest);
    if declared != Some(Digest::of(&bytes)) {
        return Err(io.found_changed(path));
    }
    Ok(bytes)
}
