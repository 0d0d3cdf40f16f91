//! Holds: what a process uses, published so that no garbage collection takes it away.
//!
//! A process appends the digests of what it is about to look for, or to write, to its own mark under `writers-v1/`: keys,
//! artefacts, files, row maps alike. It does so under the shared *gate*; a collection removes things, a few at a time, only under the
//! exclusive gate and after reading all marks again. So whatever is held before it is looked for stays if it is found.
//!
//! A mark dies with its process ([`Store::is_at_work`]). It is not removed while a collection is at work: a process may
//! find an artefact, record it and end before the collection looks again, and the record is newer than what the collection listed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::PoisonError;

use crate::fault::Ability;
use crate::file_lock::without_locks;
use crate::folder::WRITERS;
use crate::mark::Held;
use crate::{CacheError, Digest, Store};

impl Store {
    /// Publishes that this process uses what these digests name, until it ends: the record, log and working folder of a key,
    /// an artefact with its files, a file, a row map with its shards, a list of sources. A key that is held keeps what its record names.
    ///
    /// # Errors
    /// Full or unusable. Who only reads may go on: the worst is that something disappears before it is read.
    pub fn hold(&self, ids: &[Digest]) -> Result<(), CacheError> {
        if ids.is_empty() {
            return Ok(());
        }
        // Who can write nothing keeps nothing: a collection may take away what is only read.
        let Ok(mark) = &self.inner.mark else { return Ok(()) };
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
        let mut held = mark.held.lock().unwrap_or_else(PoisonError::into_inner);
        // A drop in this process looks at it under the same mutex.
        self.traffic.hold(ids);
        self.publish(&mut held, &mark.file, &bytes)
            .map_err(|source| CacheError::writing(&self.inner.dir, bytes.len() as u64, source))
    }
}

impl Store {
    fn publish(&self, held: &mut Held, mut mark: &File, bytes: &[u8]) -> io::Result<()> {
        if held.gate.is_none() {
            // Without a gate a result may go before it is read, and is made again.
            held.gate = Some(match self.open_gate() {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
                other => Some(other?),
            });
        }
        let gate = held.gate.as_ref().and_then(Option::as_ref);
        let locked =
            match gate.map(|gate| self.inner.faults.ask(Ability::Lock).and_then(|()| gate.lock_shared())) {
                Some(Err(error)) if !without_locks(&error) => return Err(error),
                Some(Ok(())) => gate,
                _ => None,
            };
        let mut written = mark.write_all(bytes);
        match written {
            Ok(()) => held.bytes += bytes.len() as u64,
            // Half a digest would hide all that follow.
            Err(_) => written = mark.set_len(held.bytes).and(written),
        }
        locked.map_or(Ok(()), File::unlock)?;
        written
    }

    /// Opens the lock between those who publish holds (shared) and the collection that is about to remove something (exclusive).
    pub(crate) fn open_gate(&self) -> io::Result<File> {
        self.open_named("gate")
    }
}

/// Reads what other processes hold, each digest once; those that ended since the collection began count.
#[derive(Default)]
pub(crate) struct Marks {
    read: BTreeMap<OsString, u64>,
}

impl Marks {
    /// Returns what was published since the last call.
    pub(crate) fn news(&mut self, store: &Store) -> Result<Vec<Digest>, CacheError> {
        let folder = store.inner.dir.join(WRITERS);
        let reading = |source| CacheError::reading(&folder, source);
        let mut news = Vec::new();
        for entry in fs_err::read_dir(&folder).map_err(reading)? {
            let entry = entry.map_err(reading)?;
            if store.inner.mark.as_ref().is_ok_and(|mark| entry.file_name().to_str() == Some(&mark.token)) {
                continue;
            }
            let from = self.read.entry(entry.file_name()).or_default();
            let mut bytes = Vec::new();
            let tail = fs_err::File::open(entry.path()).and_then(|mut file| {
                file.seek(SeekFrom::Start(*from))?;
                file.read_to_end(&mut bytes)
            });
            match tail {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(reading(source)),
            }
            let (digests, _) = bytes.as_chunks::<32>();
            *from += 32 * digests.len() as u64;
            news.extend(digests.iter().copied().map(Digest));
        }
        Ok(news)
    }
}
