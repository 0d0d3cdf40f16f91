//! Reading and writing of small binary files that end with a checksum.

use crate::{Digest, Hasher};

/// Appends the checksum of everything before it, bound to `domain`.
pub(crate) fn seal(domain: &str, mut bytes: Vec<u8>) -> (Vec<u8>, Digest) {
    let digest = Hasher::new(domain).bytes(&bytes).finish();
    bytes.extend(digest.0);
    (bytes, digest)
}

/// Returns what [`seal`] was given and its checksum, or `None` if a byte differs.
pub(crate) fn unseal<'a>(domain: &str, bytes: &'a [u8]) -> Option<(&'a [u8], Digest)> {
    let (body, checksum) = bytes.split_last_chunk::<32>()?;
    let digest = Hasher::new(domain).bytes(body).finish();
    (digest.0 == *checksum).then_some((body, digest))
}

/// A cursor whose every read is checked.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.chunk().map(i64::from_le_bytes)
    }

    pub(crate) fn digest(&mut self) -> Option<Digest> {
        self.chunk().map(Digest)
    }

    /// Reads a count of records of at least `size` bytes each, refusing more than can follow.
    pub(crate) fn count(&mut self, size: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(size)? <= self.0.len()).then_some(count)
    }

    pub(crate) fn short_bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.u32()?).ok()?;
        self.take(count)
    }
}

/// Appends a byte string with a 32-bit length, cut at that length.
pub(crate) fn push_short_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(count.to_le_bytes());
    out.extend(&bytes[..count as usize]);
}
