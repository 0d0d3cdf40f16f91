//! Checks of a container's own promises, made on the bytes before anything is decoded.
//!
//! Decoders are forgiving: they skip a damaged page and stop quietly where the bytes stop. A data set must not be:
//! half a clip under a whole clip's label is a wrong example. So the two containers whose length is written down
//! outside the codec are walked here: RIFF chunks and Ogg pages (RFC 3533). Ogg and Matroska are decoded here too, for
//! only their pages and blocks say where the sound starts and ends.

mod aac;
mod chain;
mod flac;
mod foreign;
mod matroska;
mod mp4;
mod mpeg;
mod ogg;
mod tags;
mod wave;

use super::decode::{DecodeError, DecodeLimits, Pcm};
use super::stream::Stream;

/// What the container says about the end of its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The sound ends where the container or its codec says.
    Declared,
    /// The sound ends with the bytes: its writer could not go back to fill in a length.
    WithTheBytes,
}

/// Refuses a container that is cut off or damaged, or that promises more than `limits` allow; a format other than RIFF/WAVE passes.
pub(super) fn check(bytes: &[u8], limits: &DecodeLimits) -> Result<End, DecodeError> {
    if bytes.len() >= 12 && bytes.starts_with(b"RIFF") && bytes[8..12] == *b"WAVE" {
        wave::check(bytes, limits)
    } else {
        Ok(End::Declared)
    }
}

/// Decodes Ogg and Matroska, also behind a tag; `None` for other containers.
pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Option<Result<Pcm, DecodeError>> {
    let sound = &bytes[tags::skip_front(bytes, 0)..];
    if sound.starts_with(b"OggS") {
        Some(ogg::decode(sound, limits))
    } else if sound.starts_with(b"\x1a\x45\xdf\xa3") {
        Some(matroska::decode(sound, limits))
    } else {
        None
    }
}

/// Lays out the packets of FLAC, MP4, AAC and MPEG audio; `None` for other containers.
///
/// # Errors
/// [`DecodeError`] if the bytes are one of these and cannot be used, or known to be something else.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Option<Stream<'a>>, DecodeError> {
    let start = tags::skip_front(bytes, 0);
    let sound = &bytes[start..];
    if sound.starts_with(b"fLaC") {
        return flac::open(bytes, start, limits).map(Some);
    }
    if mp4::is_movie(bytes) {
        return mp4::open(bytes, limits).map(Some);
    }
    const ELSEWHERE: [&[u8]; 4] = [b"RIFF", b"RF64", b"BW64", b"FORM"];
    if ELSEWHERE.iter().any(|magic| sound.starts_with(magic)) {
        foreign::check(bytes)?;
        return Ok(None);
    }
    if let Some(stream) = aac::open(bytes, start)? {
        return Ok(Some(stream));
    }
    if let Some(stream) = mpeg::open(bytes, start, false)? {
        return Ok(Some(stream));
    }
    foreign::check(sound)?;
    mpeg::open(bytes, start, true)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}
