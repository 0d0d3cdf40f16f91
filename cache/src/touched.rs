//! Which rows of a shard were compared with their hashes in this process.

use std::sync::atomic::AtomicU64;

/// One bit for each row whose hash was compared in this process.
pub(crate) struct Touched {
    /// Length, modification, change and number of the file that the bits speak of.
    pub stat: (u64, i64, i64, i64, i64, u64),
    pub bits: Vec<AtomicU64>,
}
