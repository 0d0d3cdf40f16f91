//! What the first packet of a logical stream says about its codec.

use symphonia::core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

use super::super::u32_at;

/// A codec that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// Vorbis I, appendix A.
    Vorbis,
    /// RFC 7845.
    Opus,
    /// Ogg mapping of FLAC, version 1.
    Flac,
}

/// What a logical stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Sound that is decoded.
    Audio(Codec),
    /// Sound that is not, by the name of its codec.
    Unsupported(&'static str),
    /// Pictures, text or an index, by name.
    Other(&'static str),
    /// Nobody knows what.
    Unknown,
}

/// First bytes of the first packet, and what they stand for. Source: the Ogg mappings of the codecs.
const MARKS: [(&[u8], Content); 15] = [
    (b"\x01vorbis", Content::Audio(Codec::Vorbis)),
    (b"OpusHead", Content::Audio(Codec::Opus)),
    (b"\x7fFLAC", Content::Audio(Codec::Flac)),
    (b"fLaC", Content::Unsupported("FLAC in the obsolete mapping")),
    (b"Speex   ", Content::Unsupported("Speex")),
    (b"CELT    ", Content::Unsupported("CELT")),
    (b"PCM     ", Content::Unsupported("OggPCM")),
    (b"OggMIDI\0", Content::Unsupported("MIDI")),
    (b"\x80theora", Content::Other("Theora")),
    (b"BBCD\0", Content::Other("Dirac")),
    (b"OVP80", Content::Other("VP8")),
    (b"\x01video", Content::Other("OGM video")),
    (b"\x01audio", Content::Unsupported("OGM audio")),
    (b"fishead\0", Content::Other("Skeleton")),
    (b"\x80kate", Content::Other("Kate")),
];

impl Content {
    /// Looks at the first packet of a stream.
    pub(super) fn of(packet: &[u8]) -> Self {
        MARKS.iter().find(|(mark, _)| packet.starts_with(mark)).map_or(Self::Unknown, |&(_, content)| content)
    }

    /// Says that a part of the file with nothing but this is left out, where it may be sound.
    pub(super) fn left_out(&self) -> Option<String> {
        match self {
            Self::Unsupported(name) => Some(format!(
                "a stream of {name} is not decoded here and was left out; split the file into one per stream"
            )),
            Self::Unknown => Some("a stream of an unknown codec was left out".to_owned()),
            Self::Audio(_) | Self::Other(_) => None,
        }
    }
}

impl Codec {
    /// Granules per second that the first packet declares, Hz; 0 where it is too short.
    pub(super) fn rate(self, head: &[u8]) -> u32 {
        match self {
            Self::Vorbis => u32_at(head, 12).unwrap_or(0),
            Self::Opus => 48_000,
            Self::Flac => stream_info(head).map_or(0, |info| {
                u32::from(info[10]) << 12 | u32::from(info[11]) << 4 | u32::from(info[12]) >> 4
            }),
        }
    }

    /// How many packets at the start are no sound.
    pub(super) fn headers(self, packets: &[std::borrow::Cow<'_, [u8]>]) -> usize {
        match self {
            Self::Vorbis => 3,
            Self::Opus => 2,
            // The count that the first packet gives may be 0 for unknown; a frame starts with its sync code.
            Self::Flac => packets.iter().take_while(|p| p.first() != Some(&0xff)).count(),
        }
    }

    /// Samples at the start that only warm up the decoder.
    pub(super) fn pre_skip(self, head: &[u8]) -> u64 {
        match (self, head.get(10..12)) {
            (Self::Opus, Some(skip)) => u64::from(u16::from_le_bytes([skip[0], skip[1]])),
            _ => 0,
        }
    }

    /// Samples per channel that the headers promise, if they do.
    pub(super) fn promised(self, head: &[u8]) -> Option<u64> {
        let info = stream_info(head).filter(|_| self == Self::Flac)?;
        let low = u64::from(u32::from_be_bytes([info[14], info[15], info[16], info[17]]));
        Some(u64::from(info[13] & 15) << 32 | low).filter(|&n| n > 0)
    }

    /// What a decoder needs to know; `None` if the headers are not whole.
    pub(super) fn params(self, headers: &[std::borrow::Cow<'_, [u8]>]) -> Option<AudioCodecParameters> {
        let head = headers.first()?;
        let (id, extra): (AudioCodecId, Vec<u8>) = match self {
            Self::Vorbis => {
                let setup = headers.get(2).filter(|p| p.starts_with(b"\x05vorbis"))?;
                (CODEC_ID_VORBIS, [head.get(..30)?, setup].concat())
            }
            Self::Opus => (CODEC_ID_OPUS, head.to_vec()),
            Self::Flac => (CODEC_ID_FLAC, stream_info(head)?.to_vec()),
        };
        let mut params = AudioCodecParameters::new();
        params.for_codec(id).with_sample_rate(self.rate(head)).with_extra_data(extra.into());
        Some(params)
    }
}

/// The FLAC block STREAMINFO behind the Ogg mapping's own fields.
fn stream_info(head: &[u8]) -> Option<&[u8]> {
    head.get(9..17).filter(|b| b.starts_with(b"fLaC"))?;
    head.get(17..51)
}
