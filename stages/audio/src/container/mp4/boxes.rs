//! Boxes of ISO base media files and QuickTime atoms.

/// A box: its type and what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Atom<'a> {
    pub kind: [u8; 4],
    /// Where the box begins in the bytes it was read from.
    pub start: usize,
    /// The bytes after the header.
    pub body: &'a [u8],
    /// Bytes that the header promises and the file does not hold.
    pub missing: u64,
}

/// The boxes of a slice, one after the other; what is cut off is the last.
pub(super) fn atoms(bytes: &[u8]) -> impl Iterator<Item = Atom<'_>> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|r| r.len() >= 8)?;
        let kind = rest[4..8].try_into().ok()?;
        let (size, header) = match u64::from(u32_at(rest, 0)?) {
            0 => (rest.len() as u64, 8),
            1 => (u64_at(rest, 8)?, 16),
            n => (n, 8),
        };
        if size < header {
            return None;
        }
        let held = size.min(rest.len() as u64);
        let atom =
            Atom { kind, start: at, body: &rest[header as usize..held as usize], missing: size - held };
        at += held as usize;
        Some(atom)
    })
}

/// The first box of a type.
pub(super) fn first<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<Atom<'a>> {
    atoms(bytes).find(|atom| atom.kind == *kind)
}

/// What a box holds that is reached through others.
pub(super) fn path<'a>(bytes: &'a [u8], kinds: &[&[u8; 4]]) -> Option<&'a [u8]> {
    kinds.iter().try_fold(bytes, |inside, kind| first(inside, kind).map(|atom| atom.body))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}

/// Entries of `N` numbers of a table, which has version and flags, then a count, then the entries.
pub(super) fn table<const N: usize>(body: &[u8]) -> impl Iterator<Item = [u32; N]> + '_ {
    let count = u32_at(body, 4).unwrap_or(0) as usize;
    let entries = body.get(8..).unwrap_or_default().chunks_exact(4 * N).take(count);
    entries.map(|entry| std::array::from_fn(|i| u32_at(entry, 4 * i).unwrap_or(0)))
}
