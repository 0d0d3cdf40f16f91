//! WAV: RIFF, big-endian RIFX, and RF64/BW64 (EBU Tech 3306, ITU-R BS.2088) for sizes beyond 32 bits.
//!
//! Only `fmt ` and `data` decide what is read. The size of the whole file and other chunks are often wrong around samples
//! that are right, as libsndfile and ffmpeg know, too.

use super::super::decode::DecodeError;
use super::super::sound::{Order, Sound};
use super::chunks::{Chunk, is_list, search, walk};
use super::extent::Extent;
use super::u64_of;
use super::wave_format::Format;

/// Chunks that may stand before the samples.
const KNOWN: [[u8; 4]; 14] = [
    *b"fmt ", *b"data", *b"fact", *b"LIST", *b"ds64", *b"bext", *b"JUNK", *b"junk", *b"PAD ", *b"cue ",
    *b"smpl", *b"iXML", *b"FLLR", *b"PEAK",
];

/// The chunks that a WAV file is read by.
#[derive(Debug, Default)]
struct Chunks {
    format: Option<Chunk>,
    data: Option<Chunk>,
    fact: Option<Chunk>,
    ds64: Option<Chunk>,
}

impl Chunks {
    fn take(&mut self, chunk: Chunk) {
        let place = match &chunk.id {
            b"fmt " => &mut self.format,
            b"data" => &mut self.data,
            b"fact" => &mut self.fact,
            b"ds64" => &mut self.ds64,
            _ => return,
        };
        place.get_or_insert(chunk);
    }

    fn complete(&self) -> bool {
        self.format.is_some() && self.data.is_some()
    }
}

/// Finds the sound of a WAV file; `None` for other formats.
///
/// # Errors
/// [`DecodeError`] for a file that is cut off, has no description of its samples, or has a codec that is not decoded.
pub(super) fn open(file: &[u8]) -> Result<Option<Sound<'_>>, DecodeError> {
    let order = match file.get(..4) {
        Some(b"RIFF" | b"RF64" | b"BW64") => Order::Little,
        Some(b"RIFX") => Order::Big,
        _ => return Ok(None),
    };
    if file.get(8..12) != Some(b"WAVE") {
        return Ok(None);
    }
    let mut chunks = Chunks::default();
    for chunk in walk(file, 12, order, &KNOWN) {
        chunks.take(chunk);
        if chunks.complete() {
            break;
        }
    }
    if !chunks.complete() {
        resynchronise(file, order, &mut chunks);
    }
    let Some(data) = chunks.data else {
        return Err(DecodeError::Truncated {
            seconds: 0.0,
            detail: "the file ends before its `data` chunk".into(),
        });
    };
    let Some(format) = chunks.format else {
        return Err(DecodeError::Corrupt {
            seconds: 0.0,
            detail: "no `fmt ` chunk describes the samples of this WAV file".into(),
        });
    };
    let format = Format::parse(format.bytes(file), order)?;
    let extent = extent(file, &chunks, data, order);
    let samples = chunks.fact.and_then(|c| c.u32(file, 0, order)).filter(|&n| n > 0);
    let sound = Sound {
        data: extent.bytes(file, data.body),
        sample_rate: format.sample_rate,
        channels: format.channels,
        coding: format.coding(extent.bytes(file, data.body), order, "WAV")?,
        declared: samples.map(u64::from).filter(|_| format.in_blocks()),
    };
    extent.check(&sound)?;
    Ok(Some(sound))
}

/// How many bytes of samples the header promises.
fn extent(file: &[u8], chunks: &Chunks, data: Chunk, order: Order) -> Extent {
    let held = file.len().saturating_sub(data.body);
    match (data.size, chunks.ds64.and_then(|c| u64_of(c.bytes(file), 8, order))) {
        (u32::MAX, Some(size)) if size > 0 => Extent::new(size, held),
        // What was written into a pipe has 0 for its size; an empty sound has nothing behind it, or other chunks.
        (0, _) if held > 0 && !is_list(file, data.body, order) => Extent::unknown(held),
        (size, _) => Extent::new(u64::from(size), held),
    }
}

/// Looks for `fmt ` and `data` where the sizes of chunks led astray.
fn resynchronise(file: &[u8], order: Order, chunks: &mut Chunks) {
    if chunks.format.is_none() {
        chunks.format = search(file, 12, *b"fmt ", order).find(|c| (14..=1024).contains(&c.size));
    }
    if chunks.data.is_none() {
        let from = chunks.format.map_or(12, |c| c.body + 14);
        let mut candidates = search(file, from, *b"data", order).peekable();
        let first = candidates.peek().copied();
        // The word may also be part of a text.
        let fits = |c: &Chunk| Extent::new(u64::from(c.size), file.len().saturating_sub(c.body)).fits();
        chunks.data = candidates.find(fits).or(first);
    }
}
