//! ALAC, AAC and Opus in CAF: packets whose sizes stand in a table of their own.
//!
//! # Source
//! *Apple Core Audio Format Specification*, "Packet Table Chunk" and "Magic Cookie Chunk".

use sndpipe_artefacts::audio::DecodeLimits;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ALAC, CODEC_ID_OPUS};

use super::super::super::decode::{DecodeError, check_length, check_shape};
use super::super::super::sound::Order;
use super::super::super::stream::{Packet, Stream};
use super::super::mp4::{descriptor, discrete};
use super::super::{aac, u32_of, u64_of};
use super::{Chunks, Description};

/// Bytes of the packet table before its descriptions of packets.
const HEADER: usize = 24;

/// Whether a codec comes in packets.
pub(super) fn holds(codec: &[u8; 4]) -> bool {
    matches!(codec, b"alac" | b"aac " | b"aach" | b"aacp" | b"opus")
}

/// Lays out the packets of a CAF file; `None` for other formats and codecs.
///
/// # Errors
/// [`DecodeError`] if the file is cut off, if its tables contradict themselves or if its codec is not decoded.
pub(in super::super) fn open<'a>(
    file: &'a [u8],
    limits: &DecodeLimits,
) -> Result<Option<Stream<'a>>, DecodeError> {
    let Some(chunks) = Chunks::read(file)?.filter(|chunks| holds(&chunks.description.codec)) else {
        return Ok(None);
    };
    let Description { sample_rate, channels, .. } = chunks.description;
    check_shape(sample_rate, channels)?;
    let packets = split(&chunks)?;
    let frames: u64 = packets.iter().map(|packet| u64::from(packet.frames)).sum();
    check_length(frames, sample_rate, channels, limits)?;
    let codec = parameters(&chunks, &packets)?;
    let mut stream = Stream::new(codec, packets);
    stream.timescale = Some(sample_rate);
    let (valid, priming) = (u64_of(chunks.table, 8, Order::Big), u32_of(chunks.table, 16, Order::Big));
    if let (Some(valid @ 1..), Some(priming)) = (valid, priming) {
        let start = u64::from(priming);
        stream.pieces.push(start..start.saturating_add(valid));
    }
    Ok(Some(stream))
}

/// Splits the data by the packet table.
fn split<'a>(chunks: &Chunks<'a>) -> Result<Vec<Packet<'a>>, DecodeError> {
    let Description { packet: fixed, frames: per_packet, sample_rate, .. } = chunks.description;
    let corrupt = |detail: &str| DecodeError::Corrupt { seconds: 0.0, detail: detail.to_owned() };
    let count = match u64_of(chunks.table, 0, Order::Big) {
        Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
        None if fixed > 0 => chunks.data.len() / fixed,
        None => return Err(corrupt("a CAF file of packets without a packet table (`pakt`)")),
    };
    let mut table = chunks.table.get(HEADER..).unwrap_or_default().iter();
    // Seven bits a byte, the highest first; all but the last byte have their top bit set.
    let mut number = || {
        let mut value = 0u32;
        for &byte in table.by_ref() {
            value = value.checked_mul(128)? | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let mut packets = Vec::new();
    let (mut at, mut time) = (0usize, 0u64);
    while packets.len() < count {
        let size = if fixed == 0 { number().map(|n| n as usize) } else { Some(fixed) };
        let frames = if per_packet == 0 { number() } else { Some(per_packet) };
        let (Some(size @ 1..), Some(frames)) = (size, frames) else {
            return Err(corrupt("the packet table of the CAF file ends early or names an empty packet"));
        };
        let data = chunks.data.get(at..at.saturating_add(size)).ok_or_else(|| DecodeError::Truncated {
            seconds: time as f64 / f64::from(sample_rate),
            detail: format!("the header promises {count} packets, the file holds {}", packets.len()),
        })?;
        packets.push(Packet { data, frames });
        at += size;
        time += u64::from(frames);
    }
    Ok(packets)
}

/// What the decoder needs.
fn parameters(chunks: &Chunks<'_>, packets: &[Packet<'_>]) -> Result<AudioCodecParameters, DecodeError> {
    let mut codec = AudioCodecParameters::new();
    codec.with_sample_rate(chunks.description.sample_rate);
    let cookie = chunks.cookie;
    match &chunks.description.codec {
        b"alac" => {
            // Older writers put the cookie into the atoms that it has in MOV.
            let wrapped = cookie.get(4..8) == Some(b"frma");
            let bare = if wrapped { cookie.get(24..) } else { Some(cookie) };
            codec.for_codec(CODEC_ID_ALAC).with_extra_data(bare.unwrap_or_default().into());
        }
        b"opus" => {
            let channels = u32::try_from(chunks.description.channels).unwrap_or(u32::MAX);
            codec.for_codec(CODEC_ID_OPUS).with_sample_rate(48_000).with_channels(discrete(channels));
        }
        _ => {
            let packets: Vec<&[u8]> = packets.iter().map(|packet| packet.data).collect();
            // Some writers keep the version before the descriptor.
            let config = descriptor(cookie).or_else(|| cookie.get(4..).and_then(descriptor));
            return aac::codec(config.map_or(cookie, |(_, config)| config), &packets);
        }
    }
    Ok(codec)
}
