//! Samples as containers store them, and their conversion to floating point.

use sndpipe_artefacts::audio::DecodeLimits;

use super::adpcm::{self, Blocks};
use super::container;
use super::decode::{DecodeError, Pcm, check_length, check_shape};

/// Audio data found in a container, not decoded yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sound<'a> {
    /// The bytes of the samples or blocks, and nothing else.
    pub data: &'a [u8],
    /// Samples per second and channel, Hz.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: usize,
    /// How `data` stores samples.
    pub coding: Coding,
    /// The length that the container declares apart from the size of `data`, in samples per channel; what lies beyond
    /// is the filling of the last ADPCM block.
    pub declared: Option<u64>,
}

/// Byte order of samples wider than a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Unsigned bytes around 128.
    Unsigned8,
    /// Two's complement in containers of 1, 2, 3, 4 or 8 bytes, of which the highest `unused` bits carry nothing.
    Integer {
        /// Bytes of a container.
        bytes: usize,
        /// How many bits above the sample are left out.
        unused: u32,
        /// Byte order.
        order: Order,
    },
    /// IEEE 754 single precision.
    Float32(Order),
    /// IEEE 754 double precision.
    Float64(Order),
    /// G.711 A-law.
    ALaw,
    /// G.711 µ-law.
    MuLaw,
    /// Blocks of 4-bit differences.
    Adpcm(Blocks),
    /// MPEG audio frames, which are a stream of their own.
    Mpeg,
}

impl Coding {
    /// Bytes of one sample of one channel; `None` where samples share bytes.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Self::Unsigned8 | Self::ALaw | Self::MuLaw => Some(1),
            Self::Integer { bytes, .. } => Some(bytes),
            Self::Float32(_) => Some(4),
            Self::Float64(_) => Some(8),
            Self::Adpcm(_) | Self::Mpeg => None,
        }
    }
}

impl Sound<'_> {
    /// Number of samples per channel; 0 where only decoding tells.
    fn frames(&self) -> u64 {
        let held = match (self.coding, self.coding.width()) {
            (_, Some(width)) => (self.data.len() / (width * self.channels.max(1))) as u64,
            (Coding::Adpcm(blocks), _) => blocks.frames(self.data.len(), self.channels),
            _ => 0,
        };
        // Only a length that ends in the last block tells of its filling, and libsndfile divides it by the channels.
        let Coding::Adpcm(blocks) = self.coding else { return held };
        let filling = blocks.frames(blocks.bytes, self.channels);
        let divided = |n: u64| self.channels > 1 && n == held / self.channels as u64;
        let credible = |&n: &u64| n <= held && n.saturating_add(filling) > held && !divided(n);
        self.declared.filter(credible).unwrap_or(held)
    }

    /// The length in seconds; 0 where only decoding tells.
    pub(super) fn seconds(&self) -> f64 {
        if self.sample_rate == 0 { 0.0 } else { self.frames() as f64 / f64::from(self.sample_rate) }
    }

    /// Converts the samples to floating point, full scale at ±1.
    ///
    /// # Errors
    /// [`DecodeError`] for a sample rate, a channel count or a length beyond `limits`, for a sound without samples
    /// and for damaged ADPCM blocks.
    pub(super) fn decode(&self, limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
        check_shape(self.sample_rate, self.channels)?;
        let frames = self.frames();
        check_length(frames, self.sample_rate, self.channels, limits)?;
        if self.coding != Coding::Mpeg && frames == 0 {
            return Err(DecodeError::Empty);
        }
        let mut channels = match self.coding {
            Coding::Unsigned8 => self.planes(Order::Little, |[b]: [u8; 1]| (f32::from(b) - 128.0) / 128.0),
            Coding::Integer { bytes: 1, unused, order } => {
                self.planes(order, |b| from_i32(i32::from(i8::from_le_bytes(b)) << 24, unused))
            }
            Coding::Integer { bytes: 2, unused, order } => {
                self.planes(order, |b| from_i32(i32::from(i16::from_le_bytes(b)) << 16, unused))
            }
            Coding::Integer { bytes: 3, unused, order } => {
                self.planes(order, |[a, b, c]| from_i32(i32::from_le_bytes([0, a, b, c]), unused))
            }
            Coding::Integer { bytes: 4, unused, order } => {
                self.planes(order, |b| from_i32(i32::from_le_bytes(b), unused))
            }
            Coding::Integer { bytes, unused, order } => {
                debug_assert_eq!(bytes, 8, "no container has another width");
                self.planes(order, |b| ((i64::from_le_bytes(b) << unused) as f64 / 2f64.powi(63)) as f32)
            }
            Coding::Float32(order) => self.planes(order, f32::from_le_bytes),
            Coding::Float64(order) => self.planes(order, |b| f64::from_le_bytes(b) as f32),
            Coding::ALaw => self.planes(Order::Little, |[b]: [u8; 1]| a_law(b)),
            Coding::MuLaw => self.planes(Order::Little, |[b]: [u8; 1]| mu_law(b)),
            Coding::Adpcm(blocks) => adpcm::decode(self.data, self.sample_rate, self.channels, blocks)?,
            Coding::Mpeg => return container::mpeg(self.data)?.decode(limits),
        };
        for samples in &mut channels {
            samples.truncate(usize::try_from(frames).unwrap_or(usize::MAX));
        }
        Ok(Pcm { sample_rate: self.sample_rate, channels, damage: Vec::new() })
    }

    /// Samples of `N` bytes, one vector per channel; `convert` sees the least significant byte first.
    fn planes<const N: usize>(&self, order: Order, convert: impl Fn([u8; N]) -> f32) -> Vec<Vec<f32>> {
        let (samples, _) = self.data.as_chunks::<N>();
        let whole = &samples[..samples.len() - samples.len() % self.channels];
        (0..self.channels)
            .map(|channel| {
                whole
                    .iter()
                    .skip(channel)
                    .step_by(self.channels)
                    .map(|&bytes| {
                        let mut bytes = bytes;
                        if order == Order::Big {
                            bytes.reverse();
                        }
                        convert(bytes)
                    })
                    .collect()
            })
            .collect()
    }
}

/// A sample that fills 32 bits from the top, less its `unused` highest bits.
fn from_i32(sample: i32, unused: u32) -> f32 {
    (sample << unused) as f32 / 2_147_483_648.0
}

/// Expands G.711 A-law (ITU-T G.711, table 1) to 13 bits, scaled to 16.
fn a_law(byte: u8) -> f32 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (u32::from(byte >> 4 & 7), i32::from(byte & 15));
    let size = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    let sample = if byte & 0x80 == 0 { -size } else { size };
    sample as f32 / 32_768.0
}

/// Expands G.711 µ-law (ITU-T G.711, table 2) to 14 bits, scaled to 16.
fn mu_law(byte: u8) -> f32 {
    let byte = !byte;
    let (exponent, mantissa) = (u32::from(byte >> 4 & 7), i32::from(byte & 15));
    let size = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    let sample = if byte & 0x80 == 0 { size } else { -size };
    sample as f32 / 32_768.0
}
