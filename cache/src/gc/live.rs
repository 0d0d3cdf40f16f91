//! What stays: the closure of what is asked for and of what processes hold.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::inventory::{Commit, Entry, Inventory};
use super::policy::Policy;
use crate::Digest;

/// What goes although the policy would keep it, for the sake of its size.
#[derive(Default)]
pub(super) struct Evicted {
    /// Keys whose artefacts go; the records stay.
    pub keys: BTreeSet<Digest>,
    pub commits: BTreeSet<PathBuf>,
    /// Shards that no commit keeps, however young it is.
    pub files: BTreeSet<Digest>,
    pub work: BTreeSet<Digest>,
}

/// What stays.
pub(super) struct Live<'a> {
    pub all: Inventory,
    policy: &'a Policy,
    evicted: Evicted,
    /// What other processes hold.
    pub held: BTreeSet<Digest>,
    keys: BTreeSet<Digest>,
    /// Keys that were used or written of late.
    timely: BTreeSet<Digest>,
    /// Artefacts and lists of sources.
    named: BTreeSet<Digest>,
    files: BTreeSet<Digest>,
}

impl<'a> Live<'a> {
    pub fn new(all: Inventory, policy: &'a Policy, held: &[Digest]) -> Live<'a> {
        let mut live = Live {
            all,
            policy,
            evicted: Evicted::default(),
            held: BTreeSet::new(),
            keys: BTreeSet::new(),
            timely: BTreeSet::new(),
            named: BTreeSet::new(),
            files: BTreeSet::new(),
        };
        live.hold(held);
        live.follow();
        live
    }

    /// The same with less.
    pub fn without(mut self, evicted: Evicted) -> Live<'a> {
        self.evicted = evicted;
        (self.keys, self.named, self.files) = Default::default();
        let held: Vec<Digest> = std::mem::take(&mut self.held).into_iter().collect();
        self.hold(&held);
        self.follow();
        self
    }

    /// Adds what processes hold, with everything that it leads to.
    pub fn hold(&mut self, ids: &[Digest]) {
        for id in ids {
            if !self.held.insert(*id) {
                continue;
            }
            self.keys.insert(*id);
            self.files.insert(*id);
            self.keep(*id);
            for name in self.all.records.get(id).map(|(_, names)| names.clone()).unwrap_or_default() {
                self.keep(name);
            }
            self.files
                .extend(self.all.maps.get(id).into_iter().flatten().flat_map(|commit| commit.shards.keys()));
        }
    }

    /// Follows what the policy keeps.
    fn follow(&mut self) {
        let policy = self.policy;
        let recent = policy.used.iter().filter(|(_, used)| **used >= policy.since).map(|(key, _)| key);
        let fresh = self.all.records.iter().filter(|(_, (entry, _))| entry.written >= policy.since);
        self.timely = recent.chain(&policy.recent).chain(fresh.map(|(key, _)| key)).copied().collect();
        self.keys.extend(self.timely.iter().chain(&policy.keys).chain(&policy.records));

        let (mut named, mut whole) = (Vec::new(), Vec::new());
        for key in &self.keys {
            let Some((_, names)) = self.all.records.get(key) else { continue };
            let target = if self.goes(key) { &mut named } else { &mut whole };
            target.extend(names.iter().copied());
        }
        whole.into_iter().for_each(|id| self.keep(id));
        // Of a result without its files the list of sources stays; an artefact without its files is none.
        self.named.extend(named.into_iter().filter(|id| !self.all.artefacts.contains_key(id)));
        let commits: Vec<Digest> = self
            .all
            .maps
            .values()
            .flatten()
            .filter(|commit| self.is_young(commit))
            .flat_map(|commit| commit.shards.keys().copied())
            .filter(|shard| !self.evicted.files.contains(shard))
            .collect();
        self.files.extend(commits);
    }

