//! FLAC: the header, and the frames, which do not say how long they are.
//!
//! A frame ends where its checksum is right and the next header begins. That finds every whole frame, whatever other programs
//! put around them, and tells which are damaged or missing.
//!
//! # Source
//! RFC 9639, sections 8.2 (STREAMINFO), 9.1 (frame header) and 9.3 (frame footer).

use std::ops::Range;

use sndpipe_artefacts::audio::DecodeLimits;
use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::super::decode::{DecodeError, check_length, check_shape};
use super::super::stream::{Mark, Packet, Stream};
use super::tags;

/// What STREAMINFO says.
struct Info {
    block: u32,
    sample_rate: u32,
    channels: u32,
    bits: u32,
    total: Option<u64>,
    md5: bool,
}

impl Info {
    fn read(body: &[u8]) -> Option<Self> {
        let packed = body.get(10..18)?.try_into().ok().map(u64::from_be_bytes)?;
        Some(Self {
            block: u32::from(u16::from_be_bytes(body.get(2..4)?.try_into().ok()?)),
            sample_rate: (packed >> 44) as u32,
            channels: (packed >> 41 & 7) as u32 + 1,
            bits: (packed >> 36 & 31) as u32 + 1,
            total: Some(packed & 0xf_ffff_ffff).filter(|&n| n > 0),
            md5: body.get(18..34)?.iter().any(|&b| b != 0),
        })
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    /// Frame number, or the first sample's number where `variable`.
    number: u64,
    variable: bool,
    samples: u32,
}

/// Reads the header of a frame that fits the stream; its own checksum must be right.
fn header(bytes: &[u8], at: usize, info: &Info) -> Option<Header> {
    let head = bytes.get(at..(at + 16).min(bytes.len()))?;
    if head.len() < 6 || head[0] != 0xff || head[1] & 0xfe != 0xf8 || head[3] & 1 != 0 {
        return None;
    }
    let (block, rate, assignment, depth) = (head[2] >> 4, head[2] & 15, head[3] >> 4, head[3] >> 1 & 7);
    let channels = if assignment < 8 { u32::from(assignment) + 1 } else { 2 };
    let bits = [info.bits, 8, 12, 0, 16, 20, 24, 32][usize::from(depth)];
    if block == 0 || rate == 15 || assignment > 10 || channels != info.channels || bits != info.bits {
        return None;
    }
    // Coded as a character in UTF-8, of up to seven bytes.
    let more = match head[4].leading_ones() {
        0 => 0,
        n @ 2..=7 => n as usize - 1,
        _ => return None,
    };
    let mut number = u64::from(head[4]) & if more == 0 { 0x7f } else { (1 << (6 - more)) - 1 };
    for &byte in head.get(5..5 + more)? {
        if byte & 0xc0 != 0x80 {
            return None;
        }
        number = number << 6 | u64::from(byte & 0x3f);
    }
    let mut next = 5 + more;
    let mut field = |length: usize| {
        let value = head.get(next..next + length)?.iter().fold(0u32, |n, &b| n << 8 | u32::from(b));
        next += length;
        Some(value)
    };
    let samples = match block {
        1 => 192,
        2..=5 => 576 << (block - 2),
        6 => field(1)? + 1,
        7 => field(2)? + 1,
        _ => 256 << (block - 8),
    };
    let sample_rate = match rate {
        0 => info.sample_rate,
        12 => field(1)? * 1000,
        13 => field(2)?,
        14 => field(2)? * 10,
        n => [0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
            [usize::from(n)],
    };
    if sample_rate != info.sample_rate || crc8(&head[..next]) != *head.get(next)? {
        return None;
    }
    Some(Header { number, variable: head[1] & 1 == 1, samples })
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |crc, &byte| {
        (0..8).fold(crc ^ byte, |c, _| if c & 0x80 == 0 { c << 1 } else { c << 1 ^ 0x07 })
    })
}

/// Table of the CRC-16 of frames: polynomial 0x8005, no reflection, start 0.
const CRC16: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x8005 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

fn crc16(start: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(start, |crc, &byte| crc << 8 ^ CRC16[usize::from(crc >> 8 ^ u16::from(byte))])
}

/// How the frame at a place ends.
enum FrameEnd {
    /// There, with the right checksum.
    Whole(usize),
    /// Its checksum is right nowhere; the next header, if there is one, is there.
    Broken(Option<usize>),
}

/// Returns where the first header of FLAC with a STREAMINFO of its usual length is, among the first MiB.
pub(in super::super) fn find(bytes: &[u8]) -> Option<usize> {
    const HEADER: &[u8] = b"fLaC\0\0\0\x22";
    let searched = &bytes[..bytes.len().min(1 << 20)];
    searched.windows(HEADER.len()).position(|window| window == HEADER || *window == *b"fLaC\x80\0\0\x22")
}

/// Finds the frames of the FLAC stream at `start`.
///
/// # Errors
/// [`DecodeError`] if the header is cut off, promises what is not there or more than `limits` allow.
pub(in super::super) fn open<'a>(
    bytes: &'a [u8],
    start: usize,
    limits: &DecodeLimits,
) -> Result<Stream<'a>, DecodeError> {
    let (body, at) = streaminfo(bytes, start)?;
    let info = Info::read(body).ok_or_else(no_streaminfo)?;
    check_shape(info.sample_rate, info.channels as usize)?;
    check_length(info.total.unwrap_or(0), info.sample_rate, info.channels as usize, limits)?;
    let codec = parameters(&info, body);
    let mut frames = Frames { bytes, info: &info, codec: &codec, budget: 1 << 26 };
    frames.budget += 8 * bytes.len();
    let (packets, marks) = frames.walk(at, limits)?;
    let mut stream = Stream::new(codec, packets);
    stream.marks = marks;
    stream.verify = info.md5;
    Ok(stream)
}

