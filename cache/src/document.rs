//! Documents: small byte strings under a name, each with a checksum.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::folder::{DENIED, list, sharded};
use crate::{CacheError, Digest, Durability, Hasher, Store};

/// A collection of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// What a stage's key led to.
    Records,
    /// What a run did.
    Runs,
    /// What is known about sources.
    Sources,
    /// What is remembered about pipeline files.
    Pipelines,
    /// Results that stay, by the name that somebody gave them.
    Pins,
}

/// Bytes of the checksum behind a document: two line ends and the digits.
pub(crate) const TRAILER: usize = 66;

impl Bucket {
    /// All buckets.
    pub const ALL: [Bucket; 5] =
        [Bucket::Records, Bucket::Runs, Bucket::Sources, Bucket::Pipelines, Bucket::Pins];

    /// Returns the name of the bucket's folder.
    pub fn folder(self) -> &'static str {
        match self {
            Bucket::Records => "records-v1",
            Bucket::Runs => "runs-v1",
            Bucket::Sources => "sources-v1",
            Bucket::Pipelines => "pipelines-v1",
            Bucket::Pins => "pins-v1",
        }
    }
}

impl Store {
    /// Writes a document, replacing one of that name; after a power failure it is there whole or not at all, and a record or
    /// a pin is there for good on return.
    ///
    /// # Errors
    /// Full or unusable; [`CacheError::Invalid`] for a name that is no plain file name.
    pub fn put_document(&self, bucket: Bucket, name: &str, bytes: &[u8]) -> Result<(), CacheError> {
        check_name(name)?;
        let durability = match bucket {
            Bucket::Records | Bucket::Pins => Durability::Directory,
            Bucket::Runs | Bucket::Sources | Bucket::Pipelines => Durability::File,
        };
        self.write_document(&self.document_path(bucket, name), bucket.folder(), name, bytes, durability)
    }

    /// Reads a document; `None` if there is none, or it is damaged or somebody keeps it to themselves, which is warned about.
    ///
    /// # Errors
    /// [`CacheError::Io`] if it exists but cannot be read.
    pub fn document(&self, bucket: Bucket, name: &str) -> Result<Option<Vec<u8>>, CacheError> {
        check_name(name)?;
        self.read_document(&self.document_path(bucket, name), bucket.folder(), name)
    }

    /// Lists the names in a bucket, sorted.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder cannot be read.
    pub fn documents(&self, bucket: Bucket) -> Result<Vec<String>, CacheError> {
        let mut names = Vec::new();
        for path in self.list_readable(bucket.folder())? {
            names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Lists the files of a bucket that this user may know of; folders of others are warned about.
    pub(crate) fn list_readable(&self, bucket: &str) -> Result<Vec<PathBuf>, CacheError> {
        let readable = |folder: &Path| match list(folder) {
            Err(CacheError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                self.warn(folder, DENIED);
                Ok(Vec::new())
            }
            other => other,
        };
        let mut files = Vec::new();
        for folder in readable(&self.inner.dir.join(bucket))? {
            files.extend(readable(&folder)?);
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Removes a document, if it is there.
    ///
    /// # Errors
    /// Unusable if the folder is not writable.
    pub fn remove_document(&self, bucket: Bucket, name: &str) -> Result<(), CacheError> {
        check_name(name)?;
        self.writable()?;
        let path = self.document_path(bucket, name);
        match fs_err::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CacheError::writing(&path, 0, source))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn document_path(&self, bucket: Bucket, name: &str) -> PathBuf {
        sharded(&self.inner.dir, bucket.folder(), name)
    }

    pub(crate) fn write_document(
        &self,
        path: &Path,
        domain: &str,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), CacheError> {
        let trailer = format!("\n{}\n", checksum(domain, name, bytes));
        self.write_file(path, &[bytes, trailer.as_bytes()], durability)
    }

    pub(crate) fn read_document(
        &self,
        path: &Path,
        domain: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let mut bytes = match read_small(path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                self.warn(path, DENIED);
                return Ok(None);
            }
            Err(source) => return Err(CacheError::reading(path, source)),
        };
        match document_length(domain, name, &bytes) {
            Some(length) => {
                bytes.truncate(length);
                Ok(Some(bytes))
            }
            None => {
                self.warn(path, "its checksum does not match; it is ignored and will be made again");
                Ok(None)
            }
        }
    }
}

/// Reads a file that is likely small with as few calls to the system as that takes.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs_err::File::open(path)?;
    let mut first = [0; 4 << 10];
    let count = file.read(&mut first)?;
    let mut bytes = first[..count].to_vec();
    if count == first.len() {
        let length = file.metadata()?.len();
        bytes.reserve_exact(usize::try_from(length).unwrap_or(0).saturating_sub(count));
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The checksum covers the place too: a copy under another name is damage.
fn checksum(domain: &str, name: &str, bytes: &[u8]) -> Digest {
    Hasher::new("document").str(domain).str(name).bytes(bytes).finish()
}

/// Returns how many bytes come before the trailer, if the trailer is right.
pub(crate) fn document_length(domain: &str, name: &str, bytes: &[u8]) -> Option<usize> {
    let (body, trailer) = bytes.split_last_chunk::<TRAILER>()?;
    let hex = trailer.strip_prefix(b"\n")?.strip_suffix(b"\n")?;
    let stored: Digest = std::str::from_utf8(hex).ok()?.parse().ok()?;
    (stored == checksum(domain, name, body)).then_some(body.len())
}

fn check_name(name: &str) -> Result<(), CacheError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=,+@".contains(&byte);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(CacheError::invalid(format!(
            "`{}` cannot name a document: 1 to 200 ASCII letters, digits or any of `-_.=,+@`, no dot in front",
            name.escape_debug()
        )));
    }
    Ok(())
}
