//! What tells one version of a file from another without reading it.

use std::fs::{File, Metadata};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Hasher;
use crate::place::{Times, Volume};

/// A version of a file among the files of one file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Length in bytes.
    pub size: u64,
    /// Last modification, ns since 1970.
    pub mtime: i64,
    /// Last change of content or metadata, ns since 1970; on most file systems programs cannot set it.
    pub ctime: i64,
    /// The number of the file in its file system.
    pub inode: u64,
}

/// A version of a file among all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// The version in its file system.
    pub stat: FileStat,
    /// The file system; `None` where nothing tells it from others: then the version is good for comparisons within a run only.
    pub volume: Option<Volume>,
}

/// What the system says of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub stat: FileStat,
    pub is_file: bool,
    /// The device number: only good to look something up.
    pub device: (u32, u32),
    /// `None` where the system does not tell.
    pub mount: Option<MountId>,
}

/// The number of a mount.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MountId {
    pub id: u64,
    /// Whether no later mount gets it, until the system is started anew.
    pub is_unique: bool,
}

/// A file by its path, or open.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At<'f> {
    Path(&'f Path),
    Open(&'f fs_err::File),
}

impl FileStat {
    pub(crate) fn of(meta: &Metadata) -> FileStat {
        use std::os::unix::fs::MetadataExt;
        FileStat {
            size: meta.size(),
            mtime: ns(meta.mtime(), meta.mtime_nsec()),
            ctime: ns(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        }
    }

    /// How long ago the file last changed, in ns, by a clock that shows `now`; negative: the clock is behind.
    pub(crate) fn age(&self, now: Duration) -> i128 {
        i128::try_from(now.as_nanos()).unwrap_or(i128::MAX) - i128::from(self.mtime.max(self.ctime))
    }

    /// For how long, in ns, two changes may get the same time.
    pub(crate) fn grain(&self, times: Times) -> i128 {
        /// Ten ticks of the slowest clock that Linux stamps with.
        const TICKS: i128 = 100_000_000;
        /// FAT counts in steps of two seconds, which is the coarsest; and a kernel may lag by some ticks.
        const COARSE: i128 = 2_000_000_000 + TICKS;
        /// Clocks that count in steps of so much or more are taken to be coarse. One of a million fine times looks like that.
        const STEP: i64 = 1_000_000;
        let is_fine = matches!(times, Times::Disk | Times::Memory | Times::Stacked) && self.ctime % STEP != 0;
        if is_fine { TICKS } else { COARSE }
    }
}

impl FileVersion {
    pub(crate) fn hash(&self, hasher: &mut Hasher) {
        let FileStat { size, mtime, ctime, inode } = self.stat;
        hasher.u64(size).u64(mtime.cast_unsigned()).u64(ctime.cast_unsigned()).u64(inode);
        hasher.bytes(self.volume.as_ref().map_or(&[], |volume| &volume.0));
    }
}

fn ns(seconds: i64, ns: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// Asks the system for the version of a file, past what a network file system has in memory.
///
/// # Errors
/// Whatever the system says; the path is in the message.
pub(crate) fn look(at: At<'_>) -> std::io::Result<Look> {
    #[cfg(target_os = "linux")]
    if let Ok(seen) = linux::statx(at, linux::BASIC | linux::MOUNT) {
        return Ok(linux::look(&seen));
    }
    let meta = match at {
        At::Path(path) => fs_err::metadata(path)?,
        At::Open(file) => file.metadata()?,
    };
    Ok(Look { stat: FileStat::of(&meta), is_file: meta.is_file(), device: (0, 0), mount: None })
}

impl At<'_> {
    /// The number that the file system gives itself; 0 if it has none.
    pub(crate) fn file_system_id(self) -> Option<u64> {
        let found = match self {
            At::Path(path) => rustix::fs::statvfs(path),
            At::Open(file) => rustix::fs::fstatvfs(std::os::fd::AsFd::as_fd(as_std(file))),
        };
        found.ok().map(|found| found.f_fsid)
    }

    /// The number under which `/proc/self/mountinfo` lists the mount, which a later one may get.
    pub(crate) fn passing_mount_id(self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        return linux::statx(self, rustix::fs::StatxFlags::MNT_ID).ok().map(|seen| seen.stx_mnt_id);
        #[cfg(not(target_os = "linux"))]
        None
    }
}

fn as_std(file: &fs_err::File) -> &File {
    file.file()
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::fs::{AtFlags, CWD, Statx, StatxFlags};

    use super::{At, FileStat, Look, MountId, as_std, ns};

    pub(super) const BASIC: StatxFlags = StatxFlags::BASIC_STATS;
    /// STATX_MNT_ID_UNIQUE, since Linux 6.8; before it the number is that of STATX_MNT_ID.
    const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    pub(super) const MOUNT: StatxFlags = StatxFlags::MNT_ID.union(UNIQUE);

    pub(super) fn statx(at: At<'_>, what: StatxFlags) -> rustix::io::Result<Statx> {
        match at {
            At::Path(path) => rustix::fs::statx(CWD, path, AtFlags::STATX_FORCE_SYNC, what),
            At::Open(file) => {
                let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
                rustix::fs::statx(as_std(file), c"", flags, what)
            }
        }
    }

    pub(super) fn look(seen: &Statx) -> Look {
        let told = StatxFlags::from_bits_retain(seen.stx_mask);
        let time = |time: rustix::fs::StatxTimestamp| ns(time.tv_sec, i64::from(time.tv_nsec));
        let kind = rustix::fs::FileType::from_raw_mode(u32::from(seen.stx_mode));
        let is_unique = told.contains(UNIQUE);
        Look {
            stat: FileStat {
                size: seen.stx_size,
                mtime: time(seen.stx_mtime),
                ctime: time(seen.stx_ctime),
                inode: seen.stx_ino,
            },
            is_file: kind.is_file(),
            device: (seen.stx_dev_major, seen.stx_dev_minor),
            mount: (is_unique || told.contains(StatxFlags::MNT_ID))
                .then_some(MountId { id: seen.stx_mnt_id, is_unique }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_look_coarse_are_taken_to_be() {
        let at = |ctime| FileStat { size: 1, mtime: 0, ctime, inode: 1 };
        let (second, fine) = (1_700_000_000_000_000_000, 1_700_000_000_123_456_789);
        for coarse in [second, second + 10_000_000, second + 2_000_000_000] {
            assert_eq!(at(coarse).grain(Times::Disk), 2_100_000_000, "{coarse}");
        }
        assert_eq!(at(fine).grain(Times::Disk), 100_000_000);
        assert_eq!(at(fine).grain(Times::Remote), 2_100_000_000, "a server may count in any steps");
    }

    #[test]
    fn a_clock_that_is_behind_makes_a_file_young() {
        let stat = FileStat { size: 1, mtime: 5_000, ctime: 3_000, inode: 1 };
        assert_eq!(stat.age(Duration::from_nanos(7_000)), 2_000);
        assert_eq!(stat.age(Duration::from_nanos(4_000)), -1_000);
    }
}
