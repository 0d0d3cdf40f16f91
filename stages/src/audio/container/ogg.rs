//! Ogg (RFC 3533) around Vorbis, Opus (RFC 7845) and FLAC.
//!
//! The pages are read here and not by symphonia, because a data set needs to know what a player passes over in silence:
//! a page that is missing, a checksum that is wrong, an end without its flag. Lengths are those of libsndfile: the
//! granule positions decide where the sound starts and ends. Of several streams side by side the first with sound is
//! read; streams one after the other (a chain) are read as one sound if rate and channels agree.

mod codec;
mod page;
mod sound;
mod stream;

use self::codec::{Codec, Content};
use self::page::{Item, Page, Pages};
use self::sound::Sound;
use self::stream::Stream;
use super::super::decode::{DecodeError, DecodeLimits, Pcm, check_length};

/// A part of the file: streams side by side, which begin together.
struct Link<'a> {
    /// The stream that is read, with its codec, once one is found.
    chosen: Option<(Stream<'a>, Codec)>,
    /// What the other streams hold.
    others: Vec<Content>,
    /// A page other than a first one has been seen.
    begun: bool,
    /// Granule position of the first page that ends a packet of sound.
    first: Option<u64>,
}

impl<'a> Link<'a> {
    fn new() -> Self {
        Self { chosen: None, others: Vec::new(), begun: false, first: None }
    }

    /// Adds the first page of a stream.
    fn begin(&mut self, page: &Page<'a>) {
        match Content::of(page.body) {
            Content::Audio(codec) if self.chosen.is_none() => {
                self.chosen = Some((Stream::new(page), codec));
            }
            content => self.others.push(content),
        }
    }

    /// Adds another page, and refuses a granule position that promises too long a sound.
    fn add(
        &mut self,
        page: &Page<'a>,
        skipped: &mut Option<String>,
        limits: &DecodeLimits,
    ) -> Result<(), DecodeError> {
        self.begun = true;
        let Some((stream, codec)) = self.chosen.as_mut().filter(|(s, _)| s.serial == page.serial) else {
            return Ok(());
        };
        stream.add(page, skipped.take());
        let rate = stream.packets.first().map_or(0, |head| codec.rate(head));
        if let (Ok(granule), true) = (u64::try_from(page.granule), page.granule > 0 && rate > 0) {
            let length = granule.saturating_sub(*self.first.get_or_insert(granule));
            check_length(length, rate, 1, limits)?;
        }
        Ok(())
    }

    /// How far the sound came, in seconds.
    fn seconds(&self) -> f64 {
        let Some((stream, codec)) = &self.chosen else { return 0.0 };
        let rate = stream.packets.first().map_or(0, |head| codec.rate(head));
        let granules = stream.marks.last().map_or(0, |mark| mark.granule);
        if rate == 0 { 0.0 } else { granules as f64 / f64::from(rate) }
    }
}

/// Decodes an Ogg file.
pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
    let mut links: Vec<Link<'_>> = Vec::new();
    let mut skipped = None;
    for item in Pages::new(bytes) {
        match item {
            Item::Page(page) => {
                if page.first && links.last().is_none_or(|link| link.begun) {
                    links.push(Link::new());
                }
                match links.last_mut() {
                    Some(link) if page.first => link.begin(&page),
                    Some(link) => link.add(&page, &mut skipped, limits)?,
                    None => {}
                }
            }
            Item::Skipped { at, length, sequence } => {
                skipped.get_or_insert_with(|| no_page(at, length, sequence));
            }
            Item::Rest { at, sequence, cut } => {
                let ended = links.last().is_none_or(|l| l.chosen.as_ref().is_none_or(|(s, _)| s.ended));
                // Tags or padding behind the last page belong to nobody.
                if cut && (!ended || bytes[at..].starts_with(b"OggS")) {
                    let seconds = links.last().map_or(0.0, Link::seconds);
                    let detail = format!("the Ogg page at byte {at} is cut off at byte {}", bytes.len());
                    return Err(DecodeError::Truncated { seconds, detail });
                }
                if !ended {
                    skipped = Some(no_page(at, bytes.len() - at, sequence));
                }
            }
        }
    }
    let mut sound = Sound::new(*limits);
    let mut others = Vec::new();
    for link in links {
        others.extend(link.others);
        if let Some((stream, codec)) = link.chosen {
            let rest = if stream.ended { None } else { skipped.take() };
            sound.add(stream, codec, rest)?;
        }
    }
    match sound.finish()? {
        Some(pcm) => Ok(pcm),
        None => Err(no_sound(&others)),
    }
}

/// Says what stands where a page should.
fn no_page(at: usize, length: usize, sequence: Option<u32>) -> String {
    match sequence {
        Some(n) => format!("Ogg page {n} at byte {at} is damaged: its checksum is wrong"),
        None => format!("{length} bytes at byte {at} are no Ogg page"),
    }
}

/// Names what the file holds instead of a sound that is decoded.
fn no_sound(others: &[Content]) -> DecodeError {
    let name = |audio: bool| {
        others.iter().find_map(|content| match (content, audio) {
            (Content::Unsupported(name), true) | (Content::Other(name), false) => Some(*name),
            _ => None,
        })
    };
    let detail = match (name(true), name(false)) {
        (Some(codec), _) => {
            format!("{codec} in Ogg is not decoded here; `decoder: ffmpeg` reads it, or convert it to FLAC")
        }
        (None, Some(other)) => format!("the Ogg file holds {other} and no sound"),
        (None, None) => {
            return DecodeError::Corrupt {
                seconds: 0.0,
                detail: "the first page of the Ogg stream is damaged or missing".into(),
            };
        }
    };
    DecodeError::Unsupported { detail }
}
