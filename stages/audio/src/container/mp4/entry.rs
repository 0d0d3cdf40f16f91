//! Sample descriptions: which codec a track has, and what its decoder needs.

use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::*;

use super::super::super::decode::{DecodeError, check_shape};
use super::boxes::{atoms, first, path, u16_at, u32_at, u64_at};

/// What a track is coded with.
#[derive(Debug, Clone)]
pub(super) enum Coding {
    /// AAC, by its AudioSpecificConfig.
    Aac(Vec<u8>),
    /// MPEG audio; the packets say which layer.
    Mpeg,
    /// A codec whose decoder takes these extra bytes.
    Other(AudioCodecId, Vec<u8>),
    /// Samples of a fixed number of bytes each.
    Pcm(AudioCodecId, u32),
}

/// A sample description.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub coding: Coding,
    pub rate: u32,
    pub channels: u32,
    /// Samples before the sound that the codec's header declares.
    pub delay: u64,
}

/// Channels without places, for codecs that only count them.
pub(in super::super) fn discrete(count: u32) -> Channels {
    match count {
        1 => Channels::Positioned(Position::FRONT_LEFT),
        2 => Channels::Positioned(Position::FRONT_LEFT | Position::FRONT_RIGHT),
        n => Channels::Discrete(n as u16),
    }
}

fn unsupported(name: &str) -> DecodeError {
    DecodeError::Unsupported {
        detail: format!("{name} in MP4 is not decoded here; decode it with `decoder: ffmpeg`"),
    }
}

/// Reads the first description of an audio track.
///
/// # Errors
/// [`DecodeError::Unsupported`] that names the codec, [`DecodeError::Corrupt`] where the description ends early.
pub(super) fn read(stsd: &[u8], quicktime: bool) -> Result<Entry, DecodeError> {
    let corrupt =
        || DecodeError::Corrupt { seconds: 0.0, detail: "the MP4 sample description ends early".into() };
    let entry = atoms(stsd.get(8..).unwrap_or_default()).next().ok_or_else(corrupt)?;
    let body = entry.body;
    let version = u16_at(body, 8).ok_or_else(corrupt)?;
    let mut channels = u32::from(u16_at(body, 16).ok_or_else(corrupt)?);
    let mut bits = u32::from(u16_at(body, 18).unwrap_or(16));
    let mut rate = u32_at(body, 24).unwrap_or(0) >> 16;
    let mut flags = 0;
    let children = match version {
        1 if quicktime || stsd.first() == Some(&0) => 44,
        2 => {
            rate = u64_at(body, 32).map_or(0.0, f64::from_bits) as u32;
            channels = u32_at(body, 40).unwrap_or(0);
            bits = u32_at(body, 48).unwrap_or(0);
            flags = u32_at(body, 52).unwrap_or(0);
            64
        }
        _ => 28,
    };
    let inner = body.get(children..).unwrap_or_default();
    // QuickTime wraps what belongs to the codec once more.
    let wave = path(inner, &[b"wave"]);
    let child = |kind: &[u8; 4]| {
        first(inner, kind).or_else(|| wave.and_then(|w| first(w, kind))).map(|atom| atom.body)
    };
    let mut delay = 0;
    let coding = match &entry.kind {
        b"mp4a" | b"aac " => match child(b"esds").map(|body| body.get(4..).and_then(descriptor)) {
            Some(Some((0x40 | 0x66..=0x68, config))) => Coding::Aac(config.to_vec()),
            Some(Some((0x69 | 0x6b, _))) => Coding::Mpeg,
            Some(Some((kind, _))) => return Err(unsupported(object_name(kind))),
            _ => return Err(corrupt()),
        },
        b".mp3" | b"mp3 " | b".mp2" | b".mp1" | b"ms\0\x55" | b"ms\0\x50" => Coding::Mpeg,
        b"alac" => {
            let cookie = child(b"alac").and_then(|b| b.get(4..)).ok_or_else(corrupt)?;
            rate = u32_at(cookie, 20).unwrap_or(rate);
            channels = cookie.get(9).map_or(channels, |&n| u32::from(n));
            Coding::Other(CODEC_ID_ALAC, cookie.to_vec())
        }
        b"fLaC" => {
            let info = child(b"dfLa").and_then(|b| b.get(8..42)).ok_or_else(corrupt)?;
            rate = u32_at(info, 10).unwrap_or(0) >> 12;
            Coding::Other(CODEC_ID_FLAC, info.to_vec())
        }
        b"Opus" => {
            let head = child(b"dOps").filter(|b| b.len() >= 11).ok_or_else(corrupt)?;
            delay = u64::from(u16_at(head, 2).unwrap_or(0));
            rate = 48_000;
            channels = u32::from(head[1]);
            Coding::Other(CODEC_ID_OPUS, opus_head(head))
        }
        kind => match pcm(kind, bits, flags, child(b"enda") == Some(&[0, 1]), child(b"pcmC")) {
            Some((codec, bytes)) => Coding::Pcm(codec, bytes),
            None => return Err(unsupported(&name(kind))),
        },
    };
    check_shape(rate.max(1), channels as usize)?;
    Ok(Entry { coding, rate, channels, delay })
}

