//! Sparse shards: more than half of their bytes are rows that no artefact has any more. They are written anew without these,
//! and what names them, manifests with their indexes and row maps, is changed to the new places. No content id changes.

use std::collections::{BTreeMap, BTreeSet};

use super::live::Live;
use crate::index::Index;
use crate::{Digest, FileRef, Form, Store};

/// Which rows of a shard artefacts have; those beyond the end are not used.
#[derive(Default)]
pub(super) struct Used(Vec<bool>);

impl Used {
    pub fn has(&self, row: usize) -> bool {
        self.0.get(row).copied().unwrap_or(false)
    }

    fn add(&mut self, row: usize) {
        if self.0.len() <= row {
            self.0.resize(row + 1, false);
        }
        self.0[row] = true;
    }
}

/// Shards that go together with everything that names them.
#[derive(Default)]
pub(super) struct Group {
    /// Sparse shards with the rows that stay.
    pub shards: BTreeMap<Digest, Used>,
    /// Artefacts that stay and have rows in these shards.
    pub artefacts: BTreeSet<Digest>,
    /// Row maps that name them.
    pub maps: BTreeSet<Digest>,
    /// Whatever may be held by a process that still reads the old places.
    pub parties: BTreeSet<Digest>,
}

/// Finds what is sparse and held by nobody.
pub(super) fn sparse(store: &Store, live: &Live<'_>) -> Vec<Group> {
    let mut used: BTreeMap<Digest, Used> = BTreeMap::new();
    let mut unknown: BTreeSet<Digest> = BTreeSet::new();
    for manifest in live.artefacts() {
        let Form::Rows { index: file, shards } = &manifest.form else { continue };
        let bytes = store.read_file(manifest, file).ok();
        match bytes.and_then(|bytes| Index::decode(&bytes).ok()) {
            Some(index) => mark(&index, shards, &mut used),
            // Nobody knows which rows it has.
            None => unknown.extend(shards.iter().map(|shard| shard.id)),
        }
    }
    // A run that was killed may go on with rows of these.
    let commits = live.all.maps.values().flatten().filter(|commit| live.is_young(commit));
    unknown.extend(commits.flat_map(|commit| commit.shards.keys()));
    used.retain(|id, rows| !unknown.contains(id) && is_sparse(store, id, rows));
    let namers = Namers::new(live, &used);
    let mut groups: Vec<Group> = Vec::new();
    while let Some((id, rows)) = used.pop_first() {
        let group = Group::around(id, rows, live, &namers, &mut used);
        if group.parties.is_disjoint(&live.held) {
            groups.push(group);
        }
    }
    let mut grouped: BTreeSet<Digest> = groups.iter().flat_map(|group| group.maps.iter().copied()).collect();
    for map in live.all.maps.keys().filter(|map| is_sparse_map(live, map)) {
        if grouped.insert(*map) && !live.held.contains(map) {
            let (maps, parties) = (BTreeSet::from([*map]), BTreeSet::from([*map]));
            groups.push(Group { maps, parties, ..Group::default() });
        }
    }
    groups
}

fn mark(index: &Index, shards: &[FileRef], used: &mut BTreeMap<Digest, Used>) {
    let mut all: Vec<Used> = shards.iter().map(|shard| used.remove(&shard.id).unwrap_or_default()).collect();
    for &(number, row) in &index.places {
        if let Some(rows) = all.get_mut(number as usize) {
            rows.add(row as usize);
        }
    }
    used.extend(shards.iter().zip(all).map(|(shard, rows)| (shard.id, rows)));
}

/// Compares the bytes of dead rows with those of the file. A shard that cannot be read is left as it is.
fn is_sparse(store: &Store, id: &Digest, used: &Used) -> bool {
    let Ok(shard) = store.open_shard(id, None) else { return false };
    let dead = (0..shard.rows()).filter(|row| !used.has(*row));
    2 * dead.filter_map(|row| shard.row_bytes(row)).sum::<u64>() > shard.bytes()
}

/// Whether more than half of what a row map remembers is of shards that go.
fn is_sparse_map(live: &Live<'_>, map: &Digest) -> bool {
    let commits = live.all.maps.get(map).into_iter().flatten().filter(|commit| live.has_commit(map, commit));
    let (mut dead, mut all) = (0, 0);
    for (shard, rows) in commits.flat_map(|commit| &commit.shards) {
        all += rows;
        dead += if live.has_file(shard) { 0 } else { *rows };
    }
    2 * dead > all
}

/// What names a sparse shard, whether it stays or goes.
#[derive(Default)]
struct Namers {
    artefacts: BTreeMap<Digest, Vec<Digest>>,
    maps: BTreeMap<Digest, Vec<Digest>>,
}

impl Namers {
    fn new(live: &Live<'_>, sparse: &BTreeMap<Digest, Used>) -> Namers {
        let mut namers = Namers::default();
        for (id, (_, manifest)) in &live.all.artefacts {
            for shard in manifest.files().filter(|file| sparse.contains_key(&file.id)) {
                namers.artefacts.entry(shard.id).or_default().push(*id);
            }
        }
        for (map, commits) in &live.all.maps {
            let shards: BTreeSet<&Digest> = commits.iter().flat_map(|commit| commit.shards.keys()).collect();
            for shard in shards.into_iter().filter(|shard| sparse.contains_key(shard)) {
                namers.maps.entry(*shard).or_default().push(*map);
            }
        }
        namers
    }
}

impl Group {
    /// Takes a shard and everything that is connected with it out of `sparse`.
    fn around(
        id: Digest,
        rows: Used,
        live: &Live<'_>,
        namers: &Namers,
        sparse: &mut BTreeMap<Digest, Used>,
    ) -> Group {
        let mut group = Group::default();
        let mut next = vec![(id, rows)];
        while let Some((id, rows)) = next.pop() {
            let mut reached: BTreeSet<Digest> = BTreeSet::new();
            for artefact in namers.artefacts.get(&id).into_iter().flatten() {
                if group.parties.insert(*artefact)
                    && let Some((_, manifest)) = live.all.artefacts.get(artefact)
                {
                    reached.extend(manifest.files().map(|file| file.id));
                    if live.has_named(artefact) {
                        group.artefacts.insert(*artefact);
                    }
                }
            }
            for map in namers.maps.get(&id).into_iter().flatten() {
                if group.maps.insert(*map) {
                    let commits = live.all.maps.get(map).into_iter().flatten();
                    reached.extend(commits.flat_map(|commit| commit.shards.keys()));
                }
            }
            group.parties.insert(id);
            group.shards.insert(id, rows);
            next.extend(reached.iter().filter_map(|id| sparse.remove_entry(id)));
        }
        group.parties.extend(&group.maps);
        group
    }
}
