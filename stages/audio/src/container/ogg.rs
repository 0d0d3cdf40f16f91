//! Ogg (RFC 3533) around Vorbis, Opus (RFC 7845) and FLAC.
//!
//! The pages are read here and not by symphonia, because a data set needs to know what a player passes over in silence:
//! a page that is missing, a checksum that is wrong, an end without its flag. Lengths are those of libsndfile: the
//! granule positions decide where the sound starts and ends. Of several streams side by side the first with sound is
//! read; streams one after the other (a chain) are read as one sound if rate and channels agree. A remark names those that
//! cannot be read.

mod codec;
mod lost;
mod page;
mod sound;
mod stream;

use sndpipe_artefacts::audio::DecodeLimits;

use self::codec::{Codec, Content};
use self::lost::Lost;
use self::page::{Item, Page, Pages};
use self::sound::Sound;
use self::stream::Stream;
use super::super::decode::{DecodeError, Pcm, check_length};

/// A part of the file: streams side by side, which begin together.
struct Link<'a> {
    /// The stream that is read, with its codec, once one is found.
    chosen: Option<(Stream<'a>, Codec)>,
    /// What the other streams hold.
    others: Vec<Content>,
    /// The streams that begin here.
    serials: Vec<u32>,
    /// Streams without a first page.
    lost: Vec<Lost>,
    /// A page other than a first one has been seen.
    begun: bool,
    /// Granule position of the first page that ends a packet of sound.
    first: Option<u64>,
}

impl<'a> Link<'a> {
    fn new() -> Self {
        let (others, serials, lost) = (Vec::new(), Vec::new(), Vec::new());
        Self { chosen: None, others, serials, lost, begun: false, first: None }
    }

    /// Adds the first page of a stream.
    fn begin(&mut self, page: &Page<'a>) {
        self.serials.push(page.serial);
        match Content::of(page.body) {
            Content::Audio(codec) if self.chosen.is_none() => {
                self.chosen = Some((Stream::new(page), codec));
            }
            content => self.others.push(content),
        }
    }

    /// Whether what follows, unless it belongs to a stream that begins here, is another part of the file.
    fn ended(&self) -> bool {
        self.chosen.as_ref().is_some_and(|(stream, _)| stream.ended)
    }

    /// Adds a page of a stream that begins nowhere.
    fn lose(&mut self, page: &Page<'_>, skipped: &mut Option<String>) {
        self.begun = true;
        match self.lost.iter_mut().find(|lost| lost.serial == page.serial) {
            Some(lost) => lost.add(page),
            None => self.lost.push(Lost::new(page, skipped.take())),
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
                let stray = |link: &Link<'_>| !link.serials.contains(&page.serial);
                let elsewhere = |link: &Link<'_>| {
                    stray(link) && link.ended() && link.lost.iter().all(|lost| lost.serial != page.serial)
                };
                if !page.first && links.last().is_none_or(elsewhere) {
                    links.push(Link::new());
                }
                match links.last_mut() {
                    Some(link) if page.first => link.begin(&page),
                    Some(link) if stray(link) => link.lose(&page, &mut skipped),
                    Some(link) => link.add(&page, &mut skipped, limits)?,
                    None => {}
                }
            }
            Item::Skipped { at, length, sequence } => {
                skipped.get_or_insert_with(|| no_page(at, length, sequence));
            }
            Item::Rest { at, sequence, cut } => {
                let ended = links.last().is_none_or(|link| link.chosen.is_none() || link.ended());
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
        if link.chosen.is_none() {
            link.others.iter().filter_map(Content::left_out).for_each(|detail| sound.remark(detail));
        }
        others.extend(link.others);
        let mut rate = sound.rate();
        if let Some((stream, codec)) = link.chosen {
            let rest = if stream.ended { None } else { skipped.take() };
            sound.add(stream, codec, rest)?;
            rate = rate.or(sound.rate());
        }
        link.lost.iter().map(|lost| lost.told(rate)).for_each(|detail| sound.remark(detail));
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
            (Content::Unknown, false) => Some("an unknown codec"),
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
