//! Files of an export.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Writes a file whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, |file| Ok(file.write_all(bytes)?))
}

/// Writes a file under another name and moves it where it belongs once it is complete.
pub fn replace(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<fs_err::File>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let part = part(path);
    let failed = |error: std::io::Error| Failure::failed(error.to_string());
    let result = (|| {
        let mut file = BufWriter::new(fs_err::File::create(&part).map_err(failed)?);
        fill(&mut file)?;
        file.flush().map_err(failed)?;
        fs_err::rename(&part, path).map_err(failed)
    })();
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs_err::remove_file(&part);
    }
    result
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}
