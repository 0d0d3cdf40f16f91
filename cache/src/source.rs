//! Digests of source files, remembered by what the file system says of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::hashing::Tally;
use crate::mapping::{Writers, writers};
use crate::memo::Memo;
use crate::place::{Place, Times, Volume};
use crate::version::{At, FileStat, FileVersion, Look, look};
use crate::volume::Volumes;
use crate::{CacheError, Digest, Store};

const CHUNK: usize = 256 << 10;
/// What was hashed is remembered whenever about this much was: stopping loses no more.
const SLICE: u64 = 8 << 30;

/// A file's content, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// The path as it was given.
    pub path: PathBuf,
    /// BLAKE3 of the bytes.
    pub digest: Digest,
    /// The version of the file that has these bytes.
    pub version: FileVersion,
    trust: Trust,
}

/// Whether another content would have another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Yes, from the hashing on.
    Settled,
    /// Not before so much time has passed: a change may still get the same time.
    Young { seen: Instant, grain: Duration },
    /// Never.
    Mute,
}

/// How a file differs from what it was when it was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has other bytes, or is gone.
    Content,
    /// It has the same bytes now; it was written, replaced or touched, and may have had others in between.
    Version,
}

/// A file to hash.
struct Wanted<'w> {
    path: &'w Path,
    absolute: Option<PathBuf>,
    /// A version that it was seen in, and when.
    earlier: Option<(FileVersion, Instant)>,
}

impl<'w> Wanted<'w> {
    fn new(path: &'w Path, earlier: Option<(FileVersion, Instant)>) -> Self {
        Self { path, absolute: std::path::absolute(path).ok(), earlier }
    }

    /// The folder and the name under which it is remembered.
    fn name(&self) -> Option<(&Path, &OsStr)> {
        let path = self.absolute.as_deref()?;
        Some((path.parent()?, path.file_name()?))
    }
}

/// A file that was looked at.
enum Found {
    Known(FileDigest),
    /// To hash: the version that it was seen in, and when.
    New(FileVersion, Instant),
}

/// A file to hash, by its index, as it was seen.
struct New {
    at: usize,
    version: FileVersion,
    seen: Instant,
}

impl FileDigest {
    /// Returns how long it takes until the version of the file tells of every change; `None` if it does now, or never will.
    pub fn settles_in(&self) -> Option<Duration> {
        match self.trust {
            Trust::Young { seen, grain } => Some(grain.saturating_sub(seen.elapsed())),
            Trust::Settled | Trust::Mute => None,
        }
    }
}

impl Store {
    /// Returns the digests of files, in order, reading only those that are not remembered in their present version.
    ///
    /// Files are hashed in parallel on the current rayon pool. What was hashed is remembered by folder.
    ///
    /// # Errors
    /// By file: [`CacheError::Io`] if it is missing, unreadable or not a file, [`CacheError::Changing`] if it is
    /// being written to.
    pub fn digests(&self, paths: &[PathBuf]) -> Vec<Result<FileDigest, CacheError>> {
        let wanted: Vec<_> = paths.iter().map(|path| Wanted::new(path, None)).collect();
        Reader::new(self).look_up(&wanted)
    }

    /// Looks at files again before somebody reads them, and returns them in versions that will tell of every change.
    ///
    /// A file that changed, or was so young that the next change might get the same time, is hashed again. Wait for
    /// [`FileDigest::settles_in`] first: else what is young may stay so.
    ///
    /// # Errors
    /// As [`Store::digests`].
    pub fn settle(&self, seen: &[FileDigest]) -> Vec<Result<FileDigest, CacheError>> {
        let reader = Reader::new(self);
        let is_due = |&at: &usize| seen[at].settles_in().is_some() || !reader.is_same(&seen[at]);
        let again: Vec<usize> = (0..seen.len()).into_par_iter().with_min_len(16).filter(is_due).collect();
        let wanted: Vec<_> = again
            .iter()
            .map(|&at| {
                let FileDigest { path, version, trust, .. } = &seen[at];
                let earlier = match trust {
                    Trust::Young { seen, .. } => Some((*version, *seen)),
                    Trust::Settled | Trust::Mute => None,
                };
                Wanted::new(path, earlier)
            })
            .collect();
        let found = reader.look_up(&wanted);
        let mut settled: Vec<_> = seen.iter().cloned().map(Ok).collect();
        again.into_iter().zip(found).for_each(|(at, found)| settled[at] = found);
        settled
    }

