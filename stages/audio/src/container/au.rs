//! AU, also called SND, of Sun and NeXT.

use super::super::decode::DecodeError;
use super::super::sound::{Coding, Order, Sound};
use super::extent::{Extent, unsupported};
use super::u32_of;

/// Finds the sound of an AU file; `None` for other formats.
///
/// # Errors
/// [`DecodeError`] for a file that is cut off, and for a codec that is not decoded.
pub(super) fn open(file: &[u8]) -> Result<Option<Sound<'_>>, DecodeError> {
    let order = match file.get(..4) {
        Some(b".snd") => Order::Big,
        Some(b"dns.") => Order::Little,
        _ => return Ok(None),
    };
    let field = |at| {
        u32_of(file, at, order)
            .ok_or_else(|| DecodeError::Truncated { seconds: 0.0, detail: "the AU header is cut off".into() })
    };
    let (start, size, codec) = (field(4)?, field(8)?, field(12)?);
    let (sample_rate, channels) = (field(16)?, field(20)?);
    let integer = |bytes| Coding::Integer { bytes, unused: 0, order };
    let coding = match codec {
        1 => Coding::MuLaw,
        2 => integer(1),
        3 => integer(2),
        4 => integer(3),
        5 => integer(4),
        6 => Coding::Float32(order),
        7 => Coding::Float64(order),
        27 => Coding::ALaw,
        23..=26 => return Err(unsupported("AU", &format!("codec {codec} (G.72x ADPCM)"))),
        _ => return Err(unsupported("AU", &format!("codec {codec}"))),
    };
    let start = start as usize;
    let held = file.len().saturating_sub(start);
    let extent = if size == 0 { Extent::unknown(held) } else { Extent::new(u64::from(size), held) };
    let channels = usize::try_from(channels).unwrap_or(usize::MAX);
    let sound = Sound { data: extent.bytes(file, start), sample_rate, channels, coding, declared: None };
    extent.check(&sound)?;
    Ok(Some(sound))
}
