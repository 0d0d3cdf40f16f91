//! Clips and where their rows lie, gathered before they become an artefact.

use std::collections::BTreeMap;

use crate::index::Index;
use crate::texts::Texts;
use crate::{CacheError, Digest, RowAt};

/// Gathers the clips of a dense artefact for [`crate::Store::put_rows`]; the order in which they come does not matter.
#[derive(Default)]
pub struct IndexBuilder {
    ids: Texts,
    hashes: Vec<Digest>,
    /// Number of the shard, in the order in which shards were first seen, and row in it.
    places: Vec<(u32, u32)>,
    numbers: BTreeMap<Digest, u32>,
    /// The last shard: most rows lie in the one of the row before.
    last: Option<(Digest, u32)>,
    remarks: Vec<(String, String)>,
    skipped: Vec<(String, String)>,
}

impl IndexBuilder {
    /// Adds a clip with a row.
    pub fn push(&mut self, clip_id: &str, row: &RowAt) {
        let number = match self.last {
            Some((shard, number)) if shard == row.shard => number,
            _ => {
                let next = self.numbers.len() as u32;
                *self.numbers.entry(row.shard).or_insert(next)
            }
        };
        self.last = Some((row.shard, number));
        self.ids.push(clip_id);
        self.hashes.push(row.hash);
        self.places.push((number, row.row));
    }

    /// Adds a remark on a clip that has a row.
    pub fn remark(&mut self, clip_id: &str, remark: &str) {
        self.remarks.push((clip_id.to_owned(), remark.to_owned()));
    }

    /// Adds a clip without a row, with the reason.
    pub fn skip(&mut self, clip_id: &str, reason: &str) {
        self.skipped.push((clip_id.to_owned(), reason.to_owned()));
    }

    /// Returns the number of clips with a row.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Says whether no clip has a row.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the clips with a remark, each with it.
    pub fn remarks(&self) -> &[(String, String)] {
        &self.remarks
    }

    /// Returns the clips without a row, each with its reason.
    pub fn skipped(&self) -> &[(String, String)] {
        &self.skipped
    }

    /// Sorts the clips, and numbers the shards by their ids, which are returned in that order.
    pub(crate) fn finish(mut self) -> Result<(Index, Vec<Digest>), CacheError> {
        self.sort();
        self.remarks.sort_unstable();
        self.skipped.sort_unstable();
        self.check_unique()?;
        let mut renumbered = vec![0; self.numbers.len()];
        for (new, old) in (0..).zip(self.numbers.values()) {
            renumbered[*old as usize] = new;
        }
        for (shard, _) in &mut self.places {
            *shard = renumbered[*shard as usize];
        }
        let shards = self.numbers.into_keys().collect();
        let IndexBuilder { ids, hashes, places, remarks, skipped, .. } = self;
        Ok((Index { ids, hashes, places, remarks, skipped }, shards))
    }

    fn sort(&mut self) {
        if self.ids.iter().is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..self.ids.len()).collect();
        order.sort_unstable_by(|&a, &b| self.ids[a].cmp(&self.ids[b]));
        self.ids = order.iter().map(|&i| &self.ids[i]).collect();
        self.hashes = order.iter().map(|&i| self.hashes[i]).collect();
        self.places = order.iter().map(|&i| self.places[i]).collect();
    }

    fn check_unique(&self) -> Result<(), CacheError> {
        let twice = |id: &str| Err(CacheError::invalid(format!("clip `{id}` occurs twice in one artefact")));
        if let Some((id, _)) = self.ids.iter().zip(self.ids.iter().skip(1)).find(|(a, b)| a == b) {
            return twice(id);
        }
        if let Some(pair) = self.skipped.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return twice(&pair[0].0);
        }
        if let Some(pair) = self.remarks.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(CacheError::invalid(format!("clip `{}` has two remarks", pair[0].0)));
        }
        if let Some((id, _)) = self.remarks.iter().find(|(id, _)| self.ids.binary_search(id).is_none()) {
            return Err(CacheError::invalid(format!("clip `{id}` has a remark but no row")));
        }
        match self.skipped.iter().find(|(id, _)| self.ids.binary_search(id).is_some()) {
            Some((id, _)) => twice(id),
            None => Ok(()),
        }
    }
}
