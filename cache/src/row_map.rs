//! Row maps: which input row has which output row. This is what makes rows the unit of reuse.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLock};

use rayon::prelude::*;

use crate::folder::{DENIED, ROWS, list};
use crate::row_file::{Entry, Remarks, RowFile, SKIPPED};
use crate::row_run::Run;
use crate::{CacheError, Digest, Durability, FileRef, Row, RowAt, Store};

/// From this number of commits on they are put into one file at the next opening.
const PACK: usize = 64;

/// What is known about an input row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOutcome {
    /// Its output row, with a remark on it, such as what is damaged in the input.
    Row(RowAt, Option<String>),
    /// It has none, for this reason.
    Skipped(String),
}

/// Which input row has which output row, for one stage kind, version and parameters.
///
/// Append-only; every commit is durable when it returns. Commits of several threads and processes do not disturb
/// each other; those of other processes are seen after [`RowMap::refresh`]. A known row takes 76 bytes of memory.
pub struct RowMap {
    pub(crate) store: Store,
    pub(crate) key: Digest,
    folder: PathBuf,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// Names of the files that are in here already.
    files: BTreeSet<PathBuf>,
    /// What was read and committed, each run at least twice as long as the next; `shard` counts in `shards`, and for a skipped row
    /// `row` counts in `reasons`.
    runs: Vec<Run>,
    reasons: Vec<String>,
    remarks: Remarks,
    shards: Vec<(FileRef, bool)>,
    numbers: BTreeMap<Digest, u32>,
    generation: u64,
}

impl Store {
    /// Opens the row map of a key: the hash of stage kind, version, parameters and inputs that are not mapped.
    ///
    /// The map and every shard that it names are held from here on.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder cannot be read; full or unusable.
    pub fn row_map(&self, key: &Digest) -> Result<RowMap, CacheError> {
        self.hold(&[*key])?;
        let folder = self.inner.dir.join(ROWS).join(key.to_hex());
        let map = RowMap { store: self.clone(), key: *key, folder, state: RwLock::default() };
        map.refresh()?;
        if let Err(error) = map.pack() {
            // The separate files are as good, only slower.
            tracing::warn!("{error}");
        }
        Ok(map)
    }
}

impl RowMap {
    /// Looks up an input row; a row whose shard is missing is not known.
    pub fn get(&self, input: &Digest) -> Option<RowOutcome> {
        let generation = self.store.inner.generation.load(Ordering::Acquire);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.generation == generation {
            return state.get(&self.store, input);
        }
        drop(state);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.look_again(&self.store, generation);
        state.get(&self.store, input)
    }

    /// Returns how many input rows are known.
    pub fn len(&self) -> usize {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut distinct = 0;
        for (i, run) in state.runs.iter().enumerate() {
            let before = &state.runs[..i];
            let entries = run.entries();
            let first = |at: usize| at == 0 || entries[at - 1].input != entries[at].input;
            let new = |at: usize| before.iter().all(|run| run.of(&entries[at].input).is_empty());
            distinct += (0..entries.len()).filter(|&at| first(at) && new(at)).count();
        }
        distinct
    }

