//! Chunks of the RIFF family and of AIFF: a name of four characters, a size, a body, and a byte of padding behind odd ones.
//!
//! Writers get sizes wrong around sound that is whole, so nothing here believes a size that leads nowhere.

use super::super::sound::Order;
use super::{u16_of, u32_of};

/// A chunk, by its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its name.
    pub id: [u8; 4],
    /// Where its body starts.
    pub body: usize,
    /// The size of its body as it is written, bytes.
    pub size: u32,
}

impl Chunk {
    /// The chunk whose name is at `at`.
    pub(super) fn at(bytes: &[u8], at: usize, order: Order) -> Option<Self> {
        let id = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(Self { id, body: at + 8, size: u32_of(bytes, at + 4, order)? })
    }

    /// The bytes of the body, as far as the file holds them.
    pub(super) fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        let end = self.body.saturating_add(self.size as usize).min(file.len());
        file.get(self.body..end).unwrap_or(&[])
    }

    /// An unsigned number of two bytes at `at` in the body.
    pub(super) fn u16(&self, file: &[u8], at: usize, order: Order) -> Option<u16> {
        u16_of(self.bytes(file), at, order)
    }

    /// An unsigned number of four bytes at `at` in the body.
    pub(super) fn u32(&self, file: &[u8], at: usize, order: Order) -> Option<u32> {
        u32_of(self.bytes(file), at, order)
    }

    /// Where the next chunk starts: behind the padding, or without it where a writer forgot it.
    fn next(&self, file: &[u8], known: &[[u8; 4]]) -> usize {
        let end = self.body.saturating_add(self.size as usize);
        if end.is_multiple_of(2) {
            return end;
        }
        let name = |at: usize| file.get(at..at + 4).and_then(|id| <[u8; 4]>::try_from(id).ok());
        let (bare, padded) = (name(end), name(end.saturating_add(1)));
        let is_known = |id: Option<[u8; 4]>| id.is_some_and(|id| known.contains(&id));
        let is_name = |id: Option<[u8; 4]>| id.is_some_and(is_name);
        if !is_known(padded) && (is_known(bare) || (is_name(bare) && !is_name(padded))) {
            end
        } else {
            end + 1
        }
    }
}

/// Whether four bytes can be the name of a chunk.
pub(super) fn is_name(id: [u8; 4]) -> bool {
    id.iter().all(|byte| (b' '..=b'~').contains(byte)) && id != *b"    "
}

/// Walks the chunks from `at` on, and ends where no chunk can be.
pub(super) fn walk<'a>(
    file: &'a [u8],
    at: usize,
    order: Order,
    known: &'a [[u8; 4]],
) -> impl Iterator<Item = Chunk> + 'a {
    let first = Chunk::at(file, at, order);
    std::iter::successors(first, move |chunk| Chunk::at(file, chunk.next(file, known), order))
        .take_while(|chunk| is_name(chunk.id))
}

/// Whether what starts at `at` is a list of whole chunks up to the end of the file.
pub(super) fn is_list(file: &[u8], at: usize, order: Order) -> bool {
    let mut end = at;
    for chunk in walk(file, at, order, &[]) {
        end = chunk.body.saturating_add(chunk.size as usize);
        if end > file.len() {
            return false;
        }
    }
    end > at && file.len() - end <= 1
}

/// Every place from `at` on where the chunk `id` may start, whatever the chunks around it say.
pub(super) fn search<'a>(
    file: &'a [u8],
    at: usize,
    id: [u8; 4],
    order: Order,
) -> impl Iterator<Item = Chunk> + 'a {
    let rest = file.get(at..).unwrap_or(&[]);
    rest.windows(4)
        .enumerate()
        .filter(move |(_, window)| *window == id)
        .filter_map(move |(i, _)| Chunk::at(file, at + i, order))
}
