//! The description of samples in WAV and Wave64: `WAVEFORMATEX` and `WAVEFORMATEXTENSIBLE`.

use super::super::adpcm::{Adpcm, Blocks};
use super::super::decode::{DecodeError, check_shape};
use super::super::sound::{Coding, Order};
use super::extent::unsupported;
use super::{u16_of, u32_of};

const PCM: u16 = 0x0001;
const MS_ADPCM: u16 = 0x0002;
const FLOAT: u16 = 0x0003;
const A_LAW: u16 = 0x0006;
const MU_LAW: u16 = 0x0007;
const IMA_ADPCM: u16 = 0x0011;
const MPEG: u16 = 0x0050;
const MP3: u16 = 0x0055;
const EXTENSIBLE: u16 = 0xfffe;

/// What a `fmt ` chunk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    tag: u16,
    /// The identifier of a codec that has no number.
    identifier: Option<[u8; 16]>,
    extensible: bool,
    /// Number of channels.
    pub channels: usize,
    /// Samples per second and channel, Hz.
    pub sample_rate: u32,
    bytes_per_second: u32,
    block: usize,
    bits: usize,
}

impl Format {
    /// Reads the body of a `fmt ` chunk.
    ///
    /// # Errors
    /// [`DecodeError`] for a chunk that is too short, and for a sample rate or a channel count that is not credible.
    pub(super) fn parse(body: &[u8], order: Order) -> Result<Self, DecodeError> {
        let short = || DecodeError::Corrupt {
            seconds: 0.0,
            detail: format!("the `fmt ` chunk holds {} bytes; 14 are the least", body.len()),
        };
        let u16_at = |at| u16_of(body, at, order);
        let mut tag = u16_at(0).ok_or_else(short)?;
        let channels = usize::from(u16_at(2).ok_or_else(short)?);
        let sample_rate = u32_of(body, 4, order).ok_or_else(short)?;
        check_shape(sample_rate, channels)?;
        let extensible = tag == EXTENSIBLE;
        let mut identifier = None;
        if extensible {
            // Without the longer description it is plain PCM with more channels than a tag could tell of.
            tag = PCM;
            if let Some(guid) = body.get(24..40).and_then(|b| <[u8; 16]>::try_from(b).ok()) {
                // ksmedia.h: the identifiers of numbered codecs, and those of B-format by M. Leese, differ in a number.
                let tail = [&[0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71][..], &AMBISONIC];
                let (number, rest) = (u32_of(&guid, 0, order).unwrap_or(0), &guid[4..]);
                match u16::try_from(number) {
                    Ok(number) if tail.contains(&rest) || order == Order::Big => tag = number,
                    _ => identifier = Some(guid),
                }
            }
        }
        Ok(Self {
            tag,
            identifier,
            extensible,
            channels,
            sample_rate,
            bytes_per_second: u32_of(body, 8, order).unwrap_or(0),
            block: usize::from(u16_at(12).ok_or_else(short)?),
            bits: usize::from(u16_at(14).unwrap_or(0)),
        })
    }

    /// Whether the codec fills whole blocks, so that the file may declare a length of its own.
    pub(super) fn in_blocks(&self) -> bool {
        matches!(self.tag, MS_ADPCM | IMA_ADPCM)
    }

    /// How `data` is stored; the samples themselves decide where the description contradicts itself.
    ///
    /// # Errors
    /// [`DecodeError::Unsupported`] naming `container` and the codec.
    pub(super) fn coding(&self, data: &[u8], order: Order, container: &str) -> Result<Coding, DecodeError> {
        let not_decoded = |what: &str| Err(unsupported(container, what));
        if let Some(guid) = self.identifier {
            let digits: String = guid.iter().map(|b| format!("{b:02x}")).collect();
            return not_decoded(&format!("codec {digits}"));
        }
        let kind = match self.tag {
            PCM => return self.integer(data, order, container),
            FLOAT => {
                return match (self.width(4, &[4, 8]), self.bits) {
                    (Some(4), 0 | 25..) => Ok(Coding::Float32(order)),
                    (Some(8), _) => Ok(Coding::Float64(order)),
                    _ => not_decoded(&format!("floats of {} bits", self.bits)),
                };
            }
            A_LAW => return Ok(Coding::ALaw),
            MU_LAW => return Ok(Coding::MuLaw),
            MPEG | MP3 => return Ok(Coding::Mpeg),
            MS_ADPCM => Adpcm::Microsoft,
            IMA_ADPCM => Adpcm::ImaWav,
            tag => {
                let name = codec_name(tag).map_or_else(String::new, |name| format!(" ({name})"));
                return not_decoded(&format!("codec 0x{tag:04x}{name}"));
            }
        };
        let blocks = Blocks { kind, bytes: self.block };
        if blocks.frames(self.block, self.channels) == 0 {
            return Err(DecodeError::Corrupt {
                seconds: 0.0,
                detail: format!(
                    "blocks of {} bytes are too small for {} channels",
                    self.block, self.channels
                ),
            });
        }
        if self.channels > 2 {
            return not_decoded(&format!("ADPCM of {} channels", self.channels));
        }
        Ok(Coding::Adpcm(blocks))
    }

