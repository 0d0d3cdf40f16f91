//! Sony Wave64: WAV with names of 16 bytes and sizes of 8, aligned to 8 bytes.

use super::super::decode::DecodeError;
use super::super::sound::{Order, Sound};
use super::extent::Extent;
use super::wave_format::Format;
use super::{u32_of, u64_of};

const RIFF: [u8; 16] = *b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0";
/// What the names of all chunks inside end with.
const TAIL: [u8; 12] = *b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a";

/// Finds the sound of a Wave64 file; `None` for other formats.
///
/// # Errors
/// As for WAV.
pub(super) fn open(file: &[u8]) -> Result<Option<Sound<'_>>, DecodeError> {
    if !file.starts_with(&RIFF) || file.get(24..28) != Some(b"wave") {
        return Ok(None);
    }
    let mut at = 40usize;
    let (mut format, mut fact) = (None, None);
    while let Some(size) = u64_of(file, at.saturating_add(16), Order::Little) {
        let (name, tail) = (&file[at..at + 4], &file[at + 4..at + 16]);
        let body = at + 24;
        // The size counts the name and itself.
        let extent = Extent::new(size.saturating_sub(24), file.len() - body);
        match name {
            b"fmt " if tail == TAIL => format = Some(Format::parse(extent.bytes(file, body), Order::Little)?),
            b"fact" if tail == TAIL => fact = u32_of(file, body, Order::Little).filter(|&n| n > 0),
            b"data" if tail == TAIL => {
                let Some(format) = format else { break };
                let extent = if size <= 24 { Extent::unknown(extent.held) } else { extent };
                let data = extent.bytes(file, body);
                let sound = Sound {
                    data,
                    sample_rate: format.sample_rate,
                    channels: format.channels,
                    coding: format.coding(data, Order::Little, "Wave64")?,
                    declared: fact.map(u64::from).filter(|_| format.in_blocks()),
                };
                extent.check(&sound)?;
                return Ok(Some(sound));
            }
            _ => {}
        }
        let step = usize::try_from(size.max(24)).unwrap_or(usize::MAX);
        at = at.saturating_add(step).checked_next_multiple_of(8).unwrap_or(usize::MAX);
    }
    Err(DecodeError::Truncated {
        seconds: 0.0,
        detail: "the file ends before its `fmt ` and `data` chunks".into(),
    })
}
