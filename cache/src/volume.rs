//! The file system that a file lies on: its name, and what the times of its files tell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Hasher;
use crate::place::{Place, Times, Volume};
use crate::version::{At, FileVersion, Look, look};

/// A mount and a device: file systems with several devices, as Btrfs, count inodes by device.
type Key = (u64, u32, u32);

/// File systems that were asked for in this process, by mounts whose numbers are never used again.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<BTreeMap<Key, Place>>);

/// Looks up the file systems of files; made anew for each list of files, for mounts come and go.
pub(crate) struct Volumes<'k> {
    known: &'k Known,
    /// Mounts whose numbers may be used again.
    passing: Known,
    /// The time since 1970.
    now: Duration,
}

/// So many images may lie in each other.
const NESTED: u32 = 3;

impl Known {
    fn get(&self, key: &Key) -> Option<Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn insert(&self, key: Key, place: Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, place);
    }
}

impl FileVersion {
    /// Returns the present version of a file.
    ///
    /// # Errors
    /// Whatever the system says; the path is in the message.
    pub fn of_file(path: &Path) -> std::io::Result<FileVersion> {
        let (at, known) = (At::Path(path), Known::default());
        let seen = look(at)?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let volume = Volumes::new(&known, now).place(at, &seen).volume;
        Ok(FileVersion { stat: seen.stat, volume })
    }
}

impl<'k> Volumes<'k> {
    pub fn new(known: &'k Known, now: Duration) -> Self {
        Self { known, passing: Known::default(), now }
    }

    /// Returns the file system of a file that was looked at.
    pub fn place(&self, at: At<'_>, seen: &Look) -> Place {
        self.place_of(at, seen, 0)
    }

    fn place_of(&self, at: At<'_>, seen: &Look, depth: u32) -> Place {
        let unknown = Place { volume: None, times: Times::Settable };
        let Some(mount) = seen.mount else { return unknown };
        let key = (mount.id, seen.device.0, seen.device.1);
        let known = if mount.is_unique { self.known } else { &self.passing };
        if let Some(place) = known.get(&key) {
            return place;
        }
        let place = Mount::of(at).map_or(unknown, |found| {
            let life = mount.is_unique.then_some(mount.id);
            Place { volume: self.volume(at, &found, life, depth), times: found.times() }
        });
        known.insert(key, place);
        place
    }

    /// Names the file system of a mount; `life` is a number of the mount that none after it gets.
    fn volume(&self, at: At<'_>, mount: &Mount, life: Option<u64>, depth: u32) -> Option<Volume> {
        let kind = mount.kind.as_str();
        let mut name = Hasher::new("volume");
        if mount.is_served() {
            return Some(named(name.str("served").str(kind).str(&mount.source)));
        }
        let block = mount.block();
        if let Some(image) = block.as_ref().and_then(Image::behind) {
            let version = if mount.is_read_only { self.version_of(&image, depth) } else { None };
            return match version {
                Some(version) => {
                    version.hash(name.str("image"));
                    Some(named(name.u64(image.offset).u64(image.limit).u64(image.start)))
                }
                None => lived(life),
            };
        }
        // Only of these the number is made from the UUID of the superblock; of others it is the device number.
        if matches!(kind, "ext2" | "ext3" | "ext4" | "btrfs" | "zfs" | "bcachefs" | "tmpfs")
            && let Some(id) = at.file_system_id().filter(|&id| id != 0)
        {
            return Some(named(name.str("id").str(kind).u64(id)));
        }
        match block.as_ref().and_then(Block::uuid) {
            Some(uuid) => Some(named(name.str("uuid").str(kind).str(&uuid))),
            None => lived(life),
        }
    }

    /// Returns the version of a mounted image, if it surely is that of the file that was mounted.
    fn version_of(&self, image: &Image, depth: u32) -> Option<FileVersion> {
        let at = At::Path(&image.path);
        let seen = look(at).ok().filter(|seen| seen.is_file && depth < NESTED)?;
        let place = self.place_of(at, &seen, depth + 1);
        // A server may give the name to another file without this host noticing.
        let is_local = !matches!(place.times, Times::Remote | Times::Settable);
        let holds = seen.stat.size.checked_sub(image.offset)?;
        let fits = if image.limit == 0 { holds / 512 * 512 == image.bytes } else { image.bytes <= holds };
        let is_old = seen.stat.age(self.now) >= seen.stat.grain(place.times);
        place.volume?;
        (is_local && fits && is_old).then_some(FileVersion { stat: seen.stat, volume: place.volume })
    }
}

