//! What disks, people and other programs do to the files of a cache.

use std::path::{Path, PathBuf};

use crate::dice::Dice;

/// Damages a file below `folder` and says how; none where there is no file yet.
pub fn damage(folder: &Path, dice: &mut Dice) -> Option<String> {
    let mut files = Vec::new();
    list(folder, &mut files);
    files.sort();
    if files.is_empty() {
        return None;
    }
    let path = dice.pick(&files);
    let mut bytes = fs_err::read(path).unwrap();
    let length = bytes.len() as u64;
    let how = match dice.below(6) {
        0 | 1 => {
            let at = dice.below(length);
            bytes[at as usize] ^= 1 << dice.below(8);
            format!("a bit of byte {at} flipped")
        }
        2 => {
            let left = dice.below(length);
            bytes.truncate(left as usize);
            format!("cut to {left} bytes")
        }
        3 => {
            // What a file system may leave after a power failure.
            let from = dice.below(length) as usize;
            let to = (from + 4096).min(bytes.len());
            bytes[from..to].fill(0);
            format!("bytes {from}..{to} are zero")
        }
        4 => {
            let other = dice.pick(&files);
            bytes = fs_err::read(other).unwrap();
            format!("has the content of {}", other.display())
        }
        _ => {
            fs_err::remove_file(path).unwrap();
            return Some(format!("{}: removed", path.display()));
        }
    };
    // In another file: what is mapped into memory elsewhere must not change under it.
    let temporary = path.with_extension("damaged");
    fs_err::write(&temporary, bytes).unwrap();
    fs_err::rename(temporary, path).unwrap();
    Some(format!("{}: {how}", path.display()))
}

/// The files below a folder that hold something.
fn list(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            list(&entry.path(), into);
        } else if meta.is_file() && meta.len() > 0 {
            into.push(entry.path());
        }
    }
}
