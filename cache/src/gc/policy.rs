//! What a collection is asked to keep, and what it tells about what went.

use std::collections::{BTreeMap, BTreeSet};

use crate::Digest;

/// What a collection keeps. Beside it stays what other processes hold, whatever is said here.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Keys whose results stay.
    pub keys: BTreeSet<Digest>,
    /// Keys whose records stay without what they name: results that only pass through.
    pub records: BTreeSet<Digest>,
    /// Keys that the latest runs used: their results stay, unless there is no room.
    pub recent: BTreeSet<Digest>,
    /// When each key was last used by a run that is known, in ms since 1970.
    pub used: BTreeMap<Digest, u64>,
    /// Results that were used or written since then stay; ms since 1970.
    pub since: u64,
    /// What no record names, rows and checkpoints of a run that was killed, stays if it was written since then; ms since 1970.
    pub unrecorded_since: u64,
    /// The files of results go, the least recently used first, until the cache has so many bytes. Their records stay.
    pub max_bytes: Option<u64>,
    /// Run records that go.
    pub runs: BTreeSet<String>,
}

/// What a record says to a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The artefacts and lists that it names.
    pub ids: Vec<Digest>,
    /// Whether it only passes through: its record stays while the artefacts go once nobody waits for them, unless another record keeps them.
    pub passing: bool,
}

/// Reads a record; `None` if it cannot be read.
pub(crate) type Names<'a> = &'a (dyn Fn(&[u8]) -> Option<Named> + Sync);

/// A part of the cache, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Records of stages, with their logs and lists of sources.
    Results,
    /// Descriptions of artefacts and the files that hold them.
    Artefacts,
    /// What row maps remember.
    Rows,
    /// Rows that nothing needs in shards that were written anew without them: the difference in bytes.
    DeadRows,
    /// Working folders: checkpoints of trainings.
    Checkpoints,
    /// Records of runs.
    Runs,
    /// Documents and row maps that cannot be read.
    Damaged,
    /// Temporary files and locks of processes that are gone.
    Strays,
}

impl Part {
    /// The words in a table and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Results => "results",
            Part::Artefacts => "artefacts",
            Part::Rows => "row maps",
            Part::DeadRows => "dead rows",
            Part::Checkpoints => "checkpoints",
            Part::Runs => "runs",
            Part::Damaged => "damaged",
            Part::Strays => "strays",
        }
    }
}

/// How much of a part went, or would go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files; for dead rows the rows.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a collection freed, or would free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// By part.
    pub parts: BTreeMap<Part, Tally>,
    /// Bytes of the cache before.
    pub before: u64,
    /// Files that would have gone and that a running process holds.
    pub in_use: u64,
    /// Bytes by which what must stay is larger than [`Policy::max_bytes`].
    pub over: u64,
}

/// What a switch takes away and adds, in bytes.
pub(super) struct Balance {
    pub removed: u64,
    pub added: u64,
}

impl Freed {
    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.values().map(|tally| tally.bytes).sum()
    }

    /// Counts what sparse shards became; without shards it was a row map that was sparse.
    pub(super) fn switched(&mut self, rows: u64, balance: &Balance) {
        let bytes = balance.removed.saturating_sub(balance.added);
        if rows > 0 { self.add(Part::DeadRows, rows, bytes) } else { self.add(Part::Rows, 1, bytes) }
    }

    pub(super) fn add(&mut self, part: Part, count: u64, bytes: u64) {
        let tally = self.parts.entry(part).or_default();
        tally.count += count;
        tally.bytes += bytes;
    }
}
