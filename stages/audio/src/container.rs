//! Containers: where the sound lies in a file, and whether the file keeps its own promises.
//!
//! Decoders are forgiving: they skip a damaged page and stop quietly where the bytes stop. A data set must not be:
//! half a clip under a whole clip's label is a wrong example. Containers of plain samples (WAV and its kin, AIFF, AU, CAF) are
//! read here altogether, and so are Ogg (RFC 3533) and Matroska, for only their pages and blocks say where the sound
//! starts and ends.

mod aac;
mod aiff;
mod au;
mod caf;
mod chain;
mod chunks;
mod extent;
mod flac;
mod foreign;
mod matroska;
mod mp4;
mod mpeg;
mod ogg;
mod tags;
mod wave;
mod wave64;
mod wave_format;

use sndpipe_artefacts::audio::DecodeLimits;

use super::decode::{DecodeError, Pcm};
use super::sound::Order;
use super::stream::Stream;

/// Lays out the frames of MPEG audio that a container of samples holds.
///
/// # Errors
/// [`DecodeError::Corrupt`] where there are none.
pub(super) fn mpeg(data: &[u8]) -> Result<Stream<'_>, DecodeError> {
    mpeg::open(data, 0, true)?.ok_or_else(|| DecodeError::Corrupt {
        seconds: 0.0,
        detail: "no frame of MPEG audio where its container places them".into(),
    })
}

/// Decodes containers of samples and Ogg, also behind a tag; `None` for other containers.
///
/// # Errors
/// [`DecodeError`] if the bytes are one of these and cannot be used.
pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Option<Pcm>, DecodeError> {
    let sound = &bytes[tags::skip_front(bytes, 0)..];
    if sound.starts_with(b"OggS") {
        return ogg::decode(sound, limits).map(Some);
    }
    for open in [wave::open, wave64::open, aiff::open, au::open, caf::open] {
        if let Some(samples) = open(sound)? {
            return samples.decode(limits).map(Some);
        }
    }
    Ok(None)
}

/// Lays out the packets of FLAC, Matroska, MP4, AAC and MPEG audio; `None` for other containers.
///
/// # Errors
/// [`DecodeError`] if the bytes are one of these and cannot be used, or known to be something else.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Option<Stream<'a>>, DecodeError> {
    let start = tags::skip_front(bytes, 0);
    let sound = &bytes[start..];
    if sound.starts_with(b"fLaC") {
        return flac::open(bytes, start, limits).map(Some);
    }
    if sound.starts_with(b"\x1a\x45\xdf\xa3") {
        return matroska::open(sound).map(Some);
    }
    if let Some(stream) = caf::packets::open(sound, limits)? {
        return Ok(Some(stream));
    }
    if mp4::is_movie(bytes) {
        return mp4::open(bytes, limits).map(Some);
    }
    const ELSEWHERE: [&[u8]; 4] = [b"RIFF", b"RF64", b"BW64", b"FORM"];
    if ELSEWHERE.iter().any(|magic| sound.starts_with(magic)) {
        foreign::check(bytes)?;
        return Ok(None);
    }
    if let Some(stream) = aac::open(bytes, start, false)? {
        return Ok(Some(stream));
    }
    if let Some(stream) = mpeg::open(bytes, start, false)? {
        return Ok(Some(stream));
    }
    foreign::check(sound)?;
    if let Some(at) = flac::find(sound) {
        return flac::open(bytes, start + at, limits).map(|stream| Some(stream.behind(at, "FLAC")));
    }
    match mpeg::open(bytes, start, true)? {
        Some(stream) => Ok(Some(stream)),
        None => aac::open(bytes, start, true),
    }
}

/// The `N` bytes at `at`, least significant first.
fn array_of<const N: usize>(bytes: &[u8], at: usize, order: Order) -> Option<[u8; N]> {
    let mut array: [u8; N] = bytes.get(at..at.checked_add(N)?)?.try_into().ok()?;
    if order == Order::Big {
        array.reverse();
    }
    Some(array)
}

fn u16_of(bytes: &[u8], at: usize, order: Order) -> Option<u16> {
    array_of(bytes, at, order).map(u16::from_le_bytes)
}

fn u32_of(bytes: &[u8], at: usize, order: Order) -> Option<u32> {
    array_of(bytes, at, order).map(u32::from_le_bytes)
}

fn u64_of(bytes: &[u8], at: usize, order: Order) -> Option<u64> {
    array_of(bytes, at, order).map(u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    u32_of(bytes, at, Order::Little)
}
