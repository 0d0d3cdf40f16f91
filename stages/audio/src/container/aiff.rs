//! AIFF and AIFF-C (Apple, 1989 and 1991).

use super::super::adpcm::{Adpcm, Blocks};
use super::super::decode::DecodeError;
use super::super::sound::{Coding, Order, Sound};
use super::array_of;
use super::chunks::{Chunk, is_list, walk};
use super::extent::{Extent, unsupported};

const KNOWN: [[u8; 4]; 9] =
    [*b"COMM", *b"SSND", *b"FVER", *b"MARK", *b"INST", *b"COMT", *b"NAME", *b"ANNO", *b"AUTH"];

/// Finds the sound of an AIFF file; `None` for other formats.
///
/// # Errors
/// [`DecodeError`] for a file that is cut off or has no description of its samples, and for a codec that is not decoded.
pub(super) fn open(file: &[u8]) -> Result<Option<Sound<'_>>, DecodeError> {
    let compressed = match (file.get(..4), file.get(8..12)) {
        (Some(b"FORM"), Some(b"AIFF")) => false,
        (Some(b"FORM"), Some(b"AIFC")) => true,
        _ => return Ok(None),
    };
    let (mut common, mut samples) = (None, None);
    for chunk in walk(file, 12, Order::Big, &KNOWN) {
        match &chunk.id {
            b"COMM" => common = common.or(Some(chunk)),
            b"SSND" => samples = samples.or(Some(chunk)),
            _ => {}
        }
        if common.is_some() && samples.is_some() {
            break;
        }
    }
    let Some(common) = common else {
        return Err(DecodeError::Truncated {
            seconds: 0.0,
            detail: "the file ends before its `COMM` chunk".into(),
        });
    };
    let common = Common::parse(file, common, compressed)?;
    let Some(samples) = samples else {
        return Err(match common.frames {
            0 => DecodeError::Empty,
            _ => DecodeError::Truncated {
                seconds: 0.0,
                detail: "the file ends before its `SSND` chunk".into(),
            },
        });
    };
    // Before the samples, the chunk has an offset to them and the size of the blocks that they are aligned to.
    let offset = samples.u32(file, 0, Order::Big).unwrap_or(0) as usize;
    let start = samples.body.saturating_add(8).saturating_add(offset);
    let held = file.len().saturating_sub(start);
    let promised = u64::from(samples.size).saturating_sub(8 + offset as u64);
    let coding = common.coding()?;
    // What was written into a pipe has 0 for its size.
    let piped = promised == 0 && held > 0 && !is_list(file, start, Order::Big);
    let extent = if piped { Extent::unknown(held) } else { Extent::new(promised, held) };
    let sound = Sound {
        data: extent.bytes(file, start),
        sample_rate: common.sample_rate,
        channels: common.channels,
        coding,
        declared: None,
    };
    extent.check(&sound)?;
    Ok(Some(sound))
}

/// The `COMM` chunk.
struct Common {
    channels: usize,
    /// Samples per channel; packets per channel in files of compressed sound. The size of the samples says more.
    frames: u64,
    bits: usize,
    sample_rate: u32,
    compression: [u8; 4],
}

impl Common {
    fn parse(file: &[u8], chunk: Chunk, compressed: bool) -> Result<Self, DecodeError> {
        let short = || DecodeError::Truncated { seconds: 0.0, detail: "the `COMM` chunk is cut off".into() };
        let u16_at = |at| chunk.u16(file, at, Order::Big).ok_or_else(short);
        let body = chunk.bytes(file);
        let compression = match body.get(18..22) {
            Some(name) if compressed => name.try_into().map_err(|_| short())?,
            _ => *b"NONE",
        };
        Ok(Self {
            channels: usize::from(u16_at(0)?),
            frames: u64::from(chunk.u32(file, 2, Order::Big).ok_or_else(short)?),
            bits: usize::from(u16_at(6)?),
            sample_rate: array_of(body, 8, Order::Big).map(extended).ok_or_else(short)?,
            compression,
        })
    }

    fn coding(&self) -> Result<Coding, DecodeError> {
        let integer = |bytes, order| Ok(Coding::Integer { bytes, unused: 0, order });
        let width = self.bits.div_ceil(8);
        let name = String::from_utf8_lossy(&self.compression).trim_end().to_owned();
        match &self.compression {
            b"NONE" | b"none" | b"twos" | b"sowt" if !(1..=4).contains(&width) => {
                Err(unsupported("AIFF", &format!("integers of {} bits", self.bits)))
            }
            b"NONE" | b"none" | b"twos" => integer(width, Order::Big),
            b"sowt" => integer(width, Order::Little),
            b"raw " => Ok(Coding::Unsigned8),
            b"in24" => integer(3, Order::Big),
            b"42ni" => integer(3, Order::Little),
            b"in32" => integer(4, Order::Big),
            b"23ni" => integer(4, Order::Little),
            b"fl32" | b"FL32" => Ok(Coding::Float32(Order::Big)),
            b"fl64" | b"FL64" => Ok(Coding::Float64(Order::Big)),
            b"alaw" | b"ALAW" => Ok(Coding::ALaw),
            b"ulaw" | b"ULAW" => Ok(Coding::MuLaw),
            b"ima4" if self.channels > 2 => {
                Err(unsupported("AIFF", &format!("ADPCM of {} channels", self.channels)))
            }
            b"ima4" => Ok(Coding::Adpcm(Blocks { kind: Adpcm::ImaQuickTime, bytes: 34 * self.channels })),
            _ => Err(unsupported("AIFF", &format!("codec `{name}`"))),
        }
    }
}

/// Rounds an IEEE 754 extended precision number, least significant byte first, to Hz; 0 where it is none.
fn extended(bytes: [u8; 10]) -> u32 {
    let [m0, m1, m2, m3, m4, m5, m6, m7, e0, e1] = bytes;
    let mantissa = u64::from_le_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
    let exponent = i32::from(u16::from_le_bytes([e0, e1])) - 16_383 - 63;
    // The sign is in the highest bit of the exponent and makes it far too large.
    let rate = (mantissa as f64 * 2f64.powi(exponent)).round();
    if rate <= f64::from(u32::MAX) { rate as u32 } else { 0 }
}
