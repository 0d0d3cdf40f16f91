//! Ogg pages (RFC 3533, section 6).

use super::super::u32_at;

/// The most places that are tried as the start of a page while damage is skipped.
const MAX_TRIES: usize = 4096;

/// A page whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    /// Which logical stream the page belongs to.
    pub(super) serial: u32,
    /// Number of the page within its logical stream, from 0.
    pub(super) sequence: u32,
    /// Granule position at the end of the last packet that ends here; -1 where none ends.
    pub(super) granule: i64,
    /// The first packet began on an earlier page.
    pub(super) continued: bool,
    /// The logical stream begins here.
    pub(super) first: bool,
    /// The logical stream ends here.
    pub(super) last: bool,
    /// Lengths of the segments; a packet ends with a segment of less than 255 bytes.
    pub(super) lacing: &'a [u8],
    /// The segments, one after the other.
    pub(super) body: &'a [u8],
}

/// What stands at a place of an Ogg file.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// A page.
    Page(Page<'a>),
    /// Bytes before the next page that are no page, and why they are none.
    Skipped {
        /// The first of the bytes.
        at: usize,
        /// How many there are.
        length: usize,
        /// The number of the damaged page, if its header can be read.
        sequence: Option<u32>,
    },
    /// Bytes behind the last page that are no page.
    Rest {
        /// The first of the bytes.
        at: usize,
        /// The number of the damaged page, if its header can be read.
        sequence: Option<u32>,
        /// They are the start of a page that the file does not hold to its end.
        cut: bool,
    },
}

/// The pages of a file, in order.
pub(super) struct Pages<'a> {
    bytes: &'a [u8],
    at: usize,
    table: [u32; 256],
    tries: usize,
}

impl<'a> Pages<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, table: crc_table(), tries: MAX_TRIES }
    }

    /// The page at `at` with its length in bytes, if one stands there whole and undamaged.
    fn page(&self, at: usize) -> Option<(Page<'a>, usize)> {
        let rest = self.bytes.get(at..)?;
        if !rest.starts_with(b"OggS\0") {
            return None;
        }
        let header = 27 + usize::from(*rest.get(26)?);
        let lacing = rest.get(27..header)?;
        let length = header + lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
        let page = rest.get(..length)?;
        if crc(&self.table, page) != u32_at(page, 22)? {
            return None;
        }
        let granule = i64::from_le_bytes(page.get(6..14)?.try_into().ok()?);
        let flags = page[5];
        let page = Page {
            serial: u32_at(page, 14)?,
            sequence: u32_at(page, 18)?,
            granule,
            continued: flags & 1 != 0,
            first: flags & 2 != 0,
            last: flags & 4 != 0,
            lacing,
            body: &page[header..],
        };
        Some((page, length))
    }

    /// The next place behind `at` where a page stands.
    fn next_page(&mut self, at: usize) -> Option<usize> {
        let mut from = at + 1;
        while self.tries > 0 {
            from += find(self.bytes.get(from..)?)?;
            self.tries -= 1;
            if self.page(from).is_some() {
                return Some(from);
            }
            from += 1;
        }
        None
    }
}

impl<'a> Iterator for Pages<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let at = self.at;
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        if let Some((page, length)) = self.page(at) {
            self.at += length;
            return Some(Item::Page(page));
        }
        let is_page = rest.starts_with(b"OggS");
        if let Some(next) = self.next_page(at) {
            self.at = next;
            let sequence = u32_at(rest, 18).filter(|_| is_page);
            return Some(Item::Skipped { at, length: next - at, sequence });
        }
        self.at = self.bytes.len();
        let length = rest.get(26).map(|&n| 27 + usize::from(n)).and_then(|header| {
            Some(header + rest.get(27..header)?.iter().map(|&n| usize::from(n)).sum::<usize>())
        });
        let is_start = is_page || (rest.len() < 4 && b"OggS".starts_with(rest));
        let sequence = u32_at(rest, 18).filter(|_| is_page);
        Some(Item::Rest { at, sequence, cut: is_start && length.is_none_or(|length| length > rest.len()) })
    }
}

/// Where the capture pattern stands first.
fn find(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == b'O')?;
        if bytes[at..].starts_with(b"OggS") {
            return Some(at);
        }
        at += 1;
    }
}

/// Table of the CRC-32 that Ogg uses: polynomial 0x04c11db7, no reflection, start 0.
fn crc_table() -> [u32; 256] {
    let mut table = [0u32; 256];
    for (i, entry) in (0u32..).zip(table.iter_mut()) {
        *entry = (0..8).fold(i << 24, |r, _| if r >> 31 == 1 { (r << 1) ^ 0x04c1_1db7 } else { r << 1 });
    }
    table
}

/// Checksum of a page, with its own checksum field taken as zero.
fn crc(table: &[u32; 256], page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0u32, |crc, (i, &byte)| {
        let byte = if (22..26).contains(&i) { 0 } else { byte };
        (crc << 8) ^ table[(((crc >> 24) as u8) ^ byte) as usize]
    })
}
