//! Removing what is not needed: a few things at a time, looking before each time at what processes hold.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inventory::Entry;
use super::live::Live;
use super::policy::{Freed, Part};
use crate::file_lock::{lock_if_free, touch};
use crate::hold::Marks;
use crate::lock::remove_temp;
use crate::{CacheError, Digest, Store, Traffic};

/// Nobody waits for a collection longer than about this.
const STEP: Duration = Duration::from_millis(20);

/// Something to remove, and what it must not be needed as.
pub(super) struct Item {
    part: Part,
    entry: Entry,
    what: What,
}

enum What {
    Record(Digest),
    Log(Digest),
    Work(Digest),
    /// An artefact or a list of sources.
    Named(Digest),
    File(Digest),
    /// A commit to a row map, by its number.
    Commit(Digest, usize),
    /// The lock of a key.
    Lock(Digest),
    /// What nobody can hold.
    Free,
}

/// Lists what goes, in the order in which it goes: what names something before what is named, so that a crash leaves no name of nothing.
/// Row maps that are about to be written anew are left out.
pub(super) fn items(live: &Live<'_>, runs: &BTreeSet<String>, switched: &BTreeSet<Digest>) -> [Vec<Item>; 3] {
    let all = &live.all;
    let item = |part, entry: &Entry, what| Item { part, entry: entry.clone(), what };
    let mut first = Vec::new();
    first.extend(
        all.runs
            .iter()
            .filter(|(name, _)| runs.contains(*name))
            .map(|(_, e)| item(Part::Runs, e, What::Free)),
    );
    first.extend(all.damaged.iter().map(|e| item(Part::Damaged, e, What::Free)));
    first.extend(all.strays.iter().map(|e| item(Part::Strays, e, What::Free)));
    first.extend(all.locks.iter().map(|(key, e)| item(Part::Strays, e, What::Lock(*key))));
    for (key, (entry, _)) in all.records.iter().filter(|(key, _)| !live.has_key(key)) {
        first.push(item(Part::Results, entry, What::Record(*key)));
    }
    for (key, entry) in all.logs.iter().filter(|(key, _)| !live.has_log(key)) {
        first.push(item(Part::Results, entry, What::Log(*key)));
    }
    for (key, entry) in all.work.iter().filter(|(key, _)| !live.has_work(key)) {
        first.push(item(Part::Checkpoints, entry, What::Work(*key)));
    }
    let mut second = Vec::new();
    for (id, entry) in all.sources.iter().filter(|(id, _)| !live.has_named(id)) {
        second.push(item(Part::Results, entry, What::Named(*id)));
    }
    for (id, (entry, _)) in all.artefacts.iter().filter(|(id, _)| !live.has_named(id)) {
        second.push(item(Part::Artefacts, entry, What::Named(*id)));
    }
    for (map, commits) in all.maps.iter().filter(|(map, _)| !switched.contains(map)) {
        for (number, commit) in commits.iter().enumerate() {
            if !live.has_commit(map, commit) {
                second.push(item(Part::Rows, &commit.entry, What::Commit(*map, number)));
            }
        }
    }
    let files = all.files.iter().filter(|(id, _)| !live.has_file(id));
    let third =
        files.flat_map(|(id, files)| files.iter().map(|file| item(Part::Artefacts, file, What::File(*id))));
    let third = third.collect();
    [first, second, third]
}

/// Lists what goes of some artefacts and of the row maps that have rows in their shards: what names something before what is named.
pub(super) fn items_of(
    live: &Live<'_>,
    artefacts: &BTreeSet<Digest>,
    files: &BTreeSet<Digest>,
) -> [Vec<Item>; 2] {
    let all = &live.all;
    let item = |part, entry: &Entry, what| Item { part, entry: entry.clone(), what };
    let mut first = Vec::new();
    for id in artefacts.iter().filter(|id| !live.has_named(id)) {
        first.extend(all.artefacts.get(id).map(|(entry, _)| item(Part::Artefacts, entry, What::Named(*id))));
    }
    for (map, commits) in &all.maps {
        for (number, commit) in commits.iter().enumerate() {
            if commit.shards.keys().any(|shard| files.contains(shard)) && !live.has_commit(map, commit) {
                first.push(item(Part::Rows, &commit.entry, What::Commit(*map, number)));
            }
        }
    }
    let named = files.iter().filter(|id| !live.has_file(id)).filter_map(|id| Some((id, all.files.get(id)?)));
    let second =
        named.flat_map(|(id, files)| files.iter().map(|file| item(Part::Artefacts, file, What::File(*id))));
    let second = second.collect();
    [first, second]
}

impl Item {
    /// What it counts as; nobody misses a lock.
    pub fn tally(&self) -> Option<(Part, u64)> {
        (!matches!(self.what, What::Lock(_)) || self.entry.bytes > 0).then_some((self.part, self.entry.bytes))
    }

    pub fn file(&self) -> Option<&Digest> {
        match &self.what {
            What::File(id) => Some(id),
            _ => None,
        }
    }

