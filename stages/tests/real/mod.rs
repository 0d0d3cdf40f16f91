//! Real data, where it is at hand.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder of real data: where the variable says (`SNDPIPE_ESC10`, `SNDPIPE_METADATA`), else beside the workspace. Without it a test
/// is skipped and says so; where `CI` is `true` its absence is a failure.
pub fn data(variable: &str, name: &str) -> Option<PathBuf> {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let workspace = above.find(|folder| folder.join("Cargo.lock").is_file()).expect("a crate of a workspace");
    let usual = workspace.join("../shared/data").join(name);
    let folder = std::env::var_os(variable).map_or(usual, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{name} is not in {}", folder.display());
    let mut out = std::io::stdout();
    let _ = writeln!(out, "skipped: {name} is not in {}; {variable} says where it is", folder.display());
    None
}
