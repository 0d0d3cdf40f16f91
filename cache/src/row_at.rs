//! Where a row lies.

use crate::Digest;

/// Where a row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowAt {
    /// The hash of the row.
    pub hash: Digest,
    /// The shard's file id.
    pub shard: Digest,
    /// The row within the shard.
    pub row: u32,
}
