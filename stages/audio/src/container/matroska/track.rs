//! Tracks, and what their codecs need to know (RFC 9559, section 5.1.4; "Matroska Media Container Codec Specifications").

use std::num::NonZeroU64;

use rusty_aac::{AudioSpecificConfig, write_audio_specific_config};
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

use super::super::super::decode::{DecodeError, check_shape};
use super::super::{aac, flac};
use super::ebml::{children, float, unsigned};

/// A track.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track<'a> {
    /// The number by which blocks name it.
    pub(super) number: u64,
    /// 2 for sound.
    kind: u64,
    /// Its writer means it to be played where nothing else is asked for.
    default: bool,
    /// Such as `A_OPUS`.
    name: String,
    private: Option<&'a [u8]>,
    /// What the decoder gives before the sound starts, in nanoseconds.
    delay: u64,
    /// How long a frame lasts, in nanoseconds, where that is said.
    pub(super) frame: Option<NonZeroU64>,
    /// The frames are compressed or encrypted once more.
    encoded: bool,
    /// Samples per second, Hz.
    rate: u32,
    channels: u64,
    bits: u64,
}

impl<'a> Track<'a> {
    /// Reads the data of a `TrackEntry`.
    pub(super) fn read(data: &'a [u8]) -> Self {
        let (number, kind, delay, bits) = (0, 0, 0, 0);
        let (name, private, frame) = (String::new(), None, None);
        let (default, encoded, rate, channels) = (true, false, 8000, 1);
        let mut track =
            Self { number, kind, default, name, private, delay, frame, encoded, rate, channels, bits };
        for (id, data) in children(data) {
            match id {
                0xd7 => track.number = unsigned(data),
                0x83 => track.kind = unsigned(data),
                0x88 => track.default = unsigned(data) != 0,
                0x86 => track.name = String::from_utf8_lossy(data).trim_end_matches('\0').to_owned(),
                0x63a2 => track.private = Some(data).filter(|data| !data.is_empty()),
                0x56aa => track.delay = unsigned(data),
                0x0023_e383 => track.frame = NonZeroU64::new(unsigned(data)),
                0x6d80 => track.encoded = children(data).any(|(id, _)| id == 0x6240),
                0xe1 => track.audio(data),
                _ => {}
            }
        }
        track
    }

    fn audio(&mut self, data: &[u8]) {
        for (id, data) in children(data) {
            match id {
                0xb5 => self.rate = float(data).round() as u32,
                0x9f => self.channels = unsigned(data),
                0x6264 => self.bits = unsigned(data),
                _ => {}
            }
        }
    }

    /// The track of sound that is read: the first that its writer means to be played, else the first.
    pub(super) fn choose(tracks: &[Self]) -> Option<&Self> {
        let sounds = || tracks.iter().filter(|track| track.kind == 2);
        sounds().find(|track| track.default).or_else(|| sounds().next())
    }

    /// What the decoder has to know of the packets of the track.
    ///
    /// # Errors
    /// [`DecodeError::Unsupported`] that names what is not decoded, and [`DecodeError::Corrupt`] for headers that are not whole.
    pub(super) fn codec(&self, packets: &[&[u8]]) -> Result<AudioCodecParameters, DecodeError> {
        let name = self.name.trim_start_matches("A_");
        if self.encoded {
            let detail = format!(
                "the frames of {name} in Matroska are compressed once more; `decoder: ffmpeg` reads them"
            );
            return Err(DecodeError::Unsupported { detail });
        }
        let channels = u16::try_from(self.channels).unwrap_or(u16::MAX);
        let headers = || DecodeError::Corrupt {
            seconds: 0.0,
            detail: format!("the headers of {name} in the Matroska track are damaged or missing"),
        };
        if let Some(suffix) = name.strip_prefix("AAC") {
            let named = self.config(suffix);
            return aac::codec(self.private.unwrap_or(&named), packets);
        }
        let id = self.codec_id().ok_or_else(|| DecodeError::Unsupported {
            detail: format!(
                "{name} in Matroska is not decoded here; `decoder: ffmpeg` reads it, or convert it to FLAC"
            ),
        })?;
        if id == CODEC_ID_FLAC {
            return self.private.and_then(flac::codec).ok_or_else(headers);
        }
        check_shape(self.rate, channels.into())?;
        let mut codec = AudioCodecParameters::new();
        codec.for_codec(id).with_sample_rate(self.rate).with_channels(Channels::Discrete(channels));
        if id == CODEC_ID_VORBIS {
            let extra = self.private.and_then(vorbis_headers).ok_or_else(headers)?;
            codec.with_extra_data(extra.into());
        } else if let Some(private) = self.private {
            codec.with_extra_data(private.into());
        }
        Ok(codec)
    }

