//! What goes first where everything is too large.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::live::{Evicted, Live};
use crate::Digest;

/// Something that can go by itself.
enum Unit {
    /// The artefacts of a key.
    Result(Digest),
    /// Rows that no artefact names.
    Commit(Digest, usize),
    /// A working folder.
    Work(Digest),
}

/// Chooses what goes until so many bytes are free: the least recently used first, the largest first of one run.
///
/// Whatever several results share is free when the last of them goes.
pub(super) fn choose(live: &Live<'_>, mut too_many: u64) -> Evicted {
    let all = &live.all;
    let mut units: Vec<(u64, Reverse<u64>, Unit)> = Vec::new();
    let mut readers: BTreeMap<Digest, u64> = BTreeMap::new();
    for (key, (_, names)) in all.records.iter().filter(|(key, _)| live.has_key(key) && !live.goes(key)) {
        let mut bytes = 0;
        for (_, manifest) in names.iter().filter_map(|id| all.artefacts.get(id)) {
            *readers.entry(manifest.id).or_default() += 1;
            bytes += manifest.bytes();
        }
        if live.may_evict(key) {
            units.push((live.last_use(key), Reverse(bytes), Unit::Result(*key)));
        }
    }
    for manifest in live.artefacts() {
        manifest.files().for_each(|file| *readers.entry(file.id).or_default() += 1);
    }
    for (map, commits) in &all.maps {
        for (number, commit) in commits.iter().enumerate().filter(|(_, commit)| live.is_young(commit)) {
            commit.shards.keys().for_each(|shard| *readers.entry(*shard).or_default() += 1);
            if !live.held.contains(map) {
                units.push((commit.entry.written, Reverse(commit.entry.bytes), Unit::Commit(*map, number)));
            }
        }
    }
    for (key, work) in all.work.iter().filter(|(key, _)| live.has_work(key) && !live.held.contains(key)) {
        units.push((work.written, Reverse(work.bytes), Unit::Work(*key)));
    }
    units.sort_by_key(|(used, bytes, _)| (*used, *bytes));

    // What goes with the last reader of a content.
    let mut drop_one = |id: &Digest, bytes: u64| {
        let left = readers.get_mut(id).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left > 0 || live.held.contains(id) { 0 } else { bytes }
    };
    let file_bytes = |id: &Digest| all.files.get(id).into_iter().flatten().map(|file| file.bytes).sum();
    let mut evicted = Evicted::default();
    for (_, _, unit) in units {
        if too_many == 0 {
            break;
        }
        let mut freed = 0;
        match unit {
            Unit::Work(key) => {
                freed = all.work.get(&key).map_or(0, |work| work.bytes);
                evicted.work.insert(key);
            }
            Unit::Commit(map, number) => {
                let Some(commit) = all.maps.get(&map).and_then(|commits| commits.get(number)) else {
                    continue;
                };
                freed += commit.shards.keys().map(|shard| drop_one(shard, file_bytes(shard))).sum::<u64>();
                evicted.commits.insert(commit.entry.path.clone());
            }
            Unit::Result(key) => {
                let names = all.records.get(&key).map_or(&[][..], |(_, names)| names);
                for (entry, manifest) in names.iter().filter_map(|id| all.artefacts.get(id)) {
                    if drop_one(&manifest.id, 1) > 0 {
                        freed += entry.bytes;
                        freed += manifest
                            .files()
                            .map(|file| drop_one(&file.id, file_bytes(&file.id)))
                            .sum::<u64>();
                    }
                }
                evicted.keys.insert(key);
            }
        }
        too_many = too_many.saturating_sub(freed);
    }
    evicted
}
