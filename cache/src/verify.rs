//! Reading everything and comparing it with its checksum.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::{CacheError, Store};

/// Something in the cache that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl Store {
    /// Reads every file and document and compares it with its checksum; `progress` gets bytes done and in all.
    ///
    /// Nothing is changed. The faults are sorted by path.
    ///
    /// # Errors
    /// [`CacheError::Io`] if a folder cannot be listed; a file that cannot be read is a fault.
    pub fn verify(&self, progress: &dyn Fn(u64, u64)) -> Result<Vec<Fault>, CacheError> {
        let items: Vec<_> = self
            .items()?
            .into_iter()
            .map(|(item, path)| {
                let bytes = fs_err::metadata(&path).map_or(0, |meta| meta.len());
                (item, path, bytes)
            })
            .collect();
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
                    while let Some((item, path, bytes)) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let what = match fs_err::read(path) {
                            Ok(found) => self.judge(item, path, &found),
                            // Another process may have removed or replaced it meanwhile.
                            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                            Err(error) => Some(error.to_string()),
                        };
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
}
