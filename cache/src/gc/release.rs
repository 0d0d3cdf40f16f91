//! Letting go of results that only pass through, while their pipeline runs or at its end.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::collection::Collection;
use super::inventory::Inventory;
use super::live::{Evicted, Live};
use super::policy::{Freed, Named, Policy};
use super::sweep::{Gate, items_of};
use crate::{CacheError, Digest};

/// Results that only pass through and that nobody waits for any more.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// Their keys. A key whose record says that somebody keeps it stays whole.
    pub keys: BTreeSet<Digest>,
    /// Keys that are pinned.
    pub pinned: BTreeSet<Digest>,
    /// Artefacts that this process still needs.
    pub needed: Vec<Digest>,
}

impl Collection<'_> {
    /// Does something about each of these keys that no other process uses, and that none begins to use before it is done. It must not hold
    /// anything itself.
    ///
    /// # Errors
    /// As [`Collection::run`], and those of `what`.
    pub fn each_unused(
        &self,
        keys: &BTreeSet<Digest>,
        what: impl Fn(&Digest) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        Gate::open(self.store, &self.session.0)?.each_unused(keys, what)
    }

    /// Frees the artefacts of these results with their files, shards and rows. What another record keeps, a pin, or a process that is at
    /// work stays, also where it only has the same content; nothing else is looked at. The records stay.
    ///
    /// It reads every record, manifest and row map once, whatever the number of results.
    ///
    /// # Errors
    /// As [`Collection::run`].
    pub fn release(
        self,
        release: &Release,
        names: &(dyn Fn(&[u8]) -> Option<Named> + Sync),
    ) -> Result<Freed, CacheError> {
        let mut gate = Gate::open(self.store, &self.session.0)?;
        let held = gate.look()?;
        let all = Inventory::of_results(self.store, names)?;
        let mut freed = Freed::default();
        let passing = |key: &&Digest| all.passing.contains(key) && !release.pinned.contains(key);
        let named = |key: &Digest| all.records.get(key).map_or(&[][..], |(_, ids)| ids).iter().copied();
        let mut artefacts: BTreeSet<Digest> = release.keys.iter().filter(passing).flat_map(named).collect();
        artefacts.retain(|id| all.artefacts.contains_key(id));
        if artefacts.is_empty() {
            return Ok(freed);
        }
        let manifests = artefacts.iter().filter_map(|id| all.artefacts.get(id));
        let files: BTreeSet<Digest> =
            manifests.flat_map(|(_, manifest)| manifest.files()).map(|file| file.id).collect();
        let commits = all.maps.values().flatten();
        let gone = commits.filter(|commit| {
            !commit.shards.is_empty() && commit.shards.keys().all(|shard| files.contains(shard))
        });
        let evicted = Evicted {
            keys: all
                .passing
                .iter()
                .filter(passing)
                .filter(|key| named(key).any(|id| artefacts.contains(&id)))
                .copied()
                .collect(),
            commits: gone.map(|commit| commit.entry.path.clone()).collect(),
            files: files.clone(),
            ..Evicted::default()
        };
        // Everything else stays.
        let policy = Policy { keys: release.pinned.clone(), ..Policy::default() };
        let mut live = Live::new(all, &policy, &held).without(evicted);
        live.hold(&release.needed);
        let [first, second] = items_of(&live, &artefacts, &files);
        gate.remove(&first, &mut live, &mut freed)?;
        gate.remove(&second, &mut live, &mut freed)?;
        self.store.inner.generation.fetch_add(1, Ordering::Release);
        Ok(freed)
    }
}