    /// Whether of a key only the record stays: it had to go, or its result passes through and nothing keeps it. What a run that was killed
    /// has passed on is younger than the last that is known.
    pub fn goes(&self, key: &Digest) -> bool {
        let young = || {
            let written = self.all.records.get(key).map_or(0, |(entry, _)| entry.written);
            written >= self.policy.unrecorded_since
        };
        if self.evicted.keys.contains(key) || self.policy.keys.contains(key) {
            return self.evicted.keys.contains(key);
        }
        if self.all.passing.contains(key) { !young() } else { !self.timely.contains(key) }
    }

    /// Keeps an artefact with its files, or a list of sources.
    fn keep(&mut self, id: Digest) {
        if self.named.insert(id)
            && let Some((_, manifest)) = self.all.artefacts.get(&id)
        {
            self.files.extend(manifest.files().map(|file| file.id));
        }
    }

    /// Says whether rows stay although no artefact may name them: a run that was killed committed them.
    pub fn is_young(&self, commit: &Commit) -> bool {
        commit.entry.written >= self.policy.unrecorded_since
            && !self.evicted.commits.contains(&commit.entry.path)
    }

    /// Whether the record and log of a key stay.
    pub fn has_key(&self, key: &Digest) -> bool {
        self.keys.contains(key)
    }

    /// Whether the log of a key stays.
    pub fn has_log(&self, key: &Digest) -> bool {
        let written = self.all.logs.get(key).map_or(0, |log| log.written);
        self.has_key(key) || written >= self.policy.unrecorded_since
    }

    /// Whether the working folder of a key stays.
    pub fn has_work(&self, key: &Digest) -> bool {
        let written = self.all.work.get(key).map_or(0, |work| work.written);
        let kept = self.has_key(key) || written >= self.policy.unrecorded_since;
        self.held.contains(key) || kept && !self.evicted.work.contains(key)
    }

    /// Whether an artefact or a list of sources stays.
    pub fn has_named(&self, id: &Digest) -> bool {
        self.named.contains(id)
    }

    /// Whether a file stays.
    pub fn has_file(&self, id: &Digest) -> bool {
        self.files.contains(id)
    }

    /// Whether a commit to a row map stays: some of its rows do, or it says of clips that they have none and others of the map stay.
    pub fn has_commit(&self, map: &Digest, commit: &Commit) -> bool {
        let stays = |commit: &Commit| {
            self.is_young(commit) || commit.shards.keys().any(|shard| self.files.contains(shard))
        };
        self.held.contains(map)
            || stays(commit)
            || commit.shards.is_empty() && self.all.maps.get(map).into_iter().flatten().any(stays)
    }

    /// Artefacts that stay.
    pub fn artefacts(&self) -> impl Iterator<Item = &crate::Manifest> {
        self.all.artefacts.iter().filter(|(id, _)| self.named.contains(id)).map(|(_, (_, manifest))| manifest)
    }

    /// Whether a key may lose its files: nothing but its age keeps it.
    pub fn may_evict(&self, key: &Digest) -> bool {
        !self.policy.keys.contains(key) && !self.held.contains(key)
    }

    /// When a key was last used, in ms since 1970.
    pub fn last_use(&self, key: &Digest) -> u64 {
        let written = self.all.records.get(key).map_or(0, |(entry, _)| entry.written);
        self.policy.used.get(key).copied().unwrap_or(0).max(written)
    }

    /// Follows a compaction: an artefact has other files now.
    pub fn replace(&mut self, manifest: crate::Manifest, bytes: u64) {
        self.files.extend(manifest.files().map(|file| file.id));
        if let Some((entry, old)) = self.all.artefacts.get_mut(&manifest.id) {
            entry.bytes = bytes;
            *old = manifest;
        }
    }

    /// Follows a compaction: a content is needed no more. Returns the files that have it.
    pub fn forget_file(&mut self, id: &Digest) -> Vec<Entry> {
        self.files.remove(id);
        self.all.files.remove(id).unwrap_or_default()
    }

    /// Follows a compaction: a row map has other commits now. Returns those that it had.
    pub fn replace_commits(&mut self, map: &Digest, commits: Vec<Commit>) -> Vec<Commit> {
        self.all.maps.insert(*map, commits).unwrap_or_default()
    }
}
