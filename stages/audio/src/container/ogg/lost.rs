//! Streams whose first page is damaged or missing, so that nobody knows what they hold.

use super::page::Page;

/// A stream without a first page.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) serial: u32,
    /// What stands in the place of its first page.
    why: String,
    pages: usize,
    /// The last granule position.
    granule: u64,
    kind: Kind,
}

/// What the second header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vorbis,
    Opus,
    Other,
}

impl Lost {
    /// Starts with the first page that is there.
    pub(super) fn new(page: &Page<'_>, skipped: Option<String>) -> Self {
        let kind = match page.body {
            body if body.starts_with(b"\x03vorbis") => Kind::Vorbis,
            body if body.starts_with(b"OpusTags") => Kind::Opus,
            _ => Kind::Other,
        };
        let why = skipped.unwrap_or_else(|| "the first page of an Ogg stream is missing".to_owned());
        let mut lost = Self { serial: page.serial, why, pages: 0, granule: 0, kind };
        lost.add(page);
        lost
    }

    pub(super) fn add(&mut self, page: &Page<'_>) {
        self.pages += 1;
        self.granule = self.granule.max(u64::try_from(page.granule).unwrap_or(0));
    }

    /// Says what is left out, where `rate` is that of the streams around, Hz.
    pub(super) fn told(&self, rate: Option<u32>) -> String {
        let rate = match self.kind {
            Kind::Opus => Some(48_000),
            Kind::Vorbis => rate,
            Kind::Other => None,
        };
        let length = match rate.filter(|_| self.granule > 0) {
            Some(rate) => format!(", about {:.3} s of sound", self.granule as f64 / f64::from(rate)),
            None => String::new(),
        };
        let pages = if self.pages == 1 { "page is" } else { "pages are" };
        format!("{}: {} more {pages} of no use without it{length}", self.why, self.pages)
    }
}
