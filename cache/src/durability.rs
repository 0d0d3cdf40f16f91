//! How long a write must last.

/// How long a write must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The bytes are on the disk; a power failure may undo the renaming, as if the write had not happened.
    File,
    /// The renaming is on the disk too.
    Directory,
}