    /// Bytes of one sample: by the block where that is one of `widths` and nothing speaks against it, else by the bits.
    fn width(&self, default: usize, widths: &[usize]) -> Option<usize> {
        let by_bits = if self.bits == 0 { default } else { self.bits.div_ceil(8) };
        let by_block = self.block.is_multiple_of(self.channels).then_some(self.block / self.channels);
        let by_block = by_block.filter(|w| widths.contains(w) && (*w >= by_bits || self.bits == 0));
        let rate_of = |width: usize| u64::from(self.sample_rate) * (width * self.channels) as u64;
        let rate_says = |width: usize| u64::from(self.bytes_per_second) == rate_of(width);
        match by_block {
            Some(width) if width == by_bits || self.bits == 0 => Some(width),
            Some(width) if rate_says(width) || !rate_says(by_bits) => Some(width),
            _ => Some(by_bits).filter(|w| widths.contains(w)),
        }
    }

    fn integer(&self, data: &[u8], order: Order, container: &str) -> Result<Coding, DecodeError> {
        let Some(width) = self.width(2, &[1, 2, 3, 4, 8]) else {
            return Err(unsupported(container, &format!("integers of {} bits", self.bits)));
        };
        if width == 1 {
            return Ok(Coding::Unsigned8);
        }
        // A whole byte to spare: ALSA's S24_LE has the sample in the lower bytes, the standard wants it in the upper ones.
        let spare = 8 * (width - self.bits.div_ceil(8).clamp(1, width)) > 0 && self.bits > 0;
        let low = spare && is_low(data, width, self.bits, order, !self.extensible);
        let unused = if low { 8 * width - self.bits } else { 0 };
        Ok(Coding::Integer { bytes: width, unused: u32::try_from(unused).unwrap_or(0), order })
    }
}

/// Whether samples of `bits` bits lie in the lower bytes of their containers of `width` bytes.
///
/// Upper bytes that only repeat the sign speak for it, lower bits that are all 0 against it. A sound of which both are
/// true is a quiet one in the upper bytes, or one of a lower depth in the lower bytes: then `doubtful` decides.
fn is_low(data: &[u8], width: usize, bits: usize, order: Order, doubtful: bool) -> bool {
    let (mut signed, mut unsigned, mut lower_bits) = (true, true, false);
    for container in data.chunks_exact(width) {
        let sample = container.iter().enumerate().fold(0u64, |sum, (i, &byte)| {
            let place = if order == Order::Little { i } else { width - 1 - i };
            sum | u64::from(byte) << (8 * place)
        });
        let above = sample >> bits;
        let all_ones = (1u64 << (8 * width - bits)) - 1;
        let negative = sample >> (bits - 1) & 1 == 1;
        signed &= above == if negative { all_ones } else { 0 };
        unsigned &= above == 0;
        lower_bits |= sample & all_ones != 0;
        if !signed && !unsigned {
            return false;
        }
    }
    lower_bits || doubtful
}

/// The end of the identifiers of ambisonic WAV files.
const AMBISONIC: [u8; 12] = [0x21, 0x07, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0];

/// Names of codecs by their numbers in RFC 2361 and `mmreg.h`.
fn codec_name(tag: u16) -> Option<&'static str> {
    Some(match tag {
        0x0008 | 0x2001 => "DTS",
        0x0010 => "OKI ADPCM",
        0x0014 | 0x0042 => "G.723",
        0x0016 | 0x0040 | 0x0045 | 0x0064 | 0xa10e => "G.726",
        0x0017 => "Dialogic OKI ADPCM",
        0x0020 => "Yamaha ADPCM",
        0x0022 => "TrueSpeech",
        0x0031 => "GSM 6.10",
        0x0061 => "DUCK DK4 ADPCM",
        0x0062 => "DUCK DK3 ADPCM",
        0x0065 | 0x028f => "G.722",
        0x0069 => "Xbox IMA ADPCM",
        0x0083 | 0x0133 => "G.729",
        0x00ff | 0x1600 | 0x1602 | 0x706d | 0xa106 => "AAC",
        0x0130 => "Sipro ACELP",
        0x0160..=0x0163 => "Windows Media Audio",
        0x0200 => "Creative ADPCM",
        0x0270 => "ATRAC3",
        0x2000 => "AC-3",
        0x2048 => "Sonic",
        0x566f | 0x674f | 0x6750 | 0x6751 | 0x676f | 0x6770 | 0x6771 => "Vorbis",
        0x704f => "Opus",
        0xa109 => "Speex",
        0xf1ac => "FLAC",
        _ => return None,
    })
}
