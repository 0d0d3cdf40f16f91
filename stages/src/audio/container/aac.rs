//! AAC: its configuration, its frames in ADTS, and whether a stream holds more than the low-complexity core.
//!
//! # Source
//! ISO/IEC 14496-3, 1.6.2.1 (AudioSpecificConfig), 4.4.2.1 (raw_data_block), 1.A.2 (ADTS).

use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::well_known::profiles::{CODEC_PROFILE_AAC_HE, CODEC_PROFILE_AAC_HE_V2};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::super::codecs;
use super::super::decode::DecodeError;
use super::super::stream::{Packet, Stream};
use super::chain;
use super::tags;

const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

/// Packets that are searched for SBR where the configuration does not mention it.
const SEARCHED: usize = 16;

/// Bits of a slice, the first bit of a byte being its highest.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: usize) -> Option<u32> {
        let value = (self.at..self.at + count).try_fold(0u32, |value, at| {
            let byte = self.bytes.get(at / 8)?;
            Some(value << 1 | u32::from(byte >> (7 - at % 8) & 1))
        })?;
        self.at += count;
        Some(value)
    }

    fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }
}

/// What an AudioSpecificConfig says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Config {
    /// Object type of the core: 2 is AAC-LC.
    pub object: u32,
    /// Sample rate of the core, Hz.
    pub rate: u32,
    /// Channel configuration; 0 leaves it to an element in the stream.
    pub channels: u32,
    /// 960 samples a packet in place of 1024.
    pub short: bool,
    /// Spectral band replication is declared.
    pub sbr: bool,
    /// Parametric stereo is declared.
    pub ps: bool,
}

impl Config {
    /// Reads it; `None` if it ends early or has a sample rate that does not exist.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let object = |bits: &mut Bits<'_>| match bits.read(5)? {
            31 => bits.read(6).map(|n| n + 32),
            n => Some(n),
        };
        let rate = |bits: &mut Bits<'_>| match bits.read(4)? {
            15 => bits.read(24),
            n => RATES.get(n as usize).copied(),
        };
        let first = object(&mut bits)?;
        let mut config = Self {
            object: first,
            rate: rate(&mut bits)?,
            channels: bits.read(4)?,
            short: false,
            sbr: false,
            ps: false,
        };
        if matches!(first, 5 | 29) {
            (config.sbr, config.ps) = (true, first == 29);
            rate(&mut bits)?;
            config.object = object(&mut bits)?;
        }
        if !matches!(config.object, 1..=4 | 6 | 7) {
            return Some(config);
        }
        config.short = bits.read(1)? == 1;
        if bits.read(1)? == 1 {
            bits.read(14)?;
        }
        bits.read(1)?;
        // An extension that decoders without it pass over.
        if config.channels != 0 && !config.sbr && bits.left() >= 16 && bits.read(11) == Some(0x2b7) {
            let extension = object(&mut bits)?;
            config.sbr = matches!(extension, 5 | 22) && bits.read(1)? == 1;
            if config.sbr {
                let core = config.rate;
                // The same rate twice is SBR that only smooths: still not the core alone.
                let _ = rate(&mut bits).unwrap_or(core);
                config.ps = bits.left() >= 12 && bits.read(11) == Some(0x548) && bits.read(1) == Some(1);
            }
        }
        Some(config)
    }

    /// The five bytes at most that say the same about the core alone.
    fn core(&self) -> Vec<u8> {
        let mut bits: Vec<(u32, u32)> = vec![(self.object, 5)];
        match RATES.iter().position(|&r| r == self.rate) {
            Some(index) => bits.push((index as u32, 4)),
            None => bits.extend([(15, 4), (self.rate, 24)]),
        }
        bits.extend([(self.channels, 4), (u32::from(self.short), 1), (0, 2)]);
        let mut bytes = vec![0u8; 5];
        let mut at = 0;
        for (value, count) in bits {
            for bit in (0..count).rev() {
                bytes[at / 8] |= ((value >> bit & 1) as u8) << (7 - at % 8);
                at += 1;
            }
        }
        bytes.truncate(at.div_ceil(8));
        bytes
    }
}

