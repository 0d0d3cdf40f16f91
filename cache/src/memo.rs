//! The memory of file digests: one binary file for each folder that holds sources.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::codec::{Reader, push_short_bytes, seal, unseal};
use crate::store::{DIGESTS, sharded};
use crate::{Digest, Durability, FileStat, Store};

const MAGIC: &[u8] = b"SNDMEMO1";

/// What is remembered of the files of one folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Memo(BTreeMap<OsString, (FileStat, Digest)>);

impl Memo {
    /// Returns the digest of a file in exactly this version.
    pub(crate) fn get(&self, name: &OsStr, stat: &FileStat) -> Option<Digest> {
        self.0.get(name).filter(|(known, _)| known == stat).map(|(_, digest)| *digest)
    }

    fn encode(&self, folder: &str) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((self.0.len() as u64).to_le_bytes());
        for (name, (stat, digest)) in &self.0 {
            push_short_bytes(&mut out, name.as_bytes());
            out.extend(stat.size.to_le_bytes());
            out.extend(stat.mtime.to_le_bytes());
            out.extend(stat.ctime.to_le_bytes());
            out.extend(stat.inode.to_le_bytes());
            out.extend(stat.device.to_le_bytes());
            out.extend(digest.0);
        }
        seal(&domain(folder), out).0
    }

    /// Decodes the memory of a folder; `None` if it is damaged or that of another folder.
    pub(crate) fn decode(folder: &str, bytes: &[u8]) -> Option<Memo> {
        let (body, _) = unseal(&domain(folder), bytes)?;
        let mut reader = Reader(body.strip_prefix(MAGIC)?);
        let mut entries = Vec::new();
        for _ in 0..reader.count(76)? {
            let name = OsString::from_vec(reader.short_bytes()?.to_vec());
            let stat = FileStat {
                size: reader.u64()?,
                mtime: reader.i64()?,
                ctime: reader.i64()?,
                inode: reader.u64()?,
                device: reader.u64()?,
            };
            entries.push((name, (stat, reader.digest()?)));
        }
        reader.0.is_empty().then(|| Memo(entries.into_iter().collect()))
    }
}

impl Store {
    /// Reads what is remembered of a folder, which is nothing if the memory is damaged.
    pub(crate) fn memo(&self, folder: &Path) -> Memo {
        let path = self.memo_path(folder);
        let Ok(bytes) = fs_err::read(&path) else { return Memo::default() };
        Memo::decode(&memo_name(folder), &bytes).unwrap_or_else(|| {
            self.warn(&path, "its checksum does not match; source files are hashed again");
            Memo::default()
        })
    }

    /// Adds digests to the memory of a folder. Failing to remember costs time, never correctness: it is a warning.
    pub(crate) fn remember(&self, folder: &Path, fresh: &[(&OsStr, FileStat, Digest)]) {
        // Others may have written since it was read.
        let mut memo = self.memo(folder);
        for (name, stat, digest) in fresh {
            memo.0.insert((*name).to_owned(), (*stat, *digest));
        }
        let path = self.memo_path(folder);
        if let Err(error) = self.write_file(&path, &[&memo.encode(&memo_name(folder))], Durability::File) {
            self.warn(&path, format!("digests of source files could not be remembered: {error}"));
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