    /// Says whether no input row is known.
    pub fn is_empty(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).runs.is_empty()
    }

    /// Reads what others committed since the map was opened.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder cannot be read.
    pub fn refresh(&self) -> Result<(), CacheError> {
        let generation = self.store.inner.generation.load(Ordering::Acquire);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever packs files writes the pack before removing them: if one went, the next listing has the pack.
        for _ in 0..3 {
            if self.read_new_files(&mut state)? {
                break;
            }
        }
        if state.generation != generation {
            state.look_again(&self.store, generation);
        }
        Ok(())
    }

    /// Reads the files that are not read yet; `false` if one was removed meanwhile.
    fn read_new_files(&self, state: &mut State) -> Result<bool, CacheError> {
        let mut complete = true;
        let files = match list(&self.folder) {
            Err(CacheError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                self.store.warn(&self.folder, DENIED);
                return Ok(true);
            }
            other => other?,
        };
        for path in files {
            if path.extension().is_none_or(|extension| extension != "rows") || state.files.contains(&path) {
                continue;
            }
            let bytes = match fs_err::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    complete = false;
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    self.store.warn(&path, DENIED);
                    continue;
                }
                Err(source) => return Err(CacheError::reading(&path, source)),
            };
            let Some(file) = RowFile::decode(&path, &bytes) else {
                self.store.warn(&path, "its checksum does not match; its rows are computed again");
                let _ = fs_err::remove_file(&path);
                continue;
            };
            drop(bytes);
            state.load(file, |shard| self.store.has_file(shard));
            state.files.insert(path);
        }
        Ok(complete)
    }

    /// Puts the files of many commits into one, so that opening a map stays fast.
    fn pack(&self) -> Result<(), CacheError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.files.len() < PACK {
            return Ok(());
        }
        state.flatten();
        let mut shards: Vec<FileRef> = Vec::new();
        let mut renumbered: Vec<Option<u32>> = Vec::with_capacity(state.shards.len());
        for (file, present) in &state.shards {
            renumbered.push(present.then_some(shards.len() as u32));
            if *present {
                shards.push(file.clone());
            }
        }
        let entries = state.runs.first().map_or(&[][..], Run::entries);
        let mut packed = RowFile {
            shards,
            entries: Vec::with_capacity(entries.len()),
            reasons: vec![],
            remarks: state.remarks.clone(),
        };
        for entry in entries {
            if entry.shard == SKIPPED {
                let row = packed.reasons.len() as u32;
                packed.reasons.push(state.reasons[entry.row as usize].clone());
                packed.entries.push(Entry { row, ..*entry });
            } else if let Some(shard) = renumbered[entry.shard as usize] {
                packed.entries.push(Entry { shard, ..*entry });
            }
        }
        let (bytes, name) = packed.encode(&self.key);
        let path = self.folder.join(name);
        self.store.write_file(&path, &[&bytes], Durability::Directory)?;
        for old in std::mem::take(&mut state.files) {
            if old != path {
                let _ = fs_err::remove_file(old);
            }
        }
        state.files.insert(path);
        Ok(())
    }

    /// Stores rows, remarks on some of them by their inputs, and the reasons of inputs without a row; on return they survive the process and
    /// a power failure.
    ///
    /// Returns where each row went, in the order of `rows`.
    ///
    /// # Errors
    /// Full or unusable; then nothing is known of these rows. [`CacheError::Invalid`] for a row of more than 2³¹ − 1
    /// values.
    pub fn commit(
        &self,
        rows: Vec<(Digest, Row)>,
        remarks: Vec<(Digest, String)>,
        skipped: Vec<(Digest, String)>,
    ) -> Result<Vec<(Digest, RowAt)>, CacheError> {
        if rows.is_empty() && skipped.is_empty() {
            return Ok(Vec::new());
        }
        let (inputs, rows): (Vec<Digest>, Vec<Row>) = rows.into_iter().unzip();
        let (places, shards) = self.store.put_shards(rows)?;
        let numbers: BTreeMap<Digest, u32> = shards.iter().map(|shard| shard.id).zip(0..).collect();
        let mut file = RowFile {
            shards,
            entries: Vec::with_capacity(inputs.len() + skipped.len()),
            reasons: vec![],
            remarks: Remarks::new(),
        };
        let remarks: BTreeMap<Digest, String> = remarks.into_iter().collect();
        let mut result = Vec::with_capacity(inputs.len());
        for (input, at) in inputs.into_iter().zip(places) {
            file.entries.push(Entry { input, hash: at.hash, shard: numbers[&at.shard], row: at.row });
            if let Some(remark) = remarks.get(&input) {
                file.remarks.insert((input, at.hash), remark.clone());
            }
            result.push((input, at));
        }
        for (number, (input, reason)) in (0..).zip(skipped) {
            file.entries.push(Entry { input, hash: Digest([0; 32]), shard: SKIPPED, row: number });
            file.reasons.push(reason);
        }
        file.entries.par_sort_by(Entry::order);
        let (bytes, name) = file.encode(&self.key);
        let path = self.folder.join(name);
        self.store.write_file(&path, &[&bytes], Durability::Directory)?;

        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.files.insert(path);
        state.load(file, |_| true);
        Ok(result)
    }
}

impl State {
    fn get(&self, store: &Store, input: &Digest) -> Option<RowOutcome> {
        self.runs.iter().rev().flat_map(|run| run.of(input)).find_map(|entry| {
            if entry.shard == SKIPPED {
                return self.reasons.get(entry.row as usize).cloned().map(RowOutcome::Skipped);
            }
            let (file, present) = self.shards.get(entry.shard as usize)?;
            // One that was missing may have been written again by another map.
            let remark = || self.remarks.get(&(entry.input, entry.hash)).cloned();
            (*present || store.has_file(file)).then(|| {
                RowOutcome::Row(RowAt { hash: entry.hash, shard: file.id, row: entry.row }, remark())
            })
        })
    }

    /// Adds the entries of a file, renumbered.
    fn load(&mut self, file: RowFile, is_there: impl Fn(&FileRef) -> bool) {
        let shards: Vec<u32> = file
            .shards
            .into_iter()
            .map(|shard| {
                let there = is_there(&shard);
                let number = *self.numbers.entry(shard.id).or_insert_with(|| {
                    self.shards.push((shard, there));
                    (self.shards.len() - 1) as u32
                });
                self.shards[number as usize].1 = there;
                number
            })
            .collect();
        let reasons = self.reasons.len() as u32;
        self.reasons.extend(file.reasons);
        for (row, remark) in file.remarks {
            // Of several the least, so that the order of the files does not matter.
            match self.remarks.entry(row) {
                Occupied(mut known) if remark < *known.get() => drop(known.insert(remark)),
                Occupied(_) => {}
                Vacant(new) => drop(new.insert(remark)),
            }
        }
        let mut entries = file.entries;
        for entry in &mut entries {
            match entry.shard {
                SKIPPED => entry.row += reasons,
                shard => entry.shard = shards[shard as usize],
            }
        }
        let mut run = Run::new(entries);
        while let Some(last) = self.runs.pop_if(|last| last.entries().len() < 2 * run.entries().len()) {
            run = last.merge(run);
        }
        self.runs.push(run);
    }

    /// Puts everything into one run.
    fn flatten(&mut self) {
        while self.runs.len() > 1
            && let (Some(last), Some(before)) = (self.runs.pop(), self.runs.pop())
        {
            self.runs.push(before.merge(last));
        }
    }

    /// Looks which shards exist.
    fn look_again(&mut self, store: &Store, generation: u64) {
        for (file, present) in &mut self.shards {
            *present = store.has_file(file);
        }
        self.generation = generation;
    }
}
