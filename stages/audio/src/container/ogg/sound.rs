//! Packets of logical streams to one sound.

use sndpipe_artefacts::audio::DecodeLimits;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::super::super::codecs;
use super::super::super::decode::{Damage, DecodeError, Pcm};
use super::super::super::planes::Planes;
use super::codec::Codec;
use super::stream::Stream;

/// A sound that grows by one logical stream after the other.
pub(super) struct Sound {
    limits: DecodeLimits,
    planes: Planes,
    damage: Vec<Damage>,
    /// A stream was read, whatever it held.
    read: bool,
    /// Why the first packet that could not be decoded could not.
    undecodable: Option<String>,
}

impl Sound {
    pub(super) fn new(limits: DecodeLimits) -> Self {
        Self { limits, planes: Planes::default(), damage: Vec::new(), read: false, undecodable: None }
    }

    fn frames(&self) -> usize {
        self.planes.frames()
    }

    fn seconds(&self, frames: usize) -> f64 {
        self.planes.seconds(frames)
    }

    /// The sample rate, once it is known, Hz.
    pub(super) fn rate(&self) -> Option<u32> {
        Some(self.planes.rate).filter(|&rate| rate > 0)
    }

    /// Tells of something missing after what was read so far.
    pub(super) fn remark(&mut self, detail: String) {
        let seconds = self.seconds(self.frames());
        self.damage.push(Damage { seconds, detail });
    }

    /// Decodes a stream; `rest` says what stands behind its last page.
    pub(super) fn add(
        &mut self,
        stream: Stream<'_>,
        codec: Codec,
        rest: Option<String>,
    ) -> Result<(), DecodeError> {
        self.read = true;
        let headers = codec.headers(&stream.packets).min(stream.packets.len());
        let (headers, _) = stream.packets.split_at(headers);
        let params = codec.params(headers).ok_or_else(|| DecodeError::Corrupt {
            seconds: self.seconds(self.frames()),
            detail: "the headers of the Ogg stream are damaged or missing".into(),
        })?;
        let head: &[u8] = headers.first().map_or(&[], |head| head);
        let start = self.frames();
        let mut decoder = codecs::decoder(&params, &AudioDecoderOptions::default())
            .map_err(|e| codecs::failed(&e, self.seconds(start)))?;
        let mut clock = Clock { granule: None, since: 0, cut_start: 0, cut_end: 0 };
        let (mut holes, mut marks) = (stream.holes.iter().peekable(), stream.marks.iter().peekable());
        // Where the last hole is in `damage`, and the granule position before it.
        let mut open: Option<(usize, u64)> = None;
        for (index, data) in stream.packets.iter().enumerate() {
            while let Some(hole) = holes.next_if(|hole| hole.packets <= index) {
                let seconds = self.seconds(self.frames());
                self.damage.push(Damage { seconds, detail: hole.detail.clone() });
                if hole.harmless || index < headers.len() {
                    continue;
                }
                open = clock.granule.map(|granule| (self.damage.len() - 1, granule + clock.since));
                clock.lose();
                // Two blocks that are not neighbours must not overlap. Opus goes on with the state that it has.
                if codec == Codec::Vorbis {
                    decoder.reset();
                }
            }
            if index >= headers.len() && !data.is_empty() && !is_header(codec, data) {
                let packet = Packet::new(0, Timestamp::ZERO, Duration::ZERO, &data[..]);
                match decoder.decode(&packet) {
                    Ok(buffer) => {
                        self.planes.shape(&buffer, other_shape)?;
                        clock.since += self.planes.push(&buffer, &self.limits)? as u64;
                    }
                    Err(error) => {
                        let detail = format!("packet {index} of the Ogg stream cannot be decoded: {error}");
                        self.undecodable.get_or_insert_with(|| detail.clone());
                        self.damage.push(Damage { seconds: self.seconds(self.frames()), detail });
                    }
                }
            }
            while let Some(mark) = marks.next_if(|mark| mark.packets <= index + 1) {
                if let Some((at, before)) = open.take() {
                    let lost = mark.granule.saturating_sub(before).saturating_sub(clock.since);
                    let seconds = lost as f64 / f64::from(codec.rate(head).max(1));
                    if lost > 0 {
                        self.damage[at].detail += &format!(", {seconds:.3} s of sound are lost");
                    }
                }
                // Pages of headers have a position, too: 0, wherever the sound starts.
                if mark.packets > headers.len() {
                    clock.page(mark.granule, codec, marks.peek().is_none());
                }
            }
        }
        self.trim(start, codec.pre_skip(head), &clock);
        self.end(&stream, codec.promised(head), start, rest)
    }

