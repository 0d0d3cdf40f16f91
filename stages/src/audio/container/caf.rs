//! Core Audio Format (Apple), with PCM, G.711 and IMA ADPCM inside.

use super::super::adpcm::{Adpcm, Blocks};
use super::super::decode::DecodeError;
use super::super::sound::{Coding, Order, Sound};
use super::extent::{Extent, unsupported};
use super::{array_of, u32_of, u64_of};

/// Finds the sound of a CAF file; `None` for other formats.
///
/// # Errors
/// [`DecodeError`] for a file that is cut off or has no description of its samples, and for a codec that is not decoded.
pub(super) fn open(file: &[u8]) -> Result<Option<Sound<'_>>, DecodeError> {
    if !file.starts_with(b"caff\0\x01") {
        return Ok(None);
    }
    let cut = || DecodeError::Truncated {
        seconds: 0.0,
        detail: "the file ends before its `desc` and `data` chunks".into(),
    };
    let (mut description, mut data, mut valid) = (None, None, None);
    let mut at = 8usize;
    while let Some(size) = u64_of(file, at.saturating_add(4), Order::Big) {
        let body = at + 12;
        let extent = Extent::new(size, file.len() - body);
        match &file[at..at + 4] {
            b"desc" => description = Some(Description::parse(extent.bytes(file, body)).ok_or_else(cut)?),
            // Numbers of packets, of frames, of frames of priming and of remainder.
            b"pakt" => valid = u64_of(extent.bytes(file, body), 8, Order::Big),
            b"data" => data = Some((body, extent)),
            _ => {}
        }
        at = body.saturating_add(usize::try_from(extent.promised).unwrap_or(usize::MAX));
    }
    let (Some(description), Some((body, extent))) = (description, data) else { return Err(cut()) };
    let coding = description.coding()?;
    // The samples follow a count of edits.
    let sound = Sound {
        data: extent.bytes(file, body).get(4..).unwrap_or(&[]),
        sample_rate: description.sample_rate,
        channels: description.channels,
        coding,
        declared: valid,
    };
    extent.check(&sound)?;
    Ok(Some(sound))
}

/// The `desc` chunk.
struct Description {
    sample_rate: u32,
    codec: [u8; 4],
    flags: u32,
    packet: usize,
    channels: usize,
    bits: u32,
}

impl Description {
    fn parse(body: &[u8]) -> Option<Self> {
        let field = |at| u32_of(body, at, Order::Big);
        let rate = array_of(body, 0, Order::Big).map(f64::from_le_bytes)?.round();
        Some(Self {
            sample_rate: if (0.0..=f64::from(u32::MAX)).contains(&rate) { rate as u32 } else { 0 },
            codec: body.get(8..12)?.try_into().ok()?,
            flags: field(12)?,
            packet: usize::try_from(field(16)?).ok()?,
            channels: usize::try_from(field(24)?).ok()?,
            bits: field(28)?,
        })
    }

    fn coding(&self) -> Result<Coding, DecodeError> {
        let order = if self.flags & 2 == 0 { Order::Big } else { Order::Little };
        let width = self.packet.checked_div(self.channels).unwrap_or(0);
        match (&self.codec, self.flags & 1, width) {
            (b"lpcm", 0, 1..=4) => Ok(Coding::Integer { bytes: width, unused: 0, order }),
            (b"lpcm", 1, 4) => Ok(Coding::Float32(order)),
            (b"lpcm", 1, 8) => Ok(Coding::Float64(order)),
            (b"lpcm", _, _) => Err(unsupported("CAF", &format!("PCM of {} bits", self.bits))),
            (b"alaw", _, _) => Ok(Coding::ALaw),
            (b"ulaw", _, _) => Ok(Coding::MuLaw),
            (b"ima4", _, _) if self.channels <= 2 => {
                Ok(Coding::Adpcm(Blocks { kind: Adpcm::ImaQuickTime, bytes: 34 * self.channels }))
            }
            (codec, _, _) => {
                let name = String::from_utf8_lossy(&codec[..]).trim_end().to_owned();
                Err(unsupported("CAF", &format!("codec `{name}`")))
            }
        }
    }
}