    /// What the decoder gives before the sound starts, in nanoseconds.
    pub(super) fn delay(&self) -> u64 {
        match &self.name[..] {
            // The first packet of Vorbis gives no samples, and this is all that its delay means.
            "A_VORBIS" => 0,
            // Some writers count the delay of the track at the rate of what they encoded; the header of Opus is in samples at 48 kHz.
            "A_OPUS" => {
                let skip = self.private.and_then(|head| Some([*head.get(10)?, *head.get(11)?]));
                skip.map_or(self.delay, |skip| u64::from(u16::from_le_bytes(skip)) * 1_000_000_000 / 48_000)
            }
            _ => self.delay,
        }
    }

    /// How many samples a frame of about so many nanoseconds holds: times are rounded, often to milliseconds.
    pub(super) fn frames(&self, nanoseconds: u64) -> u32 {
        let exact = u128::from(nanoseconds) * u128::from(self.rate) / 1_000_000_000;
        let about = u32::try_from(exact).unwrap_or(0);
        let usual = match &self.name[..] {
            "A_MPEG/L3" if self.rate < 32_000 => 576,
            "A_MPEG/L3" | "A_MPEG/L2" => 1152,
            _ => about,
        };
        if usual.abs_diff(about) <= self.rate / 500 { usual } else { about }
    }

    /// Whether the frames are Opus, which say how long they are.
    pub(super) fn is_opus(&self) -> bool {
        self.name == "A_OPUS"
    }

    /// Whether the frames are FLAC, which end with a checksum.
    pub(super) fn is_flac(&self) -> bool {
        self.name == "A_FLAC"
    }

    fn codec_id(&self) -> Option<AudioCodecId> {
        Some(match (&self.name[..], self.bits) {
            ("A_MPEG/L1", _) => CODEC_ID_MP1,
            ("A_MPEG/L2", _) => CODEC_ID_MP2,
            ("A_MPEG/L3", _) => CODEC_ID_MP3,
            ("A_FLAC", _) => CODEC_ID_FLAC,
            ("A_OPUS", _) => CODEC_ID_OPUS,
            ("A_VORBIS", _) => CODEC_ID_VORBIS,
            ("A_ALAC", _) => CODEC_ID_ALAC,
            ("A_PCM/INT/LIT" | "A_PCM/INT/BIG", 8) => CODEC_ID_PCM_U8,
            ("A_PCM/INT/LIT", 16) => CODEC_ID_PCM_S16LE,
            ("A_PCM/INT/LIT", 24) => CODEC_ID_PCM_S24LE,
            ("A_PCM/INT/LIT", 32) => CODEC_ID_PCM_S32LE,
            ("A_PCM/INT/BIG", 16) => CODEC_ID_PCM_S16BE,
            ("A_PCM/INT/BIG", 24) => CODEC_ID_PCM_S24BE,
            ("A_PCM/INT/BIG", 32) => CODEC_ID_PCM_S32BE,
            ("A_PCM/FLOAT/IEEE", 32) => CODEC_ID_PCM_F32LE,
            ("A_PCM/FLOAT/IEEE", 64) => CODEC_ID_PCM_F64LE,
            _ => return None,
        })
    }

    /// The configuration of AAC that the name of the codec stands for, such as `A_AAC/MPEG4/LC/SBR`; packets tell of replication.
    fn config(&self, suffix: &str) -> Vec<u8> {
        let object_type = match suffix.split('/').nth(2) {
            Some("MAIN") => 1,
            Some("SSR") => 3,
            Some("LTP") => 4,
            _ => 2,
        };
        let channels = u16::try_from(self.channels).unwrap_or(0);
        write_audio_specific_config(&AudioSpecificConfig { object_type, sample_rate: self.rate, channels })
    }
}

/// The first and the third header of Vorbis, out of the three in the track.
fn vorbis_headers(private: &[u8]) -> Option<Vec<u8>> {
    let (&more, mut rest) = private.split_first()?;
    let mut sizes = Vec::new();
    for _ in 0..more {
        let long = rest.iter().take_while(|&&b| b == 255).count();
        sizes.push(255 * long + usize::from(*rest.get(long)?));
        rest = &rest[long + 1..];
    }
    let mut packets = Vec::new();
    for size in sizes {
        let (packet, others) = rest.split_at_checked(size)?;
        packets.push(packet);
        rest = others;
    }
    packets.push(rest);
    let header = |kind: u8| packets.iter().find(|packet| packet.first() == Some(&kind));
    Some([header(1)?.get(..30)?, header(5)?].concat())
}
