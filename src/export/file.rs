//! Names and files of an export.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sndpipe_cache::Digest;

use crate::failure::Failure;

/// A name that every file system takes: `model[fold=1,loss=lq]` becomes `model_fold=1_loss=lq`.
pub fn safe_name(name: &str) -> String {
    let fine = |character: char| character.is_alphanumeric() || matches!(character, '.' | '-' | '_' | '=');
    let mut safe = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            _ if fine(character) => safe.push(character),
            ']' => {}
            _ => safe.push('_'),
        }
    }
    let safe = safe.trim_start_matches('.');
    if safe.is_empty() { "unnamed".to_owned() } else { safe.to_owned() }
}

/// A name for a clip's own file; clips that differ only in unusual characters stay apart.
pub fn clip_name(clip: &str) -> String {
    let safe = safe_name(clip);
    if safe == clip { safe } else { format!("{safe}-{}", &Digest::of(clip.as_bytes()).to_string()[..8]) }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_every_file_system() {
        assert_eq!(safe_name("model[fold=1,loss=lq].history"), "model_fold=1_loss=lq.history");
        assert_eq!(safe_name("../a b"), "_a_b");
        assert_eq!(safe_name("…"), "_");
        assert_eq!(safe_name(""), "unnamed");
        assert_ne!(clip_name("a/b.wav"), clip_name("a:b.wav"));
        assert_eq!(clip_name("1-100032-A-0.ogg"), "1-100032-A-0.ogg");
    }
}
