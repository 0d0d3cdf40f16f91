//! The memory of file digests: one binary file for each folder that holds sources.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::codec::{Reader, push_short_bytes, seal, unseal};
use crate::folder::{DIGESTS, sharded};
use crate::place::Volume;
use crate::version::{FileStat, FileVersion};
use crate::{Digest, Durability, Store};

const MAGIC: &[u8] = b"SNDMEMO3";

/// What is remembered of the files of one folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Memo(BTreeMap<OsString, (FileVersion, Digest)>);

impl Memo {
    /// Returns the digest of a file in exactly this version.
    pub(crate) fn get(&self, name: &OsStr, version: &FileVersion) -> Option<Digest> {
        self.0.get(name).filter(|(known, _)| known == version).map(|(_, digest)| *digest)
    }

    fn encode(&self, folder: &str) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((self.0.len() as u64).to_le_bytes());
        for (name, (version, digest)) in &self.0 {
            // Without a volume nothing is remembered.
            let FileVersion { stat, volume } = version;
            push_short_bytes(&mut out, name.as_bytes());
            out.extend(stat.size.to_le_bytes());
            out.extend(stat.mtime.to_le_bytes());
            out.extend(stat.ctime.to_le_bytes());
            out.extend(stat.inode.to_le_bytes());
            out.extend(volume.map_or([0; 16], |volume| volume.0));
            out.extend(digest.0);
        }
        seal(&domain(folder), out).0
    }

    /// Decodes the memory of a folder; `None` if it is damaged or that of another folder.
    pub(crate) fn decode(folder: &str, bytes: &[u8]) -> Option<Memo> {
        let (body, _) = unseal(&domain(folder), bytes)?;
        let mut reader = Reader(body.strip_prefix(MAGIC)?);
        let mut entries = Vec::new();
        for _ in 0..reader.count(84)? {
            let name = OsString::from_vec(reader.short_bytes()?.to_vec());
            let stat = FileStat {
                size: reader.u64()?,
                mtime: reader.i64()?,
                ctime: reader.i64()?,
                inode: reader.u64()?,
            };
            let volume = Volume(reader.take(16)?.try_into().ok()?);
            entries.push((name, (FileVersion { stat, volume: Some(volume) }, reader.digest()?)));
        }
        reader.0.is_empty().then(|| Memo(entries.into_iter().collect()))
    }
}

impl Store {
    /// From now on hashes every source file anew, once for each time that it is asked for, and remembers what it finds.
    pub fn distrust_digests(&self) {
        self.inner.distrusts_digests.store(true, Ordering::Relaxed);
    }

    /// Forgets the digest of a source file: somebody found other bytes in it.
    ///
    /// Failing to forget is a warning: the next one who reads the file finds them again.
    pub fn forget_digest(&self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
        let mut memo = self.memo(folder);
        if memo.0.remove(name).is_some() {
            self.write_memo(folder, &memo, "the digest of a source file could not be forgotten");
        }
    }

    /// Reads what is remembered of a folder and may be relied on.
    pub(crate) fn recall(&self, folder: &Path) -> Memo {
        match self.inner.distrusts_digests.load(Ordering::Relaxed) {
            true => Memo::default(),
            false => self.memo(folder),
        }
    }

    /// Reads what is remembered of a folder, which is nothing if the memory is damaged.
    fn memo(&self, folder: &Path) -> Memo {
        let path = self.memo_path(folder);
        let Ok(bytes) = fs_err::read(&path) else { return Memo::default() };
        Memo::decode(&memo_name(folder), &bytes).unwrap_or_else(|| {
            self.warn(&path, "its checksum does not match; source files are hashed again");
            Memo::default()
        })
    }

    /// Adds digests to the memory of a folder. Failing to remember costs time, never correctness: it is a warning.
    pub(crate) fn remember(&self, folder: &Path, fresh: &[(&OsStr, FileVersion, Digest)]) {
        // Others may have written since it was read.
        let mut memo = self.memo(folder);
        for (name, version, digest) in fresh {
            memo.0.insert((*name).to_owned(), (*version, *digest));
        }
        self.write_memo(folder, &memo, "digests of source files could not be remembered");
    }

    fn write_memo(&self, folder: &Path, memo: &Memo, failure: &str) {
        let path = self.memo_path(folder);
        // A cache that can only be read is no reason to warn.
        if !self.is_writable() {
            return;
        }
        if let Err(error) = self.write_file(&path, &[&memo.encode(&memo_name(folder))], Durability::File) {
            self.warn(&path, format!("{failure}: {error}"));
        }
    }

    pub(crate) fn memo_path(&self, folder: &Path) -> PathBuf {
        sharded(&self.inner.dir, DIGESTS, &format!("{}.bin", memo_name(folder)))
    }
}

/// What the memory of a folder is called.
fn memo_name(folder: &Path) -> String {
    Digest::of(folder.as_os_str().as_bytes()).to_hex()
}

/// The checksum covers the place too: a copy under another name is damage.
fn domain(folder: &str) -> String {
    format!("digests {folder}")
}
