//! Reading everything and comparing it with its checksum.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::artefact::parse_manifest;
use crate::document::document_length;
use crate::file_lock::touch;
use crate::folder::{ARTEFACTS, DIGESTS, FILES, ROWS};
use crate::memo::Memo;
use crate::row_file::RowFile;
use crate::stats::manifest_id;
use crate::{Bucket, CacheError, Digest, Store};

/// Something in the cache that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// How much of a file is read at once: none is ever whole in memory, for shards are large.
const BUFFER: usize = 1 << 20;

/// What is looked at.
enum Item {
    File,
    Manifest,
    Document(Bucket),
    RowFile,
    Memo,
}

impl Store {
    /// Reads every file and document and compares it with its checksum; `progress` gets bytes done and in all.
    ///
    /// Nothing is changed but the times of damaged files, so that no run goes by what it remembers of them. The faults are sorted by path.
    ///
    /// # Errors
    /// [`CacheError::Io`] if a folder cannot be listed; a file that cannot be read is a fault.
    pub fn verify(&self, progress: &dyn Fn(u64, u64)) -> Result<Vec<Fault>, CacheError> {
        let mut items: Vec<_> = self
            .items()?
            .into_iter()
            .map(|(item, path)| {
                let bytes = fs_err::metadata(&path).map_or(0, |meta| meta.len());
                (item, path, bytes)
            })
            .collect();
        // No thread is left alone with the largest file at the end.
        items.sort_by_key(|(_, _, bytes)| std::cmp::Reverse(*bytes));
        let total = items.iter().map(|(_, _, bytes)| bytes).sum();
        let next = AtomicUsize::new(0);
        let mut faults = Vec::new();
        progress(0, total);
        // Threads of its own: `progress` is called on this one, which may belong to a pool.
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            for _ in 0..rayon::current_num_threads().max(1) {
                let (send, items, next) = (send.clone(), &items, &next);
                scope.spawn(move || {
                    let mut buffer = vec![0; BUFFER];
                    while let Some((item, path, bytes)) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let what = match self.look_at(item, path, &mut buffer) {
                            Ok(what) => what,
                            // Another process may have removed or replaced it meanwhile.
                            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                            Err(error) => Some(error.to_string()),
                        };
                        if what.is_some() && matches!(item, Item::File) {
                            touch_file(path);
                        }
                        let fault = what.map(|what| Fault { path: path.clone(), what });
                        if send.send((*bytes, fault)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let mut done = 0;
            for (bytes, fault) in receive {
                done += bytes;
                progress(done, total);
                faults.extend(fault);
            }
        });
        faults.sort_unstable();
        Ok(faults)
    }

    /// Removes what [`Store::verify`] has found, and the artefacts that are not whole without it; they are computed again when
    /// they are asked for.
    ///
    /// # Errors
    /// [`CacheError::Unusable`] or [`CacheError::Io`] if a file cannot be removed.
    pub fn repair(&self, faults: &[Fault]) -> Result<(), CacheError> {
        let remove = |path: &Path| match fs_err::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CacheError::writing(path, 0, error))
            }
            _ => {
                self.inner.warnings.forget(path);
                Ok(())
            }
        };
        faults.iter().try_for_each(|fault| remove(&fault.path))?;
        if !faults.is_empty() {
            for path in self.list_readable(ARTEFACTS)? {
                if let Ok(Some(_)) = self.look_at(&Item::Manifest, &path, &mut []) {
                    remove(&path)?;
                }
            }
        }
        self.inner.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Lists everything that carries a checksum.
    fn items(&self) -> Result<Vec<(Item, PathBuf)>, CacheError> {
        let mut items = Vec::new();
        items.extend(self.list_readable(FILES)?.into_iter().map(|path| (Item::File, path)));
        items.extend(self.list_readable(ARTEFACTS)?.into_iter().map(|path| (Item::Manifest, path)));
        items.extend(self.list_readable(ROWS)?.into_iter().map(|path| (Item::RowFile, path)));
        items.extend(self.list_readable(DIGESTS)?.into_iter().map(|path| (Item::Memo, path)));
        for bucket in Bucket::ALL {
            let paths = self.list_readable(bucket.folder())?;
            items.extend(paths.into_iter().map(|path| (Item::Document(bucket), path)));
        }
        Ok(items)
    }

    /// Says what is wrong with an item, if anything.
    fn look_at(&self, item: &Item, path: &Path, buffer: &mut [u8]) -> std::io::Result<Option<String>> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let whole = match item {
            Item::File => {
                let found = hash(path, buffer)?.to_hex();
                name.split_once('.').is_some_and(|(id, _)| id == found)
            }
            Item::Document(bucket) => document_length(bucket.folder(), name, &fs_err::read(path)?).is_some(),
            Item::RowFile => RowFile::decode(path, &fs_err::read(path)?).is_some(),
            Item::Memo => {
                let folder = name.strip_suffix(".bin").unwrap_or_default();
                Memo::decode(folder, &fs_err::read(path)?).is_some()
            }
            Item::Manifest => {
                let bytes = fs_err::read(path)?;
                let manifest = manifest_id(path).and_then(|id| {
                    let length = document_length(ARTEFACTS, &id.to_hex(), &bytes)?;
                    parse_manifest(&id, &bytes[..length])
                });
                let missing =
                    manifest.as_ref().and_then(|manifest| manifest.files().find(|file| !self.has_file(file)));
                // A collection may have given it other files meanwhile.
                if let Some(file) = missing
                    && fs_err::read(path)? == bytes
                {
                    return Ok(Some(format!(
                        "its file {} is missing or cut",
                        self.file_path(file).display()
                    )));
                }
                manifest.is_some()
            }
        };
        Ok((!whole).then(|| "its checksum does not match".to_owned()))
    }
}

/// Gives a file the present time, where this user may.
fn touch_file(path: &Path) {
    if let Ok(file) = fs_err::File::open(path)
        && let Err(error) = touch(file.file())
    {
        tracing::debug!("{}: {error}", path.display());
    }
}

/// Hashes a file a piece at a time.
fn hash(path: &Path, buffer: &mut [u8]) -> std::io::Result<Digest> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(Digest(*hasher.finalize().as_bytes())),
            Ok(count) => {
                hasher.update(&buffer[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