    /// Removes what the granule positions and the pre-skip say is no sound.
    fn trim(&mut self, start: usize, pre_skip: u64, clock: &Clock) {
        let end = self.frames();
        let length = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let last = end.saturating_sub(length(clock.cut_end)).max(start);
        let first = start.saturating_add(length(clock.cut_start.saturating_add(pre_skip))).min(last);
        for channel in &mut self.planes.channels {
            channel.truncate(last);
            channel.drain(start..first);
        }
        // Every place was counted from before the start was removed.
        let early = self.seconds(first - start);
        let from = self.seconds(start);
        for damage in self.damage.iter_mut().filter(|damage| damage.seconds > from) {
            damage.seconds = (damage.seconds - early).max(from);
        }
    }

    /// Compares the end of a stream with what it promises.
    fn end(
        &mut self,
        stream: &Stream<'_>,
        promised: Option<u64>,
        start: usize,
        rest: Option<String>,
    ) -> Result<(), DecodeError> {
        let length = (self.frames() - start) as u64;
        let seconds = self.seconds(self.frames());
        let whole = stream.holes.iter().all(|hole| hole.harmless) && self.undecodable.is_none();
        if let Some(promised) = promised.filter(|&n| whole && n > length) {
            let detail = format!("the header promises {promised} samples, {length} are there");
            return Err(DecodeError::Truncated { seconds, detail });
        }
        if let Some(detail) = rest {
            self.remark(detail);
        } else if !stream.ended && promised != Some(length) {
            let detail =
                "the last Ogg page has no end-of-stream flag: its writer did not set it, or the file is \
                          cut off between two pages"
                    .into();
            self.damage.push(Damage { seconds, detail });
        }
        Ok(())
    }

    /// Returns the sound; `None` if no stream was read.
    pub(super) fn finish(self) -> Result<Option<Pcm>, DecodeError> {
        if !self.read {
            return Ok(None);
        }
        if self.frames() == 0 {
            return Err(match self.undecodable {
                Some(detail) => DecodeError::Corrupt { seconds: 0.0, detail },
                None => DecodeError::Empty,
            });
        }
        let Self { planes, damage, .. } = self;
        Ok(Some(Pcm { sample_rate: planes.rate, channels: planes.channels, damage }))
    }
}

/// Streams of different shapes are not one sound.
fn other_shape(change: String) -> DecodeError {
    let detail = format!("the file is a chain of streams, {change}: split it into one file per stream");
    DecodeError::Unsupported { detail }
}

/// Headers may be repeated inside a stream; they are no sound.
fn is_header(codec: Codec, packet: &[u8]) -> bool {
    match codec {
        Codec::Vorbis => packet[0] & 1 == 1,
        Codec::Opus => packet.starts_with(b"OpusTags"),
        Codec::Flac => packet[0] != 0xff,
    }
}

/// Compares what was decoded with the granule positions, as `vorbis_synthesis_blockin` of libvorbis does.
struct Clock {
    /// The granule position of the last page that had one.
    granule: Option<u64>,
    /// Samples decoded since then.
    since: u64,
    /// Samples to remove at the start.
    cut_start: u64,
    /// Samples to remove at the end.
    cut_end: u64,
}

impl Clock {
    /// A page ends at `granule`.
    fn page(&mut self, granule: u64, codec: Codec, last: bool) {
        // FLAC declares its length elsewhere, and has nothing to remove.
        if codec != Codec::Flac {
            match self.granule {
                None if last => self.cut_end = self.since.saturating_sub(granule),
                // RFC 7845 forbids this for Opus: nothing is removed.
                None if codec == Codec::Vorbis => self.cut_start = self.since.saturating_sub(granule),
                None => {}
                Some(before) if last => {
                    self.cut_end = before.saturating_add(self.since).saturating_sub(granule);
                }
                Some(_) => {}
            }
        }
        self.granule = Some(granule);
        self.since = 0;
    }

    /// Packets are lost, so that the position is unknown until the next page has one.
    fn lose(&mut self) {
        self.granule = None;
        self.since = 0;
    }
}
