//! The change from sparse shards to dense ones: made beside what is there, then put in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::compact::{Group, Used};
use super::inventory::Commit;
use super::live::Live;
use super::policy::Balance;
use crate::folder::ROWS;
use crate::index::Index;
use crate::row_file::{Entry, Remarks, RowFile, SKIPPED};
use crate::shard::{self, EXTENSION, Shard};
use crate::{CacheError, Digest, Durability, FileRef, Form, Manifest, Store};

/// A group, made ready to be switched.
pub(super) struct Switch {
    manifests: Vec<Manifest>,
    /// Row map -> what it has from then on.
    pub maps: BTreeMap<Digest, RowFile>,
    /// Shards and indexes that go.
    old: BTreeSet<Digest>,
    /// Shards and indexes that come, with their lengths.
    pub new: BTreeMap<Digest, u64>,
    /// Rows that go.
    pub rows: u64,
}

impl Group {
    /// Makes the new shards and everything that names them. With `write`, shards and indexes are written, which changes nothing yet.
    ///
    /// `None` if something is damaged: it is left to whoever reads it.
    pub fn prepare(&self, store: &Store, live: &Live<'_>, write: bool) -> Result<Option<Switch>, CacheError> {
        let mut switch = Switch {
            manifests: Vec::new(),
            maps: BTreeMap::new(),
            old: BTreeSet::new(),
            new: BTreeMap::new(),
            rows: 0,
        };
        let mut moved: BTreeMap<Digest, (FileRef, Vec<Option<u32>>)> = BTreeMap::new();
        for (id, used) in &self.shards {
            let Some(shard) = open_whole(store, id) else { return Ok(None) };
            let Some((bytes, places)) = without(&shard, used) else { return Ok(None) };
            switch.rows += places.iter().filter(|place| place.is_none()).count() as u64;
            switch.old.insert(*id);
            moved.insert(*id, (put(store, &bytes, write, &mut switch.new)?, places));
        }
        for id in &self.artefacts {
            let Some((_, manifest)) = live.all.artefacts.get(id) else { return Ok(None) };
            let Form::Rows { index: file, shards } = &manifest.form else { return Ok(None) };
            let Some(mut index) =
                store.read_file(manifest, file).ok().and_then(|bytes| Index::decode(&bytes).ok())
            else {
                return Ok(None);
            };
            let Some(shards) = relocate(&mut index, shards, &moved) else { return Ok(None) };
            let Ok(bytes) = index.encode() else { return Ok(None) };
            switch.old.insert(file.id);
            let index = put(store, &bytes, write, &mut switch.new)?;
            switch.manifests.push(Manifest { form: Form::Rows { index, shards }, ..manifest.clone() });
        }
        for map in &self.maps {
            let Some(commits) = live.all.maps.get(map) else { continue };
            let Some(file) = merge(commits, live, &moved) else { return Ok(None) };
            switch.maps.insert(*map, file);
        }
        // Another artefact may come to the same index.
        switch.old.retain(|id| !switch.new.contains_key(id));
        Ok(Some(switch))
    }
}

impl Switch {
    /// Counts what the switch changes, by what is there now.
    pub fn balance(&self, live: &Live<'_>) -> Result<Balance, CacheError> {
        let all = &live.all;
        let mut balance = Balance { removed: 0, added: 0 };
        let old = self.old.iter().filter_map(|id| all.files.get(id)).flatten();
        balance.removed += old.map(|file| file.bytes).sum::<u64>();
        balance.added += self
            .new
            .iter()
            .filter(|(id, _)| !all.files.contains_key(id))
            .map(|(_, bytes)| bytes)
            .sum::<u64>();
        for manifest in &self.manifests {
            balance.removed += all.artefacts.get(&manifest.id).map_or(0, |(entry, _)| entry.bytes);
            balance.added += manifest_bytes(manifest)?;
        }
        for (map, file) in &self.maps {
            let commits = all.maps.get(map).into_iter().flatten();
            balance.removed += commits.map(|commit| commit.entry.bytes).sum::<u64>();
            if !file.entries.is_empty() {
                balance.added += file.encode(map).0.len() as u64;
            }
        }
        Ok(balance)
    }

    /// Puts the new in the place of the old. The caller has made sure that nobody reads the old places and that nobody
    /// can begin to.
    ///
    /// New files are there before a manifest or a commit names them, and old ones go after the last that names them.
    pub fn apply(self, store: &Store, live: &mut Live<'_>) -> Result<Balance, CacheError> {
        let balance = self.balance(live)?;
        for manifest in self.manifests {
            let bytes = manifest_bytes(&manifest)?;
            live.replace(store.put_manifest(manifest)?, bytes);
        }
        for (map, file) in self.maps {
            let folder = store.inner.dir.join(ROWS).join(map.to_hex());
            let mut commits = Vec::new();
            let mut kept = PathBuf::new();
            if !file.entries.is_empty() {
                let (bytes, name) = file.encode(&map);
                kept = folder.join(name);
                store.write_file(&kept, &[&bytes], Durability::Directory)?;
                commits.extend(Commit::of(&kept, &file));
            }
            for old in live.replace_commits(&map, commits) {
                if old.entry.path != kept {
                    remove(&old.entry.path);
                }
            }
            // Empty if nothing of the map is left.
            let _ = fs_err::remove_dir(folder);
        }
        for id in &self.old {
            live.forget_file(id).iter().for_each(|file| remove(&file.path));
        }
        Ok(balance)
    }
}

