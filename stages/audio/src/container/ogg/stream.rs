//! Pages of one logical stream to packets, and what is missing between them.

use std::borrow::Cow;

use super::page::Page;

/// What a page adds to the packets before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// How many packets have ended with this page.
    pub(super) packets: usize,
    /// The granule position at the end of the last of them.
    pub(super) granule: u64,
}

/// A place where packets are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    /// How many packets come before.
    pub(super) packets: usize,
    /// Why they are lost, such as "Ogg page 3 is missing".
    pub(super) detail: String,
    /// No sound is lost: the bytes that are out of place belong to nobody.
    pub(super) harmless: bool,
}

/// The packets of a logical stream.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    pub(super) serial: u32,
    pub(super) packets: Vec<Cow<'a, [u8]>>,
    pub(super) marks: Vec<Mark>,
    pub(super) holes: Vec<Hole>,
    /// The last page has its flag.
    pub(super) ended: bool,
    next_sequence: u32,
    part: Option<Cow<'a, [u8]>>,
}

impl<'a> Stream<'a> {
    /// Starts with the first page.
    pub(super) fn new(page: &Page<'a>) -> Self {
        let mut stream = Self {
            serial: page.serial,
            packets: Vec::new(),
            marks: Vec::new(),
            holes: Vec::new(),
            ended: false,
            next_sequence: page.sequence,
            part: None,
        };
        stream.add(page, None);
        stream
    }

    /// Adds a page; `skipped` says what stands between it and the page before it.
    pub(super) fn add(&mut self, page: &Page<'a>, skipped: Option<String>) {
        let gap = page.sequence.wrapping_sub(self.next_sequence);
        let missing = match gap {
            0 => None,
            1 => Some(format!("Ogg page {} is missing", self.next_sequence)),
            2..=0xffff => {
                Some(format!("Ogg pages {} to {} are missing", self.next_sequence, page.sequence - 1))
            }
            _ => Some(format!(
                "Ogg page {} follows page {}",
                page.sequence,
                self.next_sequence.wrapping_sub(1)
            )),
        };
        let lost = missing.is_some();
        if let Some(detail) = skipped.filter(|_| gap < 2).or(missing) {
            self.holes.push(Hole { packets: self.packets.len(), detail, harmless: !lost });
        }
        if lost {
            self.part = None;
        }
        self.next_sequence = page.sequence.wrapping_add(1);
        let before = self.packets.len();
        // The end of a packet whose start is lost is of no use, nor is a start without an end.
        let mut orphan = page.continued && self.part.is_none();
        if !page.continued {
            self.part = None;
        }
        let (mut from, mut to) = (0, 0);
        for (i, &length) in page.lacing.iter().enumerate() {
            to += usize::from(length);
            let ends = length < 255;
            if !ends && i + 1 < page.lacing.len() {
                continue;
            }
            let bytes = &page.body[from..to];
            from = to;
            if !orphan {
                let packet = match self.part.take() {
                    Some(part) => {
                        let mut whole = part.into_owned();
                        whole.extend_from_slice(bytes);
                        Cow::Owned(whole)
                    }
                    None => Cow::Borrowed(bytes),
                };
                if ends {
                    self.packets.push(packet);
                } else {
                    self.part = Some(packet);
                }
            }
            orphan &= !ends;
        }
        if let (true, Ok(granule)) = (self.packets.len() > before, u64::try_from(page.granule)) {
            self.marks.push(Mark { packets: self.packets.len(), granule });
        }
        self.ended |= page.last;
    }
}
