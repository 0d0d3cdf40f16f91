//! Rows on their way into shards.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::row::Precision;
use crate::shard::{self, EXTENSION};
use crate::{CacheError, Digest, FileRef, Row, RowAt, Store};

/// At most this many bytes of values go into one shard.
const SHARD_BYTES: usize = 256 << 20;

impl Store {
    /// Writes rows into shards, equal ones once; on return they survive the process and a power failure.
    ///
    /// Returns where each row went, in order, and the shards.
    ///
    /// # Errors
    /// Full or unusable; [`CacheError::Invalid`] for a row of more than 2³¹ − 1 values.
    pub fn put_shards(&self, rows: Vec<Row>) -> Result<(Vec<RowAt>, Vec<FileRef>), CacheError> {
        let hashes: Vec<Digest> = rows.par_iter().with_min_len(64).map(Row::hash).collect();
        let first = first_of_equal(&hashes);

        // Each shard is of one precision and a bounded size.
        let mut places: Vec<(usize, u32)> = Vec::with_capacity(rows.len());
        let mut groups: Vec<Group> = Vec::new();
        let mut open: BTreeMap<Precision, usize> = BTreeMap::new();
        for (at, row) in rows.into_iter().enumerate() {
            if first[at] != at {
                places.push(places[first[at]]);
                continue;
            }
            if i32::try_from(row.values.len()).is_err() {
                return Err(CacheError::invalid(format!(
                    "a row of {} values cannot be stored; at most {} can",
                    row.values.len(),
                    i32::MAX
                )));
            }
            let precision = row.values.as_ref().precision();
            let bytes = row.values.len() * precision.bytes();
            let mut number =
                open.get(&precision).copied().filter(|&n| groups[n].bytes + bytes <= SHARD_BYTES);
            let number = *number.get_or_insert_with(|| {
                groups.push(Group { precision, bytes: 0, rows: Vec::new() });
                groups.len() - 1
            });
            open.insert(precision, number);
            let group = &mut groups[number];
            places.push((number, group.rows.len() as u32));
            group.bytes += bytes;
            group.rows.push(row);
        }

        let mut shards = Vec::with_capacity(groups.len());
        for group in groups {
            let bytes = shard::encode(group.rows, group.precision).map_err(|error| {
                CacheError::invalid(format!("rows cannot be written as Arrow IPC: {error}"))
            })?;
            shards.push(self.put_file(&bytes, EXTENSION)?);
        }
        let at = |(hash, (shard, row)): (Digest, (usize, u32))| RowAt { hash, shard: shards[shard].id, row };
        let at = hashes.into_iter().zip(places).map(at).collect();
        Ok((at, shards))
    }
}

struct Group {
    precision: Precision,
    bytes: usize,
    rows: Vec<Row>,
}

/// For each hash, where it first occurs.
fn first_of_equal(hashes: &[Digest]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.par_sort_unstable_by_key(|&at| (hashes[at], at));
    let mut first: Vec<usize> = (0..hashes.len()).collect();
    for pair in order.windows(2) {
        if hashes[pair[0]] == hashes[pair[1]] {
            first[pair[1]] = first[pair[0]];
        }
    }
    first
}
