//! The binary form of one commit to a row map.
//!
//! `SNDROWS2`, then counts, then the shards (id, length), then records of 72 bytes (input, hash, shard, row) by
//! input, then the reasons of skipped rows, then the remarks on rows (input, hash, text), then a checksum. The file is named by the hash of
//! that checksum and its map's key, so that a file of one map in the folder of another is damage.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use crate::codec::{Reader, push_short_bytes, seal, unseal};
use crate::shard::EXTENSION;
use crate::{Digest, FileRef, Hasher};

const MAGIC: &[u8] = b"SNDROWS2";

/// Stands for the shard of a row that was skipped.
pub(crate) const SKIPPED: u32 = u32::MAX;

/// What one input row became: a row of the shard with this number, or the reason numbered `row`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) input: Digest,
    pub(crate) hash: Digest,
    pub(crate) shard: u32,
    pub(crate) row: u32,
}

impl Entry {
    /// Orders by input; among equal inputs rows come before skips, then any fixed order.
    pub(crate) fn order(&self, other: &Entry) -> Ordering {
        let rest = |entry: &Entry| (entry.shard == SKIPPED, entry.hash, entry.shard, entry.row);
        self.input.cmp(&other.input).then_with(|| rest(self).cmp(&rest(other)))
    }
}

/// One commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RowFile {
    pub(crate) shards: Vec<FileRef>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) reasons: Vec<String>,
    pub(crate) remarks: Remarks,
}

/// Remarks on rows, by the input and the hash of the row: few rows have one.
pub(crate) type Remarks = BTreeMap<(Digest, Digest), String>;

impl RowFile {
    /// Encodes the commit to the map of a key and returns its file name.
    pub(crate) fn encode(&self, map: &Digest) -> (Vec<u8>, String) {
        let mut out = MAGIC.to_vec();
        out.extend((self.shards.len() as u64).to_le_bytes());
        for shard in &self.shards {
            out.extend(shard.id.0);
            out.extend(shard.bytes.to_le_bytes());
        }
        out.extend((self.entries.len() as u64).to_le_bytes());
        for entry in &self.entries {
            out.extend(entry.input.0);
            out.extend(entry.hash.0);
            out.extend(entry.shard.to_le_bytes());
            out.extend(entry.row.to_le_bytes());
        }
        out.extend((self.reasons.len() as u64).to_le_bytes());
        for reason in &self.reasons {
            push_short_bytes(&mut out, reason.as_bytes());
        }
        out.extend((self.remarks.len() as u64).to_le_bytes());
        for ((input, hash), remark) in &self.remarks {
            out.extend(input.0);
            out.extend(hash.0);
            push_short_bytes(&mut out, remark.as_bytes());
        }
        let (bytes, checksum) = seal("row map", out);
        (bytes, name(map, &checksum))
    }

    /// Decodes a file in the folder of a map; `None` if a byte is wrong or it belongs elsewhere.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Option<RowFile> {
        let (body, checksum) = unseal("row map", bytes)?;
        let map = map_key(path.parent()?)?;
        if path.file_name()?.to_str()? != name(&map, &checksum) {
            return None;
        }
        let mut reader = Reader(body.strip_prefix(MAGIC)?);
        let mut shards = Vec::new();
        for _ in 0..reader.count(40)? {
            let (id, bytes) = (reader.digest()?, reader.u64()?);
            shards.push(FileRef { id, bytes, extension: EXTENSION.to_owned() });
        }
        let count = reader.count(72)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let (input, hash) = (reader.digest()?, reader.digest()?);
            entries.push(Entry { input, hash, shard: reader.u32()?, row: reader.u32()? });
        }
        let mut reasons = Vec::new();
        for _ in 0..reader.count(4)? {
            reasons.push(String::from_utf8_lossy(reader.short_bytes()?).into_owned());
        }
        let mut remarks = Remarks::new();
        for _ in 0..reader.count(68)? {
            let row = (reader.digest()?, reader.digest()?);
            remarks.insert(row, String::from_utf8_lossy(reader.short_bytes()?).into_owned());
        }
        let sound = |entry: &Entry| match entry.shard {
            SKIPPED => (entry.row as usize) < reasons.len(),
            shard => (shard as usize) < shards.len(),
        };
        (reader.0.is_empty() && entries.iter().all(sound)).then_some(RowFile {
            shards,
            entries,
            reasons,
            remarks,
        })
    }
}

fn name(map: &Digest, checksum: &Digest) -> String {
    format!("{}.rows", Hasher::new("row file").digest(map).digest(checksum).finish())
}

/// Returns the key of the map whose folder this is.
pub(crate) fn map_key(folder: &Path) -> Option<Digest> {
    folder.file_name()?.to_str()?.parse().ok()
}