/// What is not there is removed already.
fn remove(path: &std::path::Path) {
    if let Err(error) = fs_err::remove_file(path) {
        tracing::debug!("{error}");
    }
}

/// The length of the document that holds a manifest.
fn manifest_bytes(manifest: &Manifest) -> Result<u64, CacheError> {
    let bytes = crate::artefact::encode_manifest(manifest)?;
    Ok((bytes.len() + crate::document::TRAILER) as u64)
}

/// Opens a shard whose every byte is as it was written.
fn open_whole(store: &Store, id: &Digest) -> Option<Shard> {
    store.open_shard(id, None).ok().filter(|shard| Digest::of(shard.as_bytes()) == *id)
}

/// Encodes the rows that are used, and says where each row goes.
fn without(shard: &Shard, used: &Used) -> Option<(Vec<u8>, Vec<Option<u32>>)> {
    let (mut rows, mut places) = (Vec::new(), Vec::with_capacity(shard.rows()));
    for row in 0..shard.rows() {
        let place = used.has(row).then_some(rows.len() as u32);
        if place.is_some() {
            rows.push(shard.peek(row)?.to_row());
        }
        places.push(place);
    }
    Some((shard::encode(rows, shard.precision()).ok()?, places))
}

fn put(
    store: &Store,
    bytes: &[u8],
    write: bool,
    new: &mut BTreeMap<Digest, u64>,
) -> Result<FileRef, CacheError> {
    let file = if write {
        store.put_file(bytes, EXTENSION)?
    } else {
        FileRef { id: Digest::of(bytes), bytes: bytes.len() as u64, extension: EXTENSION.to_owned() }
    };
    new.insert(file.id, file.bytes);
    Ok(file)
}

/// Gives the clips of an index their new places, and the shards in the order of their ids.
fn relocate(
    index: &mut Index,
    shards: &[FileRef],
    moved: &BTreeMap<Digest, (FileRef, Vec<Option<u32>>)>,
) -> Option<Vec<FileRef>> {
    let target = |shard: &FileRef| moved.get(&shard.id).map_or(shard, |(new, _)| new).clone();
    let mut all: Vec<FileRef> = shards.iter().map(target).collect();
    all.sort_by_key(|shard| shard.id);
    all.dedup();
    let new: Vec<(u32, Option<&Vec<Option<u32>>>)> = shards
        .iter()
        .map(|shard| {
            let number = all.binary_search_by_key(&target(shard).id, |shard| shard.id).ok()?;
            Some((u32::try_from(number).ok()?, moved.get(&shard.id).map(|(_, places)| places)))
        })
        .collect::<Option<_>>()?;
    for (number, row) in &mut index.places {
        let (shard, places) = *new.get(*number as usize)?;
        if let Some(places) = places {
            *row = (*places.get(*row as usize)?)?;
        }
        *number = shard;
    }
    Some(all)
}

/// Puts the commits of a map into one, without rows that are gone.
fn merge(
    commits: &[Commit],
    live: &Live<'_>,
    moved: &BTreeMap<Digest, (FileRef, Vec<Option<u32>>)>,
) -> Option<RowFile> {
    let mut merged =
        RowFile { shards: Vec::new(), entries: Vec::new(), reasons: Vec::new(), remarks: Remarks::new() };
    let mut numbers: BTreeMap<Digest, u32> = BTreeMap::new();
    for commit in commits {
        let bytes = fs_err::read(&commit.entry.path).ok()?;
        let mut file = RowFile::decode(&commit.entry.path, &bytes)?;
        for entry in file.entries {
            if entry.shard == SKIPPED {
                let row = merged.reasons.len() as u32;
                merged.reasons.push(file.reasons.get(entry.row as usize)?.clone());
                merged.entries.push(Entry { row, ..entry });
                continue;
            }
            let old = file.shards.get(entry.shard as usize)?;
            let (target, row) = match moved.get(&old.id) {
                Some((new, places)) => match places.get(entry.row as usize)? {
                    Some(row) => (new, *row),
                    None => continue,
                },
                None if live.has_file(&old.id) => (old, entry.row),
                None => continue,
            };
            let shard = *numbers.entry(target.id).or_insert_with(|| {
                merged.shards.push(target.clone());
                merged.shards.len() as u32 - 1
            });
            if let Some((known, remark)) = file.remarks.remove_entry(&(entry.input, entry.hash)) {
                merged.remarks.insert(known, remark);
            }
            merged.entries.push(Entry { shard, row, ..entry });
        }
    }
    merged.entries.sort_by(Entry::order);
    merged.entries.dedup();
    Some(merged)
}