    /// Looks at files again and returns which of them, by index, are not what they were, and in what.
    ///
    /// A file whose version tells and is the same is not read.
    pub fn recheck(&self, seen: &[FileDigest]) -> Vec<(usize, Change)> {
        let reader = Reader::new(self);
        let change = |buffer: &mut Vec<u8>, file: &FileDigest| {
            let same = reader.is_same(file);
            if same && file.trust == Trust::Settled {
                return None;
            }
            match reader.hash(&file.path, None, buffer, &|_| {}) {
                Ok(now) if now.digest == file.digest => (!same).then_some(Change::Version),
                _ => Some(Change::Content),
            }
        };
        let changes: Vec<_> = seen.par_iter().with_min_len(16).map_init(Vec::new, change).collect();
        changes.into_iter().enumerate().filter_map(|(at, change)| Some((at, change?))).collect()
    }

    /// Returns how many source files this store and its clones have read.
    pub fn files_hashed(&self) -> u64 {
        self.inner.hashed.load(Ordering::Relaxed)
    }
}

/// Looks at files and hashes them.
struct Reader<'s> {
    store: &'s Store,
    volumes: Volumes<'s>,
    /// The file system of the cache with its own clock.
    clock: OnceLock<Option<(Volume, Duration)>>,
}

impl<'s> Reader<'s> {
    fn new(store: &'s Store) -> Self {
        let volumes = Volumes::new(&store.inner.volumes, store.now());
        Self { store, volumes, clock: OnceLock::new() }
    }