fn named(hasher: &Hasher) -> Volume {
    let mut name = [0; 16];
    name.copy_from_slice(&hasher.finish().as_bytes()[..16]);
    Volume(name)
}

/// Names a file system that nothing else tells from others, for as long as it is mounted.
fn lived(mount: Option<u64>) -> Option<Volume> {
    let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(named(Hasher::new("volume").str("mount").str(boot.trim()).u64(mount?)))
}

/// A line of `/proc/self/mountinfo`; proc_pid_mountinfo(5) describes it.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The type of the file system: `ext4`, `fuse.sshfs`.
    kind: String,
    /// What is mounted: a device, or `server:/export`.
    source: String,
    /// Whether the file system, not only this mount of it, is read-only.
    is_read_only: bool,
    device: (u32, u32),
    /// Why locks are seen on one host only, where an option of the mount or its type makes that so.
    lone_locks: Option<String>,
}

/// Says why the locks of a file system are seen on one host only, where the system tells.
pub(crate) fn lone_locks(folder: &Path) -> Option<std::io::Error> {
    Some(std::io::Error::other(Mount::of(At::Path(folder))?.lone_locks?))
}

impl Mount {
    fn of(at: At<'_>) -> Option<Self> {
        let id = at.passing_mount_id()?;
        let all = fs_err::read("/proc/self/mountinfo").ok()?;
        Self::parse(&String::from_utf8_lossy(&all), id)
    }

    fn parse(all: &str, id: u64) -> Option<Self> {
        all.lines().find_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let mut mount = mount.split(' ');
            if mount.next()?.parse() != Ok(id) {
                return None;
            }
            let (major, minor) = mount.nth(1)?.split_once(':')?;
            let mut file_system = file_system.split(' ');
            let (kind, source) = (file_system.next()?, file_system.next()?);
            let options: Vec<&str> = file_system.next()?.split(',').collect();
            // Of NFS, of Lustre and of CIFS.
            let lone = ["nolock", "local_lock=all", "local_lock=flock", "localflock", "nobrl"];
            let lone = lone.iter().find(|option| options.contains(option));
            let lone = lone.copied().or((kind == "fuse.sshfs").then_some("sshfs"));
            Some(Self {
                kind: kind.to_owned(),
                source: source.to_owned(),
                is_read_only: options.contains(&"ro"),
                device: (major.parse().ok()?, minor.parse().ok()?),
                lone_locks: lone.map(|why| format!("`{why}` keeps them to one host")),
            })
        })
    }

    fn times(&self) -> Times {
        match self.kind.as_str() {
            "squashfs" | "erofs" | "cramfs" | "romfs" | "iso9660" => Times::Fixed,
            "fuse.squashfuse" | "fuse.squashfuse_ll" | "fuse.erofsfuse" if self.is_read_only => Times::Fixed,
            "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "zfs" | "bcachefs" | "f2fs" | "jfs" | "nilfs2"
            | "reiserfs" | "hfs" | "hfsplus" | "ntfs3" | "udf" => Times::Disk,
            "tmpfs" | "ramfs" => Times::Memory,
            "overlay" => Times::Stacked,
            "nfs" | "nfs4" | "lustre" | "ceph" | "gpfs" | "beegfs" | "virtiofs" | "fuse.ceph-fuse"
            | "fuse.glusterfs" => Times::Remote,
            _ => Times::Settable,
        }
    }

    /// Whether the source is a server and what it serves, by a name that is the same on all hosts.
    fn is_served(&self) -> bool {
        let served = matches!(self.kind.as_str(), "nfs" | "nfs4" | "lustre" | "ceph" | "gpfs");
        // What a tunnel leads to is not known here.
        served && !["localhost", "127.", "[::1]"].iter().any(|here| self.source.starts_with(here))
    }

    /// The block device that is mounted.
    fn block(&self) -> Option<Block> {
        let (major, minor) = match self.device {
            // The device that is told is none: Btrfs has one for each of its trees.
            (0, _) => block_number(Path::new(&self.source))?,
            device => device,
        };
        Some(Block { number: (major, minor) })
    }
}

/// The number of a block device, by the path of its node.
fn block_number(node: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let meta = fs_err::metadata(node).ok().filter(|meta| meta.file_type().is_block_device())?;
    Some((rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev())))
}

