//! MPEG audio (MP1, MP2, MP3) without a container: its frames, and the tag frame in which an encoder says how long the sound is.
//!
//! # Source
//! ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3, and 13818-3 for the lower sample rates. The tag: *Mp3 Info Tag rev 1* of LAME.

use std::ops::Range;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

use super::super::decode::DecodeError;
use super::super::stream::{Packet, Stream};
use super::chain::{self, Chain};
use super::tags;

/// Samples by which every MP3 decoder is late, which the delay in a tag does not count.
const DECODER_DELAY: u64 = 529;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    /// 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5, as in the header.
    version: u32,
    layer: u32,
    sample_rate: u32,
    mono: bool,
    crc: bool,
    padding: usize,
    /// Length without padding, in bytes; absent for free format.
    size: Option<usize>,
}

impl Frame {
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let word = bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)?;
        let (version, layer) = (word >> 19 & 3, 4 - (word >> 17 & 3));
        let (rate, bitrate) = (word >> 10 & 3, word >> 12 & 15);
        if word >> 21 != 0x7ff || version == 1 || layer == 4 || rate == 3 || bitrate == 15 {
            return None;
        }
        let halvings = match version {
            3 => 0,
            2 => 1,
            _ => 2,
        };
        let sample_rate = [44_100, 48_000, 32_000][rate as usize] >> halvings;
        let slot = if layer == 1 { 4 } else { 1 };
        let slots = |kbit: u32| {
            let slots_per_bit = if layer == 1 { 12 } else { Self::samples_of(version, layer) / 8 };
            (slots_per_bit * kbit * 1000 / sample_rate) as usize * slot
        };
        Some(Self {
            version,
            layer,
            sample_rate,
            mono: word >> 6 & 3 == 3,
            crc: word >> 16 & 1 == 0,
            padding: (word >> 9 & 1) as usize * slot,
            size: (bitrate > 0).then(|| slots(kilobits(version, layer, bitrate))),
        })
    }

    fn samples_of(version: u32, layer: u32) -> u32 {
        match layer {
            1 => 384,
            3 if version != 3 => 576,
            _ => 1152,
        }
    }

    /// Frames of sound in it.
    fn samples(&self) -> u32 {
        Self::samples_of(self.version, self.layer)
    }

    fn shape(&self) -> u32 {
        self.version << 24
            | self.layer << 20
            | self.sample_rate << 2
            | u32::from(self.mono) << 1
            | u32::from(self.size.is_none())
    }

    /// Bytes of side information of layer III.
    fn side_info(&self) -> usize {
        match (self.version == 3, self.mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        }
    }

    fn describe(shape: u32) -> String {
        let channels = if shape >> 1 & 1 == 1 { 1 } else { 2 };
        format!("layer {}, {channels} channels at {} Hz", shape >> 20 & 7, shape >> 2 & 0x3_ffff)
    }
}

/// The bit rate of an index from 1 to 14, kbit/s.
fn kilobits(version: u32, layer: u32, index: u32) -> u32 {
    const V1_L1: [u32; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
    const V1_L2: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const V1_L3: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const V2_L1: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
    const V2_L23: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let table = match (version == 3, layer) {
        (true, 1) => V1_L1,
        (true, 2) => V1_L2,
        (true, _) => V1_L3,
        (false, 1) => V2_L1,
        (false, _) => V2_L23,
    };
    table[index as usize - 1]
}

/// What the tag in the first frame declares.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tag {
    /// Frames that follow it.
    frames: Option<u64>,
    /// Bytes from its own frame on.
    bytes: Option<u64>,
    /// Samples that the encoder put before and after the sound.
    gap: Option<(u64, u64)>,
}

impl Tag {
    /// Reads a Xing, Info or VBRI tag; `None` where the frame is sound.
    fn read(frame: &[u8], header: &Frame) -> Option<Self> {
        if header.layer != 3 {
            return None;
        }
        let number = |at: usize| {
            frame.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).map(u64::from)
        };
        if frame.get(36..40) == Some(b"VBRI") {
            return Some(Self { frames: number(50), bytes: number(46), gap: None });
        }
        // Some encoders count the checksum before the side information, others do not.
        let offsets = [4 + header.side_info(), 6 + header.side_info()];
        let at = offsets
            .into_iter()
            .take(1 + usize::from(header.crc))
            .find(|&at| matches!(frame.get(at..at + 4), Some(b"Xing" | b"Info")))?;
        let flags = number(at + 4)?;
        let mut tag = Self::default();
        let mut next = at + 8;
        for (bit, length) in [(1, 4), (2, 4), (4, 100), (8, 4)] {
            if flags & bit != 0 {
                match bit {
                    1 => tag.frames = number(next),
                    2 => tag.bytes = number(next),
                    _ => {}
                }
                next += length;
            }
        }
        let encoder = frame.get(next..next + 4);
        if matches!(encoder, Some(b"LAME" | b"Lavf" | b"Lavc" | b"L3.9")) {
            tag.gap = number(next + 20).map(|word| word & 0xff_ffff).map(|word| (word >> 12, word & 0xfff));
        }
        Some(tag)
    }
}