fn no_streaminfo() -> DecodeError {
    DecodeError::Corrupt { seconds: 0.0, detail: "the FLAC header has no STREAMINFO".into() }
}

/// The block STREAMINFO of the header at `start`, and where the header ends.
fn streaminfo(bytes: &[u8], start: usize) -> Result<(&[u8], usize), DecodeError> {
    let cut =
        || DecodeError::Truncated { seconds: 0.0, detail: "the file ends inside the FLAC header".into() };
    let (mut at, mut streaminfo) = (start + 4, None);
    loop {
        let word = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        let word = word.ok_or_else(cut)?;
        let body = bytes.get(at + 4..at + 4 + (word & 0xff_ffff) as usize).ok_or_else(cut)?;
        if word >> 24 & 0x7f == 0 && streaminfo.is_none() {
            streaminfo = Some(body);
        }
        at += 4 + body.len();
        if word >> 31 == 1 {
            break;
        }
    }
    let body = streaminfo.and_then(|b| b.get(..34)).ok_or_else(no_streaminfo)?;
    Ok((body, at))
}

fn parameters(info: &Info, streaminfo: &[u8]) -> AudioCodecParameters {
    let mut codec = AudioCodecParameters::new();
    // The decoder refuses blocks beyond the longest that the header names, which some writers leave at 0.
    let mut extra = streaminfo.to_vec();
    extra[..4].copy_from_slice(&[0, 16, 0xff, 0xff]);
    codec.for_codec(CODEC_ID_FLAC).with_sample_rate(info.sample_rate).with_extra_data(extra.into());
    codec
}

/// What a decoder needs to know, by the header that another container holds; `None` if that is not whole.
pub(super) fn codec(header: &[u8]) -> Option<AudioCodecParameters> {
    let (body, _) = streaminfo(header, 0).ok().filter(|_| header.starts_with(b"fLaC"))?;
    let info = Info::read(body)?;
    check_shape(info.sample_rate, info.channels as usize).ok()?;
    Some(parameters(&info, body))
}

/// Whether the checksum of a frame is right.
pub(super) fn is_whole(frame: &[u8]) -> bool {
    crc16(0, frame) == 0
}

struct Frames<'a, 'i> {
    bytes: &'a [u8],
    info: &'i Info,
    codec: &'i AudioCodecParameters,
    /// Bytes that may still be searched in vain.
    budget: usize,
}