/// The codec of uncompressed samples and its bytes a sample.
fn pcm(
    kind: &[u8; 4],
    bits: u32,
    flags: u32,
    little: bool,
    config: Option<&[u8]>,
) -> Option<(AudioCodecId, u32)> {
    let integer = |bits: u32, little: bool| match (bits, little) {
        (8, _) => Some((CODEC_ID_PCM_S8, 1)),
        (16, false) => Some((CODEC_ID_PCM_S16BE, 2)),
        (16, true) => Some((CODEC_ID_PCM_S16LE, 2)),
        (24, false) => Some((CODEC_ID_PCM_S24BE, 3)),
        (24, true) => Some((CODEC_ID_PCM_S24LE, 3)),
        (32, false) => Some((CODEC_ID_PCM_S32BE, 4)),
        (32, true) => Some((CODEC_ID_PCM_S32LE, 4)),
        _ => None,
    };
    let float = |bits: u32, little: bool| match (bits, little) {
        (32, false) => Some((CODEC_ID_PCM_F32BE, 4)),
        (32, true) => Some((CODEC_ID_PCM_F32LE, 4)),
        (64, false) => Some((CODEC_ID_PCM_F64BE, 8)),
        (64, true) => Some((CODEC_ID_PCM_F64LE, 8)),
        _ => None,
    };
    let modern = config.and_then(|c| Some((c.get(4)? & 1 == 1, u32::from(*c.get(5)?))));
    match kind {
        b"raw " if bits == 8 => Some((CODEC_ID_PCM_U8, 1)),
        b"twos" | b"raw " | b"NONE" => integer(bits, little),
        b"sowt" => integer(bits, true),
        b"in24" => integer(24, little),
        b"in32" => integer(32, little),
        b"fl32" => float(32, little),
        b"fl64" => float(64, little),
        b"ulaw" => Some((CODEC_ID_PCM_MULAW, 1)),
        b"alaw" => Some((CODEC_ID_PCM_ALAW, 1)),
        b"lpcm" if flags & 1 == 1 => float(bits, flags & 2 == 0),
        b"lpcm" if bits == 8 && flags & 4 == 0 => Some((CODEC_ID_PCM_U8, 1)),
        b"lpcm" => integer(bits, flags & 2 == 0),
        b"ipcm" => modern.and_then(|(little, bits)| integer(bits, little)),
        b"fpcm" => modern.and_then(|(little, bits)| float(bits, little)),
        _ => None,
    }
}

/// The object type and decoder configuration of an elementary stream descriptor, which follows a version in `esds`.
///
/// # Source
/// ISO/IEC 14496-1, 7.2.6.5 and 7.2.6.6: a tag, a size of up to four times seven bits, the descriptor.
pub(in super::super) fn descriptor(esds: &[u8]) -> Option<(u8, &[u8])> {
    fn open(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
        let (&tag, mut rest) = bytes.split_first()?;
        let mut size = 0usize;
        for _ in 0..4 {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            size = size << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (body, after) = rest.split_at(size.min(rest.len()));
        Some((tag, body, after))
    }
    let (3, stream, _) = open(esds)? else { return None };
    let flags = *stream.get(2)?;
    let mut at = 3 + if flags & 0x80 != 0 { 2 } else { 0 };
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    at += if flags & 0x20 != 0 { 2 } else { 0 };
    let (4, decoder, _) = open(stream.get(at..)?)? else { return None };
    let kind = *decoder.first()?;
    match decoder.get(13..).and_then(open) {
        Some((5, config, _)) => Some((kind, config)),
        _ => Some((kind, &[])),
    }
}

fn object_name(kind: u8) -> &'static str {
    match kind {
        0xa5 => "AC-3",
        0xa6 => "E-AC-3",
        0xa9..=0xac => "DTS",
        0xad => "Opus by descriptor",
        0xae => "AC-4",
        0xdd => "Vorbis",
        0xe1 => "QCELP",
        _ => "an unnamed codec",
    }
}

fn name(kind: &[u8; 4]) -> String {
    let known = match kind {
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b"ac-4" => "AC-4",
        b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" | b"dtsx" => "DTS",
        b"samr" => "AMR",
        b"sawb" | b"sawp" => "AMR-WB",
        b"enca" | b"drms" => "encrypted audio",
        b"mlpa" => "TrueHD",
        b"QDM2" | b"QDMC" => "QDesign Music",
        b"ima4" => "IMA ADPCM",
        b"MAC3" | b"MAC6" => "MACE",
        b"Qclp" | b"sqcp" => "QCELP",
        b"spex" => "Speex",
        b"alws" | b"mp4s" => "MPEG-4 systems",
        other => return format!("the codec `{}`", other.escape_ascii()),
    };
    known.to_owned()
}

/// The header of Opus in Ogg, which decoders take, from that in MP4: other byte order, other name.
fn opus_head(head: &[u8]) -> Vec<u8> {
    let mut bytes = b"OpusHead\x01".to_vec();
    bytes.push(head[1]);
    bytes.extend([head[3], head[2], head[7], head[6], head[5], head[4], head[9], head[8]]);
    bytes.extend(&head[10..]);
    bytes
}