    fn look_up(&self, wanted: &[Wanted<'_>]) -> Vec<Result<FileDigest, CacheError>> {
        let mut memos: BTreeMap<&Path, Memo> = BTreeMap::new();
        for (folder, _) in wanted.iter().filter_map(Wanted::name) {
            memos.entry(folder).or_insert_with(|| self.store.recall(folder));
        }
        let looks = wanted.par_iter().with_min_len(16).map(|file| self.recall(file, &memos));
        let mut found: Vec<Result<Found, CacheError>> = looks.collect();
        let new: Vec<New> = found
            .iter()
            .enumerate()
            .filter_map(|(at, found)| match found {
                Ok(Found::New(version, seen)) => Some(New { at, version: *version, seen: *seen }),
                _ => None,
            })
            .collect();
        let bytes = new.iter().map(|new| new.version.stat.size).sum();
        let tally = Tally::new(&self.store.inner.hashing, new.len() as u64, bytes);
        for slice in slices(&new) {
            let hash = |buffer: &mut Vec<u8>, &New { at, version, seen }: &New| {
                let before = wanted[at].earlier.filter(|(before, _)| *before == version);
                let earlier = before.unwrap_or((version, seen));
                let hashed = self.hash(wanted[at].path, Some(earlier), buffer, &|bytes| tally.bytes(bytes));
                tally.file();
                (at, hashed)
            };
            let hashed: Vec<_> = slice.par_iter().map_init(Vec::new, hash).collect();
            self.remember(wanted, &hashed);
            hashed.into_iter().for_each(|(at, file)| found[at] = file.map(Found::Known));
        }
        tally.end();
        if !new.is_empty() {
            tracing::info!("source files hashed: {} ({bytes} bytes)", new.len());
        }
        let digest = |(found, file): (Result<Found, CacheError>, &Wanted<'_>)| match found? {
            Found::Known(file) => Ok(file),
            Found::New(..) => Err(CacheError::Changing { path: file.path.to_owned() }),
        };
        found.into_iter().zip(wanted).map(digest).collect()
    }

    fn look(&self, at: At<'_>) -> std::io::Result<(Look, Place)> {
        let seen = look(at)?;
        Ok((seen, self.volumes.place(at, &seen)))
    }

    /// Looks at a file, and at what is remembered of it.
    fn recall(&self, file: &Wanted<'_>, memos: &BTreeMap<&Path, Memo>) -> Result<Found, CacheError> {
        let reading = |source| CacheError::reading(file.path, source);
        let (seen, place) = self.look(At::Path(file.path)).map_err(reading)?;
        if !seen.is_file {
            return Err(reading(std::io::Error::other("it is not a file")));
        }
        let version = FileVersion { stat: seen.stat, volume: place.volume };
        let known = file.name().and_then(|(folder, name)| memos.get(folder)?.get(name, &version));
        Ok(known.map_or(Found::New(version, Instant::now()), |digest| {
            Found::Known(FileDigest { path: file.path.to_owned(), digest, version, trust: Trust::Settled })
        }))
    }

    /// Remembers what was hashed, where another content would have another version.
    fn remember(&self, wanted: &[Wanted<'_>], hashed: &[(usize, Result<FileDigest, CacheError>)]) {
        let mut folders: BTreeMap<&Path, Vec<(&OsStr, FileVersion, Digest)>> = BTreeMap::new();
        for (at, file) in hashed {
            if let (Ok(file), Some((folder, name))) = (file, wanted[*at].name())
                && file.trust == Trust::Settled
                && file.version.volume.is_some()
            {
                folders.entry(folder).or_default().push((name, file.version, file.digest));
            }
        }
        for (folder, fresh) in folders {
            self.store.remember(folder, &fresh);
        }
    }

    /// Whether a file has the version that it had.
    fn is_same(&self, file: &FileDigest) -> bool {
        self.look(At::Path(&file.path))
            .is_ok_and(|(seen, place)| file.version == FileVersion { stat: seen.stat, volume: place.volume })
    }

    /// Hashes a file that does not change meanwhile; `earlier` is a version that it was seen in, and when, and `count` is told of bytes
    /// that were read.
    fn hash(
        &self,
        path: &Path,
        mut earlier: Option<(FileVersion, Instant)>,
        buffer: &mut Vec<u8>,
        count: &dyn Fn(u64),
    ) -> Result<FileDigest, CacheError> {
        let reading = |source| CacheError::reading(path, source);
        self.store.inner.hashed.fetch_add(1, Ordering::Relaxed);
        buffer.resize(CHUNK, 0);
        let (mut tries, mut has_waited) = (0, earlier.is_none());
        while tries < 3 {
            let mut file = fs_err::File::open(path).map_err(reading)?;
            let (before, place) = self.look(At::Open(&file)).map_err(reading)?;
            let version = FileVersion { stat: before.stat, volume: place.volume };
            let trust = self.trust(&file, &version, place.times, earlier);
            if let Trust::Young { seen, grain } = trust
                && !has_waited
                && let left = grain.saturating_sub(seen.elapsed())
                && left < reading_time(before.stat.size)
            {
                // Cheaper than to hash it once more when it is old enough.
                (earlier, has_waited) = (Some((version, seen)), true);
                std::thread::sleep(left);
                continue;
            }
            tries += 1;
            let mut hasher = blake3::Hasher::new();
            let mut length = 0;
            loop {
                match file.read(buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        hasher.update(&buffer[..read]);
                        length += read as u64;
                        count(read as u64);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(source) => return Err(reading(source)),
                }
            }
            let after = look(At::Open(&file)).map_err(reading)?;
            if before.stat == after.stat && length == before.stat.size {
                let digest = Digest(*hasher.finalize().as_bytes());
                return Ok(FileDigest { path: path.to_owned(), digest, version, trust });
            }
        }
        Err(CacheError::Changing { path: path.to_owned() })
    }

    /// Judges, before a file is read, whether a change from now on gives it another version.
    fn trust(
        &self,
        file: &fs_err::File,
        version: &FileVersion,
        times: Times,
        earlier: Option<(FileVersion, Instant)>,
    ) -> Trust {
        /// How far the clock of another host may be off.
        const SKEW: i128 = 24 * 3600 * 1_000_000_000;
        let stat = &version.stat;
        let told = match times {
            Times::Fixed => return Trust::Settled,
            Times::Settable => stat.ctime != stat.mtime,
            Times::Remote => true,
            Times::Disk => match writers(file) {
                Writers::None => true,
                Writers::Some => clean(file),
                Writers::Unknown => self.is_written_back(stat) || clean(file),
            },
            Times::Stacked => self.is_written_back(stat) || clean(file),
            Times::Memory => writers(file) == Writers::None,
        };
        if !told {
            return Trust::Mute;
        }
        let (now, skew) = match (times, self.own_clock(version.volume, times)) {
            (_, Some(now)) => (now, 0),
            (Times::Remote | Times::Settable, None) => (self.store.now(), SKEW),
            (_, None) => (self.store.now(), 0),
        };
        let ns = stat.grain(times);
        let grain = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        let same = earlier.filter(|(before, _)| before == version);
        let seen = same.map_or_else(Instant::now, |(_, seen)| seen);
        // A file that kept its version for that long was stamped that long ago, whatever the clocks say.
        let is_old = seen.elapsed() >= grain || stat.age(now) >= ns + skew;
        if is_old { Trust::Settled } else { Trust::Young { seen, grain } }
    }

    /// Whether the file is so old that the system has written back what was stored to mapped memory before: from then on the next
    /// store changes its times.
    fn is_written_back(&self, stat: &FileStat) -> bool {
        /// Twice the 30 s after which Linux writes back.
        const WRITTEN_BACK: i128 = 60_000_000_000;
        stat.age(self.store.now()) >= WRITTEN_BACK
    }

    /// What the clock of another host shows that stamps the files of a volume: known where the cache lies there too.
    fn own_clock(&self, volume: Option<Volume>, times: Times) -> Option<Duration> {
        if times != Times::Remote || !self.store.is_writable() {
            return None;
        }
        let stamp = || {
            let file = tempfile::tempfile_in(self.store.dir()).ok()?;
            let file = fs_err::File::from_parts(file, self.store.dir());
            let (seen, place) = self.look(At::Open(&file)).ok()?;
            Some((place.volume?, Duration::from_nanos(u64::try_from(seen.stat.ctime).ok()?)))
        };
        let (there, now) = (*self.clock.get_or_init(stamp))?;
        (volume == Some(there)).then_some(now)
    }
}

/// Has stores to mapped memory written back, so that the next one changes the times of the file.
fn clean(file: &fs_err::File) -> bool {
    file.sync_data().is_ok()
}

/// About how long it takes at least to read and hash so many bytes: at a byte in a nanosecond.
fn reading_time(bytes: u64) -> Duration {
    Duration::from_nanos(bytes)
}

/// Cuts a list of files where about [`SLICE`] bytes are together, and enough files to keep every thread busy.
fn slices(files: &[New]) -> impl Iterator<Item = &[New]> {
    const FEWEST: usize = 64;
    let mut rest = files;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let ends = |(count, new): (usize, &New)| {
            bytes += new.version.stat.size;
            bytes >= SLICE && count + 1 >= FEWEST
        };
        let count = rest.iter().enumerate().position(ends).map_or(rest.len(), |last| last + 1);
        let (slice, after) = rest.split_at(count);
        rest = after;
        (!slice.is_empty()).then_some(slice)
    })
}
