//! A file system as far as versions of files go: its name, and what the times of its files tell.

use serde::{Deserialize, Serialize};

/// Names a file system, or one mount of it, such that no other has the name.
///
/// Device numbers do not: they change from host to host, and the next image that is mounted gets that of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Volume(pub(crate) [u8; 16]);

/// What the times of files on a file system tell of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Nothing changes while it is mounted: it is an image.
    Fixed,
    /// This kernel stamps every change, those through mapped memory too, once for each time that a page was written to the disk.
    Disk,
    /// This kernel stamps every change but those through memory that was mapped and written to before.
    Memory,
    /// As on a disk; who has a file open shows at the layer below only.
    Stacked,
    /// Another host stamps every change, by its own clock.
    Remote,
    /// The time of the last change may be that of the last modification, which programs set.
    Settable,
}

/// A file system as far as versions of files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// `None`: nothing tells it from others.
    pub volume: Option<Volume>,
    pub times: Times,
}
