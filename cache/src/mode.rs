//! Who may use what the cache holds: whoever may use its folder, whatever the umask of the process that writes.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// The bits of a file that are copied from its folder: reading and writing.
const FILE: u32 = 0o666;
/// Those of a folder within it: also searching, the group that is passed on, and who may remove.
const FOLDER: u32 = 0o3777;
/// A folder of these bits is meant for everybody in its group.
const SHARED: u32 = 0o2020;

/// Group and permissions of the cache's folder, from which those of everything in it follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    bits: u32,
    group: u32,
}

impl Default for Mode {
    fn default() -> Mode {
        Mode { bits: 0o700, group: rustix::process::getegid().as_raw() }
    }
}

impl Mode {
    /// Reads them from a folder. Its owner may always use what is in it.
    pub(crate) fn of(folder: &Path) -> io::Result<Mode> {
        let meta = fs_err::metadata(folder)?;
        Ok(Mode { bits: meta.mode() | 0o700, group: meta.gid() })
    }

    /// Gives a file that this process has just made the group and permissions of the cache. Who may not is left with what the system gave.
    pub(crate) fn give(self, file: &std::fs::File) {
        self.set(file, FILE);
    }

    fn set(self, file: &std::fs::File, mask: u32) {
        let Ok(meta) = file.metadata() else { return };
        if meta.gid() != self.group {
            let _ = rustix::fs::fchown(file, None, Some(rustix::fs::Gid::from_raw(self.group)));
        }
        let wanted = self.bits & mask;
        if meta.mode() & 0o7777 != wanted || meta.gid() != self.group {
            let _ = file.set_permissions(std::fs::Permissions::from_mode(wanted));
        }
    }

    /// Creates a folder of the cache with those above it, and returns which of them are new, the innermost first.
    pub(crate) fn create_folder(self, folder: &Path) -> io::Result<Vec<&Path>> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        for folder in missing.iter().rev() {
            create_one(folder)?;
            if let Ok(opened) = fs_err::File::open(folder) {
                self.set(opened.file(), FOLDER);
            }
        }
        Ok(missing)
    }
}

/// Creates the folder of a cache with those above it. In a folder that a group shares it is shared, too.
pub(crate) fn create_root(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        create_one(folder)?;
        let above = folder.parent().and_then(|above| Mode::of(above).ok());
        if let Some(mode) = above.filter(|mode| mode.bits & SHARED == SHARED)
            && let Ok(opened) = fs_err::File::open(folder)
        {
            mode.set(opened.file(), FOLDER);
        }
    }
    if dir.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Creates a folder; another process may have been faster.
fn create_one(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o777).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Creates a file with the group and permissions of its folder, or empties it. One that somebody else keeps to themselves makes way.
///
/// # Errors
/// Whatever the system says.
pub fn create_shared(path: &Path) -> io::Result<fs_err::File> {
    let file = match fs_err::File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs_err::remove_file(path)?;
            fs_err::File::create(path)?
        }
        other => other?,
    };
    if let Some(mode) = path.parent().and_then(|folder| Mode::of(folder).ok()) {
        mode.give(file.file());
    }
    Ok(file)
}