impl<'a> Frames<'a, '_> {
    fn seconds(&self, samples: u64) -> f64 {
        samples as f64 / f64::from(self.info.sample_rate)
    }

    fn walk(
        &mut self,
        begin: usize,
        limits: &DecodeLimits,
    ) -> Result<(Vec<Packet<'a>>, Vec<Mark>), DecodeError> {
        let (mut packets, mut marks) = (Vec::new(), Vec::new());
        // Samples up to here, and the number that the first frame has.
        let (mut position, mut first) = (0u64, None);
        let mut at = begin;
        let end = self.bytes.len();
        let mut rest = None;
        while at < end {
            let Some(head) = header(self.bytes, at, self.info) else {
                let next = self.next_header(at)?;
                let until = next.unwrap_or(end);
                let done = self.info.total.is_some_and(|total| position >= total);
                if next.is_none() || done {
                    rest = Some(at);
                    break;
                }
                let detail = format!("{} bytes between two frames are no FLAC and were left out", until - at);
                marks.push(Mark { packet: packets.len(), detail });
                at = until;
                continue;
            };
            let unit = if head.variable { 1 } else { u64::from(self.info.block.max(1)) };
            let number = head.number.saturating_mul(unit);
            let origin = *first.get_or_insert(number);
            let wanted = number.saturating_sub(origin);
            if wanted > position && self.info.total.is_none_or(|total| wanted <= total) {
                let missing = wanted - position;
                check_length(wanted, self.info.sample_rate, self.info.channels as usize, limits)?;
                let seconds = self.seconds(missing);
                let detail = format!("{missing} samples ({seconds:.3} s) are missing and became silence");
                marks.push(Mark { packet: packets.len(), detail });
                // Without data there is nothing to decode: silence.
                packets.extend(silence(missing));
                position = wanted;
            }
            let samples = u64::from(head.samples);
            match self.end_of(at, &head)? {
                FrameEnd::Whole(next) => {
                    packets.push(Packet { data: &self.bytes[at..next], frames: head.samples });
                    at = next;
                }
                FrameEnd::Broken(Some(next)) => {
                    let detail = "the checksum of a frame is wrong; it became silence".to_owned();
                    marks.push(Mark { packet: packets.len(), detail });
                    packets.extend(silence(samples));
                    at = next;
                }
                FrameEnd::Broken(None) => {
                    rest = Some(at);
                    break;
                }
            }
            position += samples;
            check_length(position, self.info.sample_rate, self.info.channels as usize, limits)?;
        }
        self.judge_end(position, rest, packets.len(), &mut marks)?;
        Ok((packets, marks))
    }

    /// Says what is wrong with the end: `rest` bytes that are no whole frame, and a total that is not reached.
    fn judge_end(
        &self,
        position: u64,
        rest: Option<usize>,
        packet: usize,
        marks: &mut Vec<Mark>,
    ) -> Result<(), DecodeError> {
        let end = tags::strip_back(self.bytes);
        if let Some(total) = self.info.total {
            if position < total {
                return Err(DecodeError::Truncated {
                    seconds: self.seconds(position),
                    detail: format!("the header promises {total} samples, {position} are there"),
                });
            }
            if position > total {
                let detail = format!("the header promises {total} samples, {position} are there");
                marks.push(Mark { packet, detail });
            }
            return Ok(());
        }
        let Some(rest) = rest.filter(|&at| at < end && !tags::is_padding(&self.bytes[at..end])) else {
            return Ok(());
        };
        let n = end - rest;
        let detail = if header(self.bytes, rest, self.info).is_some() || n < 16 {
            format!("the last frame is cut off after {n} bytes and was left out")
        } else {
            format!("{n} bytes behind the last frame are no FLAC and were left out")
        };
        marks.push(Mark { packet, detail });
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| DecodeError::Corrupt {
            seconds: 0.0,
            detail: "almost no FLAC frame has the right checksum".into(),
        })?;
        Ok(())
    }

    fn next_header(&mut self, at: usize) -> Result<Option<usize>, DecodeError> {
        let found = self.candidates(at + 1..self.bytes.len()).next();
        self.spend(found.unwrap_or(self.bytes.len()) - at)?;
        Ok(found)
    }

    fn candidates(&self, range: Range<usize>) -> impl Iterator<Item = usize> + use<'a, '_> {
        let (bytes, info) = (self.bytes, self.info);
        range.filter(move |&at| bytes[at] == 0xff && header(bytes, at, info).is_some())
    }

    fn end_of(&mut self, at: usize, head: &Header) -> Result<FrameEnd, DecodeError> {
        // Twice what the samples take as they are: no encoder writes more.
        let raw = head.samples as usize * self.info.channels as usize * (self.info.bits as usize + 1) / 8;
        let reach = (at + 2 * raw + 1024).min(self.bytes.len());
        let (mut crc, mut done, mut broken) = (0u16, at, None);
        for next in self.candidates(at + 6..reach) {
            crc = crc16(crc, &self.bytes[done..next]);
            done = next;
            if crc == 0 {
                return Ok(FrameEnd::Whole(next));
            }
            broken = broken.or(Some(next));
        }
        crc = crc16(crc, &self.bytes[done..reach]);
        if crc == 0 && reach == self.bytes.len() {
            return Ok(FrameEnd::Whole(reach));
        }
        // Something else follows: the frame ends where its decoder has enough, and its checksum must be right there.
        if let Some(end) = self.decoded_end(at, reach).filter(|&end| crc16(0, &self.bytes[at..end]) == 0) {
            return Ok(FrameEnd::Whole(end));
        }
        self.spend(reach - at)?;
        Ok(FrameEnd::Broken(broken))
    }

    /// Where the frame at `at` ends, by the fewest bytes that decode, and the two of its checksum.
    fn decoded_end(&self, at: usize, reach: usize) -> Option<usize> {
        let mut decoder = super::super::codecs::decoder(self.codec, &AudioDecoderOptions::default()).ok()?;
        let enough = |decoder: &mut Box<dyn AudioDecoder>, end: usize| {
            let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, &self.bytes[at..end]);
            decoder.decode_ref(&packet).is_ok()
        };
        if !enough(&mut decoder, reach) {
            return None;
        }
        let (mut low, mut high) = (at, reach);
        while low + 1 < high {
            let middle = low.midpoint(high);
            if enough(&mut decoder, middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high + 2).filter(|&end| end <= self.bytes.len())
    }
}

/// Packets without data that stand for `samples`.
fn silence<'a>(samples: u64) -> impl Iterator<Item = Packet<'a>> {
    let whole = usize::try_from(samples / u64::from(u32::MAX)).unwrap_or(0);
    let rest = (samples % u64::from(u32::MAX)) as u32;
    std::iter::repeat_n(u32::MAX, whole).chain(Some(rest)).map(|frames| Packet { data: &[], frames })
}