/// Finds the frames of MPEG audio that begins at `start`, or, if `anywhere`, later; `None` where there are none.
///
/// # Errors
/// [`DecodeError::Truncated`] if the tag declares more than the file holds.
pub(in super::super) fn open(
    bytes: &[u8],
    start: usize,
    anywhere: bool,
) -> Result<Option<Stream<'_>>, DecodeError> {
    let end = tags::strip_back(bytes);
    let start = start.min(end);
    let begin = start + bytes[start..end].iter().take_while(|&&b| b == 0).count();
    let free = free_size(bytes, begin, end);
    let read = |bytes: &[u8], at: usize| {
        let frame = Frame::read(bytes, at)?;
        let size = frame.size.or(free)? + frame.padding;
        (size > 4).then(|| chain::Header { size, shape: frame.shape() })
    };
    let (starts, run) = if anywhere { (begin..end, 4) } else { (begin..end.min(begin + 1), 2) };
    let Some((first, header)) = chain::find(bytes, starts, end, run, None, &read) else { return Ok(None) };
    let Some(frame) = Frame::read(bytes, first) else { return Ok(None) };
    let mut chain = chain::walk(bytes, first..end, header.shape, &read);
    if let Some((at, other)) = chain.other {
        let seconds = at as f64 * f64::from(frame.samples()) / f64::from(frame.sample_rate);
        let detail = format!(
            "the stream changes from {} to {}",
            Frame::describe(header.shape),
            Frame::describe(other)
        );
        return Err(DecodeError::Corrupt { seconds, detail });
    }
    let tag = chain.frames.first().and_then(|range| Tag::read(&bytes[range.clone()], &frame));
    if tag.is_some() {
        chain.frames.remove(0);
        chain.gaps.iter_mut().for_each(|gap| gap.frame = gap.frame.saturating_sub(1));
    }
    // Where files were put behind one another, the tags of the later ones are no sound either.
    let is_tag = |range: &Range<usize>| {
        Frame::read(bytes, range.start).is_some_and(|f| Tag::read(&bytes[range.clone()], &f).is_some())
    };
    let inner: Vec<usize> = (0..chain.frames.len()).filter(|&i| is_tag(&chain.frames[i])).collect();
    for &i in inner.iter().rev() {
        chain.frames.remove(i);
        chain.gaps.iter_mut().for_each(|gap| gap.frame -= usize::from(gap.frame > i));
    }
    let pieces = tag.map(|tag| declared(&tag, &frame, &chain, first, end)).transpose()?.unwrap_or_default();
    let packet = |range: &Range<usize>| Packet { data: &bytes[range.clone()], frames: frame.samples() };
    let packets = chain.frames.iter().map(packet).collect();
    let mut codec = AudioCodecParameters::new();
    codec.for_codec(codec_of(frame.layer)).with_sample_rate(frame.sample_rate);
    let mut stream = Stream::new(codec, packets);
    stream.pieces = pieces;
    stream.marks = chain.marks("MPEG audio");
    Ok(Some(stream.behind(first - begin, "MPEG audio")))
}

fn codec_of(layer: u32) -> AudioCodecId {
    match layer {
        1 => CODEC_ID_MP1,
        2 => CODEC_ID_MP2,
        _ => CODEC_ID_MP3,
    }
}

/// Returns the decoder of a packet that a container calls MPEG audio.
pub(super) fn codec_of_packet(packet: &[u8]) -> AudioCodecId {
    Frame::read(packet, 0).map_or(CODEC_ID_MP3, |frame| codec_of(frame.layer))
}

/// The parts of the decoded frames that are the sound, as the tag declares them.
fn declared(
    tag: &Tag,
    frame: &Frame,
    chain: &Chain,
    first: usize,
    end: usize,
) -> Result<Vec<Range<u64>>, DecodeError> {
    let samples = u64::from(frame.samples());
    let held = chain.frames.len() as u64;
    if let Some(wanted) = tag.frames.filter(|&wanted| wanted > held) {
        let missing = wanted - held;
        let bytes_missing = tag.bytes.map(|n| n > (end - first) as u64);
        let audio: usize = chain.frames.iter().map(ExactSizeIterator::len).sum();
        let per_frame = (audio / chain.frames.len().max(1)).max(1);
        let lost: usize = chain.gaps.iter().map(|gap| gap.bytes.len() / per_frame + 2).sum();
        // Some encoders count the frame of the tag too.
        if bytes_missing.unwrap_or(missing > lost as u64 + 1) {
            return Err(DecodeError::Truncated {
                seconds: (held * samples) as f64 / f64::from(frame.sample_rate),
                detail: format!("the header promises {wanted} frames, the file holds {held}"),
            });
        }
    }
    let Some((delay, padding)) = tag.gap else { return Ok(Vec::new()) };
    let start = delay + DECODER_DELAY;
    let counted = tag.frames.unwrap_or(held).min(held) * samples;
    let stop = (counted + DECODER_DELAY).saturating_sub(padding).min(counted).max(start);
    // What follows the declared frames was added later and is kept.
    Ok(vec![start..stop, counted..u64::MAX])
}

/// The size of a frame of free format at `at`, without padding: the distance to the next header of its kind.
fn free_size(bytes: &[u8], at: usize, end: usize) -> Option<usize> {
    let first = Frame::read(bytes, at).filter(|f| f.size.is_none())?;
    let same = |at: usize| Frame::read(&bytes[..end], at).filter(|f| f.shape() == first.shape());
    // 640 kbit/s at 8 kHz and 1,152 samples a frame are 11,520 bytes.
    (at + 24..end.min(at + 11_600)).filter(|&next| bytes[next] == 0xff).find_map(|next| {
        let size = same(next).and_then(|_| (next - at).checked_sub(first.padding))?;
        let second = next + size + same(next)?.padding;
        (second == end || same(second).is_some()).then_some(size)
    })
}
