//! Core Audio Format (Apple): PCM, G.711, IMA ADPCM and MPEG audio here, codecs of packets in [`packets`].

pub(super) mod packets;

use super::super::adpcm::{Adpcm, Blocks};
use super::super::decode::DecodeError;
use super::super::sound::{Coding, Order, Sound};
use super::extent::{Extent, unsupported};
use super::{array_of, u32_of, u64_of};

/// Finds the samples of a CAF file; `None` for other formats, and for codecs of packets.
///
/// # Errors
/// [`DecodeError`] for a file that is cut off or has no description of its samples, and for a codec that is not decoded.
pub(super) fn open(file: &[u8]) -> Result<Option<Sound<'_>>, DecodeError> {
    let Some(chunks) = Chunks::read(file)? else { return Ok(None) };
    let description = chunks.description;
    if packets::holds(&description.codec) {
        return Ok(None);
    }
    let sound = Sound {
        data: chunks.data,
        sample_rate: description.sample_rate,
        channels: description.channels,
        coding: description.coding()?,
        declared: u64_of(chunks.table, 8, Order::Big),
    };
    chunks.extent.check(&sound)?;
    Ok(Some(sound))
}

/// What a CAF file holds.
struct Chunks<'a> {
    description: Description,
    /// What the decoder has to know (`kuki`).
    cookie: &'a [u8],
    /// Numbers of packets, of frames, of frames of priming and of remainder, then a description of each packet (`pakt`).
    table: &'a [u8],
    /// The sound, behind a count of edits.
    data: &'a [u8],
    extent: Extent,
}

impl<'a> Chunks<'a> {
    /// Reads the chunks; `None` for other formats.
    fn read(file: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        if !file.starts_with(b"caff\0\x01") {
            return Ok(None);
        }
        let cut = || DecodeError::Truncated {
            seconds: 0.0,
            detail: "the file ends before its `desc` and `data` chunks".into(),
        };
        let (mut description, mut data, mut cookie, mut table) = (None, None, &[][..], &[][..]);
        let mut at = 8usize;
        while let Some(size) = u64_of(file, at.saturating_add(4), Order::Big) {
            let body = at + 12;
            let extent = Extent::new(size, file.len() - body);
            let bytes = extent.bytes(file, body);
            match &file[at..at + 4] {
                b"desc" => description = Some(Description::parse(bytes).ok_or_else(cut)?),
                b"kuki" => cookie = bytes,
                b"pakt" => table = bytes,
                b"data" => data = Some((bytes.get(4..).unwrap_or(&[]), extent)),
                _ => {}
            }
            at = body.saturating_add(usize::try_from(extent.promised).unwrap_or(usize::MAX));
        }
        let (Some(description), Some((data, extent))) = (description, data) else { return Err(cut()) };
        Ok(Some(Self { description, cookie, table, data, extent }))
    }
}

/// The `desc` chunk.
struct Description {
    sample_rate: u32,
    codec: [u8; 4],
    flags: u32,
    /// Bytes of a packet, 0 where they differ.
    packet: usize,
    /// Frames of a packet, 0 where they differ.
    frames: u32,
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
            frames: field(20)?,
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
            (b".mp1" | b".mp2" | b".mp3", _, _) => Ok(Coding::Mpeg),
            (codec, _, _) => {
                let name = String::from_utf8_lossy(&codec[..]).trim_end().to_owned();
                Err(unsupported("CAF", &format!("codec `{name}`")))
            }
        }
    }
}