struct Block {
    number: (u32, u32),
}

impl Block {
    /// The UUID of the superblock, as udev read it.
    fn uuid(&self) -> Option<String> {
        let names = fs_err::read_dir("/dev/disk/by-uuid").ok()?;
        let mut names = names.flatten().filter(|name| block_number(&name.path()) == Some(self.number));
        Some(names.next()?.file_name().to_string_lossy().into_owned())
    }
}

/// A file that is mounted through a loop device.
struct Image {
    path: PathBuf,
    /// The bytes of the device.
    bytes: u64,
    /// Where the device begins in the file, and how long it may be there, in bytes; 0: to the end.
    offset: u64,
    limit: u64,
    /// Where the partition begins in the device, in sectors.
    start: u64,
}

impl Image {
    fn behind(block: &Block) -> Option<Self> {
        let (major, minor) = block.number;
        let place = fs_err::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
        let disk =
            [&*place, place.parent()?].into_iter().find(|disk| disk.join("loop/backing_file").exists())?;
        let text = |path: PathBuf| fs_err::read_to_string(path).ok();
        let number = |path: PathBuf| text(path)?.trim().parse::<u64>().ok();
        let path = text(disk.join("loop/backing_file"))?;
        // A name that is gone ends with ` (deleted)`, and is no file's.
        Some(Self {
            path: PathBuf::from(path.strip_suffix('\n').unwrap_or(&path)),
            bytes: number(disk.join("size"))?.checked_mul(512)?,
            offset: number(disk.join("loop/offset"))?,
            limit: number(disk.join("loop/sizelimit"))?,
            start: number(place.join("start")).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
63 43 7:0 / /data/a\\040b ro,relatime - squashfs /dev/loop0 ro,errors=continue
64 43 7:1 /sub /ro ro,relatime - ext4 /dev/loop1 rw
65 43 0:50 / /home rw - nfs4 srv:/export/home rw,vers=4.2,addr=10.0.0.1
66 43 0:51 / /far rw - nfs4 localhost:/export rw,port=3049
67 43 0:52 / /ssh rw - fuse.sshfs me@host: rw
68 43 0:53 / /old rw - nfs srv:/old rw,vers=3,nolock,proto=tcp,local_lock=all,addr=10.0.0.1
69 43 0:54 / /part rw - nfs srv:/part rw,vers=3,local_lock=posix,addr=10.0.0.1
70 43 0:55 / /scratch rw - lustre 10.0.0.2@tcp:/fs rw,localflock,lazystatfs
71 43 0:56 / /work rw - lustre 10.0.0.2@tcp:/fs rw,flock,lazystatfs
";

    fn mount(id: u64) -> Mount {
        Mount::parse(MOUNTS, id).unwrap()
    }

    #[test]
    fn mounts_are_read_by_their_number() {
        let root = Mount {
            kind: "ext4".to_owned(),
            source: "/dev/vda".to_owned(),
            is_read_only: false,
            device: (254, 0),
            lone_locks: None,
        };
        assert_eq!(mount(27), root);
        assert!(mount(63).is_read_only);
        assert!(!mount(64).is_read_only, "only the mount is");
        assert_eq!(Mount::parse(MOUNTS, 2), None);
        assert_eq!(Mount::parse("63 43", 63), None);
    }

    #[test]
    fn servers_are_named_and_tunnels_are_not() {
        assert!(mount(65).is_served());
        assert!(!mount(66).is_served());
        assert!(!mount(67).is_served());
    }

    #[test]
    fn locks_of_one_host_are_told_from_those_of_all() {
        let told = |id| mount(id).lone_locks;
        assert_eq!(told(68).as_deref(), Some("`nolock` keeps them to one host"));
        assert_eq!(told(70).as_deref(), Some("`localflock` keeps them to one host"));
        assert_eq!(told(67).as_deref(), Some("`sshfs` keeps them to one host"));
        // `local_lock=posix` is about other locks than those used here.
        assert_eq!([27, 65, 69, 71].map(told), [None, None, None, None]);
    }

    #[test]
    fn a_file_system_that_is_not_known_is_not_believed() {
        let times = [27, 63, 65, 67].map(|id| mount(id).times());
        assert_eq!(times, [Times::Disk, Times::Fixed, Times::Remote, Times::Settable]);
    }
}