/// Says what a decoder needs for these packets, and whether there is one; `outside` is the number of channels that the container names.
///
/// # Errors
/// [`DecodeError::Unsupported`] that names the codec and the way out.
pub(super) fn codec(
    config: &Config,
    packets: &[Packet<'_>],
    outside: Option<u32>,
) -> Result<AudioCodecParameters, DecodeError> {
    let mut codec = AudioCodecParameters::new();
    codec.for_codec(CODEC_ID_AAC).with_sample_rate(config.rate).with_extra_data(config.core().into());
    let other = match config.object {
        2 => None,
        1 => Some("AAC Main"),
        3 => Some("AAC SSR"),
        4 => Some("AAC LTP"),
        17 | 19 | 20 => Some("error-resilient AAC"),
        23 => Some("AAC-LD"),
        39 => Some("AAC-ELD"),
        42 => Some("xHE-AAC (USAC)"),
        36 => Some("MPEG-4 ALS"),
        n => return Err(refused(&format!("MPEG-4 audio object type {n}"))),
    };
    if let Some(name) = other {
        return Err(refused(name));
    }
    if config.channels == 0 {
        return Err(refused("AAC with its own channel layout"));
    }
    if config.short {
        return Err(refused("AAC with 960 samples a packet"));
    }
    let implicit = !config.sbr && packets.iter().take(SEARCHED).any(|p| holds_sbr(&codec, p.data));
    if config.sbr || implicit {
        // Parametric stereo makes two channels of one.
        let ps = config.ps || (config.channels == 1 && outside == Some(2));
        let name = match (ps, implicit && config.channels == 1 && outside.is_none()) {
            (true, _) => "HE-AAC v2",
            (_, true) => "HE-AAC v1 or v2",
            _ => "HE-AAC",
        };
        codec.with_profile(if ps { CODEC_PROFILE_AAC_HE_V2 } else { CODEC_PROFILE_AAC_HE });
        if !codecs::HE_AAC {
            let detail = format!(
                "{name} is not decoded by this build; build sndpipe with `--features fdk-aac`, or decode with `decoder: ffmpeg`"
            );
            return Err(DecodeError::Unsupported { detail });
        }
    } else if config.channels > 2 {
        let count =
            [0, 1, 2, 3, 4, 5, 6, 8].get(config.channels as usize).copied().unwrap_or(config.channels);
        return Err(refused(&format!("AAC with {count} channels")));
    }
    Ok(codec)
}

fn refused(name: &str) -> DecodeError {
    DecodeError::Unsupported {
        detail: format!("{name} is not decoded here; decode it with `decoder: ffmpeg`"),
    }
}

/// Returns whether a packet of AAC-LC ends with a fill element that carries spectral band replication.
///
/// Nothing in a packet says where its last elements begin, short of decoding all before them. So they are searched from the
/// end, and a place is believed if the packet decodes to the same samples without what follows it.
fn holds_sbr(codec: &AudioCodecParameters, data: &[u8]) -> bool {
    let decode = |data: &[u8]| -> Option<Vec<Vec<f32>>> {
        let options = AudioDecoderOptions::default();
        let mut decoder = codecs::decoder(codec, &options).ok()?;
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, data);
        let mut samples = Vec::new();
        decoder.decode_ref(&packet).ok()?.copy_to_vecs_planar(&mut samples);
        Some(samples)
    };
    let Some(last) = data.iter().rposition(|&b| b != 0) else { return false };
    let end = last * 8 + 8 - data[last].trailing_zeros() as usize;
    let field = |at: usize, count: usize| Bits { bytes: data, at }.read(count);
    let mut whole = None;
    let mut ends: Vec<(usize, usize)> =
        end.checked_sub(3).filter(|&e| field(e, 3) == Some(7)).map(|e| (e, 0)).into_iter().collect();
    while let Some((end, depth)) = ends.pop() {
        for count in 0..=269usize {
            let head = if count < 15 { 7 } else { 15 };
            let Some(start) = end.checked_sub(8 * count + head).filter(|&s| s > 0) else { break };
            let sizes = if count < 15 {
                field(start + 3, 4) == Some(count as u32)
            } else {
                field(start + 3, 4) == Some(15) && field(start + 7, 8) == Some(count as u32 - 14)
            };
            if field(start, 3) != Some(6) || !sizes {
                continue;
            }
            let sbr = count > 0 && matches!(field(start + head, 4), Some(13 | 14));
            if !sbr && depth >= 2 {
                continue;
            }
            // The packet up to here, and the mark of its end.
            let mut short = data[..start.div_ceil(8)].to_vec();
            if start % 8 != 0 {
                short[start / 8] &= !(0xff >> (start % 8));
            }
            short.extend([0, 0]);
            for bit in start..start + 3 {
                short[bit / 8] |= 0x80 >> (bit % 8);
            }
            let whole = whole.get_or_insert_with(|| decode(data));
            if whole.is_some() && decode(&short) == *whole {
                if sbr {
                    return true;
                }
                ends.push((start, depth + 1));
            }
        }
    }
    false
}

/// The header of an ADTS frame: its length, its header's length, and what it says.
fn adts(bytes: &[u8], at: usize) -> Option<(usize, usize, Config, usize)> {
    let h = bytes.get(at..at + 7)?;
    // Sync word, and layer 0.
    if h[0] != 0xff || h[1] & 0xf6 != 0xf0 {
        return None;
    }
    let header = if h[1] & 1 == 1 { 7 } else { 9 };
    let size = usize::from(h[3] & 3) << 11 | usize::from(h[4]) << 3 | usize::from(h[5] >> 5);
    let config = Config {
        object: u32::from(h[2] >> 6) + 1,
        rate: *RATES.get(usize::from(h[2] >> 2 & 15))?,
        channels: u32::from(h[2] & 1) << 2 | u32::from(h[3] >> 6),
        short: false,
        sbr: false,
        ps: false,
    };
    (size > header).then_some((size, header, config, usize::from(h[6] & 3) + 1))
}

/// Finds the frames of AAC in ADTS that begins at `start`; `None` where there are none.
///
/// # Errors
/// [`DecodeError::Unsupported`] for what no decoder here decodes.
pub(in super::super) fn open(bytes: &[u8], start: usize) -> Result<Option<Stream<'_>>, DecodeError> {
    let end = tags::strip_back(bytes);
    let read = |bytes: &[u8], at: usize| {
        let (size, _, c, _) = adts(bytes, at)?;
        Some(chain::Header { size, shape: c.object << 24 | c.rate << 4 | c.channels })
    };
    let starts = start.min(end)..end.min(start + 1);
    let Some((first, head)) = chain::find(bytes, starts, end, 2, None, &read) else { return Ok(None) };
    let Some((_, _, config, _)) = adts(bytes, first) else { return Ok(None) };
    let chain = chain::walk(bytes, first..end, head.shape, &read);
    let mut packets = Vec::with_capacity(chain.frames.len());
    for range in &chain.frames {
        let Some((_, header, _, blocks)) = adts(bytes, range.start) else { continue };
        if blocks > 1 {
            return Err(refused("ADTS with several AAC blocks a frame"));
        }
        packets.push(Packet { data: &bytes[range.start + header..range.end], frames: 1024 });
    }
    let mut stream = Stream::new(codec(&config, &packets, None)?, packets);
    stream.marks.extend(chain.marks("AAC"));
    Ok(Some(stream))
}