    fn is_needed(&self, live: &Live<'_>) -> bool {
        match &self.what {
            What::Record(key) => live.has_key(key),
            What::Log(key) => live.has_log(key),
            What::Work(key) => live.has_work(key),
            What::Named(id) => live.has_named(id),
            What::File(id) => live.has_file(id),
            What::Commit(map, number) => {
                let commit = live.all.maps.get(map).and_then(|commits| commits.get(*number));
                commit.is_none_or(|commit| live.has_commit(map, commit))
            }
            What::Lock(key) => live.held.contains(key),
            What::Free => false,
        }
    }

    /// Removes it; `false` if it is gone already or somebody's lock.
    fn remove(&self) -> io::Result<bool> {
        let path = &self.entry.path;
        let removed = match self.what {
            What::Work(_) => fs_err::remove_dir_all(path),
            What::Lock(_) => match lock_if_free(path) {
                // Still locked when it goes.
                Some(_lock) => fs_err::remove_file(path),
                None => return Ok(false),
            },
            // A folder of somebody else that was set aside.
            What::Free if path.is_dir() => {
                remove_temp(path);
                return Ok(!path.exists());
            }
            _ => fs_err::remove_file(path),
        };
        match removed {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The way to what may be removed: the gate, and what processes publish.
pub(super) struct Gate<'a> {
    store: &'a Store,
    session: &'a File,
    file: File,
    marks: Marks,
    /// What other threads of this process use.
    at_work: Vec<Arc<Traffic>>,
}

impl<'a> Gate<'a> {
    pub fn open(store: &'a Store, session: &'a File) -> Result<Gate<'a>, CacheError> {
        let file = store.open_gate().map_err(|source| CacheError::writing(&store.inner.dir, 0, source))?;
        Ok(Gate { store, session, file, marks: Marks::default(), at_work: store.at_work() })
    }

    /// What was published since the last look. What is published later is seen by [`Gate::closed`].
    pub fn look(&mut self) -> Result<Vec<Digest>, CacheError> {
        let mut news = self.marks.news(self.store)?;
        news.extend(self.at_work.iter().flat_map(|traffic| traffic.held()));
        Ok(news)
    }

    /// Does something while nobody can begin to use anything, with `live` as it is then.
    pub fn closed<T>(
        &mut self,
        live: &mut Live<'_>,
        what: impl FnOnce(&mut Live<'_>) -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        // Most of it before the gate is closed.
        let news = self.look()?;
        live.hold(&news);
        self.shut(|news| {
            live.hold(&news);
            what(live)
        })
    }

    /// Does something while nobody can begin to use anything, with what was published since the last look.
    fn shut<T>(&mut self, what: impl FnOnce(Vec<Digest>) -> Result<T, CacheError>) -> Result<T, CacheError> {
        let locking = |source| CacheError::writing(&self.store.inner.dir, 0, source);
        touch(self.session).map_err(locking)?;
        self.file.lock().map_err(locking)?;
        let result = self.look().and_then(what);
        self.file.unlock().map_err(locking)?;
        result
    }

    /// Does something about each of these keys that nobody uses, while nobody can begin to. It must not hold anything itself.
    pub fn each_unused(
        &mut self,
        keys: &BTreeSet<Digest>,
        what: impl Fn(&Digest) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let mut used: BTreeSet<Digest> = self.look()?.into_iter().collect();
        let mut rest = keys.iter().peekable();
        while rest.peek().is_some() {
            self.shut(|news| {
                used.extend(news);
                let end = Instant::now() + STEP;
                while Instant::now() < end
                    && let Some(key) = rest.next()
                {
                    if !used.contains(key) {
                        what(key)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Removes what is still not needed; then the names are gone from the disk.
    pub fn remove(
        &mut self,
        items: &[Item],
        live: &mut Live<'_>,
        freed: &mut Freed,
    ) -> Result<(), CacheError> {
        let mut folders: BTreeSet<&Path> = BTreeSet::new();
        let mut rest = items.iter().peekable();
        while rest.peek().is_some() {
            self.closed(live, |live| {
                let end = Instant::now() + STEP;
                while Instant::now() < end
                    && let Some(item) = rest.next()
                {
                    if item.is_needed(live) {
                        freed.in_use += u64::from(item.tally().is_some());
                        continue;
                    }
                    let removed =
                        item.remove().map_err(|source| CacheError::writing(&item.entry.path, 0, source))?;
                    if removed {
                        item.tally().iter().for_each(|(part, bytes)| freed.add(*part, 1, *bytes));
                        folders.extend(item.entry.path.parent());
                    }
                }
                Ok(())
            })?;
        }
        for folder in folders {
            self.store.sync_folder(folder).map_err(|source| CacheError::writing(folder, 0, source))?;
            if items.iter().any(|item| matches!(item.what, What::Commit(..))) {
                // The folder of a row map of which nothing is left.
                let _ = fs_err::remove_dir(folder);
            }
        }
        Ok(())
    }
}
