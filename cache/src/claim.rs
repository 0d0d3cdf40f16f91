//! Claims: which rows of a map are being computed, and by whom.
//!
//! A claim is a locked file that lists inputs and is named after its process, with which it ends. Whoever makes one holds the lock of the map
//! for that moment, reads what others claim and then what was committed, and takes the rest. A claim is dropped when its rows are committed,
//! or when they will not be.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file_lock::{TRIES, Tried, unstable};
use crate::folder::LOCKS;
use crate::owner;
use crate::{CacheError, Digest, RowMap, Store};

/// What is to be done about an input row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputState {
    /// It is claimed now: compute it.
    Mine,
    /// Its output row is known.
    Known,
    /// Somebody else computes it.
    Elsewhere,
}

/// What came of a wish for rows.
#[derive(Debug)]
pub struct Claimed {
    /// What each input is, in order.
    pub states: Vec<InputState>,
    /// Holds the rows that are mine; `None` if there are none.
    pub claim: Option<Claim>,
    /// Somebody who computes others, if there is one.
    pub holder: Option<Holder>,
}

/// Keeps others from computing some rows until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    // The lock belongs to the open file.
    _file: std::fs::File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}

/// A claim of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    path: PathBuf,
}

impl Store {
    /// Says whether the rows of a claim are still being computed; not any more once they are committed or their process is gone.
    pub fn is_busy(&self, holder: &Holder) -> bool {
        self.is_claimed(&holder.path)
    }

    /// A claim is gone when its lock is free, if its process is known to be gone or to have the lock in sight of this one.
    fn is_claimed(&self, path: &Path) -> bool {
        let Ok(file) = fs_err::OpenOptions::new().read(true).write(true).open(path) else { return false };
        match self.try_lock_file(file.file()) {
            Ok(Tried::Busy) => true,
            Ok(Tried::Locked | Tried::Without(_)) => {
                claimant(path).is_some_and(|token| self.is_at_work(token, owner::LAPSE))
            }
            Err(_) => false,
        }
    }
}

/// The token of the process that made a claim: `key.token.serial`.
fn claimant(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.split('.').nth(1)
}

impl RowMap {
    /// Claims those of some inputs that are neither known nor being computed elsewhere, after reading what others committed.
    ///
    /// Claims only save double work: where the locks of a file system do not hold, a row is computed twice and stored once.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder of the map cannot be read; full or unusable, as for every write.
    pub fn claim(&self, inputs: &[Digest]) -> Result<Claimed, CacheError> {
        let _alone = self.store.lock_briefly("claims", &self.key)?;
        // Claims first: who drops one has committed its rows before, so that what is claimed no more is found among the commits.
        let others = self.others()?;
        self.refresh()?;
        let mut holder = None;
        let states: Vec<InputState> = inputs
            .iter()
            .map(|input| {
                if self.get(input).is_some() {
                    return InputState::Known;
                }
                match others.iter().find(|(_, claimed)| claimed.binary_search(input).is_ok()) {
                    Some((path, _)) => {
                        holder.get_or_insert_with(|| Holder { path: path.clone() });
                        InputState::Elsewhere
                    }
                    None => InputState::Mine,
                }
            })
            .collect();
        let mine = states.iter().zip(inputs).filter(|(state, _)| **state == InputState::Mine);
        let mine: Vec<u8> = mine.flat_map(|(_, input)| input.0).collect();
        let claim = if mine.is_empty() { None } else { Some(self.write_claim(&mine)?) };
        Ok(Claimed { states, claim, holder })
    }

    /// Reads the claims of others, each with its inputs, sorted; those of dead processes are removed.
    fn others(&self) -> Result<Vec<(PathBuf, Vec<Digest>)>, CacheError> {
        let mut others = Vec::new();
        for path in crate::folder::list(&self.store.inner.dir.join(LOCKS))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with(&self.claim_prefix()) {
                continue;
            }
            if !self.store.is_claimed(&path) {
                let _ = fs_err::remove_file(&path);
                continue;
            }
            let Ok(bytes) = fs_err::read(&path) else { continue };
            let mut claimed: Vec<Digest> = bytes.as_chunks().0.iter().copied().map(Digest).collect();
            claimed.sort_unstable();
            others.push((path, claimed));
        }
        Ok(others)
    }

    fn claim_prefix(&self) -> String {
        format!("{}.", self.key)
    }

    fn write_claim(&self, inputs: &[u8]) -> Result<Claim, CacheError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let folder = self.store.inner.dir.join(LOCKS);
        let token = &self.store.writable()?.token;
        for _ in 0..TRIES {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}{token}.{serial}", self.claim_prefix()));
            let writing = |source| CacheError::writing(&path, inputs.len() as u64, source);
            let mut file = self.store.open_lock(&path).map_err(writing)?;
            // Somebody who tidies up may have come between creating and locking.
            let tried = self.store.try_lock_file(&file).map_err(writing)?;
            let is_mine = match tried {
                Tried::Busy => false,
                Tried::Locked => self.store.is_same_file(&path, &file),
                Tried::Without(_) => true,
            };
            if !is_mine {
                continue;
            }
            file.set_len(0).map_err(writing)?;
            let written = file.write_all(inputs);
            let claim = Claim { path: path.clone(), _file: file };
            return written.map(|()| claim).map_err(writing);
        }
        Err(CacheError::writing(&folder, 0, unstable()))
    }
}
