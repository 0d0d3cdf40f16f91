//! Sound laid out as packets, which is what a container knows before anything is decoded.

use std::ops::Range;

use sndpipe_artefacts::audio::DecodeLimits;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::decode::{Damage, DecodeError, Pcm, check_length, check_shape};
use super::planes::Planes;
use super::timing::{Clock, Timing};

/// What a decoder is given at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    /// The bytes; none for silence.
    pub data: &'a [u8],
    /// How many frames (samples of every channel) it stands for: the silence in its place where it cannot be decoded.
    pub frames: u32,
}

/// A remark of the container about the place before one of its packets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    /// The packet that follows, counted from 0.
    pub packet: usize,
    /// What is missing or out of place.
    pub detail: String,
}

/// One audio track of a file: its packets, and which part of what they decode to is the sound.
pub(super) struct Stream<'a> {
    /// What the decoder has to know.
    pub codec: AudioCodecParameters,
    /// In the order in which they are decoded.
    pub packets: Vec<Packet<'a>>,
    /// The unit of `pieces` in ticks per second; `None` counts frames.
    pub timescale: Option<u32>,
    /// The parts of the decoded sound that are played, in this order; without any, all of it.
    pub pieces: Vec<Range<u64>>,
    /// What the container found damaged.
    pub marks: Vec<Mark>,
    /// What the container says of each packet's time; none where it says nothing.
    pub timing: Vec<Timing>,
    /// Whether the codec carries a checksum of the whole sound that is worth comparing.
    pub verify: bool,
}

impl<'a> Stream<'a> {
    /// Returns a stream of which all is sound.
    pub fn new(codec: AudioCodecParameters, packets: Vec<Packet<'a>>) -> Self {
        let (timescale, pieces, marks, timing) = (None, Vec::new(), Vec::new(), Vec::new());
        Self { codec, packets, timescale, pieces, marks, timing, verify: false }
    }

    /// Remarks that so many bytes before the first frame of `codec` were left out, if there are any.
    pub fn behind(mut self, bytes: usize, codec: &str) -> Self {
        if bytes > 0 {
            let detail = format!("{bytes} bytes before the first frame are no {codec} and were left out");
            self.marks.insert(0, Mark { packet: 0, detail });
        }
        self
    }

    /// Decodes the packets and plays the pieces.
    ///
    /// # Errors
    /// [`DecodeError`] where the codec is not decoded here, where more packets are lost than decoded, or beyond `limits`.
    pub fn decode(self, limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
        if let (Some(rate), Some(channels)) = (self.codec.sample_rate, self.codec.channels.as_ref()) {
            check_shape(rate, channels.count())?;
        }
        let options = AudioDecoderOptions::default().verify(self.verify);
        let mut decoder = super::codecs::decoder(&self.codec, &options).map_err(|e| match e {
            Error::Unsupported(what) => DecodeError::Unsupported { detail: what.into() },
            other => DecodeError::Corrupt { seconds: 0.0, detail: other.to_string() },
        })?;
        let mut sound = Sound::default();
        let mut marks = self.marks.iter().peekable();
        for (at, packet) in self.packets.iter().enumerate() {
            while let Some(mark) = marks.next_if(|m| m.packet <= at) {
                sound.damage(mark.detail.clone());
            }
            let timing = self.timing.get(at).copied().unwrap_or_default();
            if timing.loss {
                sound.lose();
                // Two blocks that are not neighbours must not overlap. Other codecs go on with the state that they have.
                if self.codec.codec == CODEC_ID_VORBIS {
                    decoder.reset();
                }
            }
            let before = sound.decoded;
            sound.packet(decoder.as_mut(), packet, limits)?;
            if sound.decoded > before {
                sound.place(timing, self.codec.codec == CODEC_ID_OPUS);
            }
        }
        sound.flush(limits)?;
        for mark in marks {
            sound.damage(mark.detail.clone());
        }
        if let Some(error) = sound.error.take().filter(|_| sound.lost > sound.decoded) {
            return Err(error);
        }
        let intact = sound.damage.is_empty();
        if intact && decoder.finalize().verify_ok == Some(false) {
            let detail = "the samples do not match the MD5 checksum in the header".to_owned();
            sound.damage.push((0, detail));
        }
        sound.play(self.timescale, &self.pieces, limits)
    }
}

/// What was decoded so far.
#[derive(Default)]
struct Sound {
    planes: Planes,
    clock: Clock,
    /// Frames of the last packet.
    last: usize,
    /// Frames that were decoded and are not to be heard.
    discarded: usize,
    /// The remark on packets that are lost, as long as nobody knows how much sound they are.
    told: Option<usize>,
    /// Frame and remark.
    damage: Vec<(usize, String)>,
    /// Packets that gave samples.
    decoded: usize,
    /// Packets that gave none.
    lost: usize,
    /// Packets lost in a row, their frames, and why.
    run: Option<(usize, u64, String)>,
    /// The first reason why a packet was lost.
    error: Option<DecodeError>,
}

impl Sound {
    fn frames(&self) -> usize {
        self.planes.frames()
    }

    /// Packets are lost, as the last remark says.
    fn lose(&mut self) {
        self.clock.lose();
        self.told = self.told.or(self.damage.len().checked_sub(1));
    }

    fn damage(&mut self, detail: String) {
        let pending = self.run.as_ref().map_or(0, |(_, frames, _)| *frames) as usize;
        self.damage.push((self.frames() + pending, detail));
    }

    fn packet(
        &mut self,
        decoder: &mut dyn AudioDecoder,
        packet: &Packet<'_>,
        limits: &DecodeLimits,
    ) -> Result<(), DecodeError> {
        if packet.data.is_empty() {
            self.run.get_or_insert_default().1 += u64::from(packet.frames);
            return Ok(());
        }
        let input = PacketRef::new(0, Timestamp::ZERO, Duration::from(packet.frames), packet.data);
        let buffer = match decoder.decode_ref(&input) {
            Ok(buffer) => buffer,
            Err(Error::Unsupported(what)) => return Err(DecodeError::Unsupported { detail: what.into() }),
            Err(error) => {
                let detail = reason(&error);
                let seconds = self.planes.seconds(self.frames());
                self.error.get_or_insert(DecodeError::Corrupt { seconds, detail: detail.clone() });
                self.lost += 1;
                let run = self.run.get_or_insert_default();
                if run.0 == 0 {
                    run.2 = detail;
                }
                run.0 += 1;
                run.1 += u64::from(packet.frames);
                return Ok(());
            }
        };
        let seconds = self.planes.seconds(self.frames());
        self.planes.shape(&buffer, |change| DecodeError::Corrupt {
            seconds,
            detail: format!("the stream changes {change}"),
        })?;
        self.flush(limits)?;
        self.last = self.planes.push(&buffer, limits)?;
        self.decoded += 1;
        Ok(())
    }

    /// Compares the time of the packet that was decoded last with the sound before it, and removes of it what is not to be heard.
    fn place(&mut self, timing: Timing, opus: bool) {
        let start = self.frames() - self.last;
        if let Some(nanoseconds) = timing.nanoseconds.filter(|_| self.last > 0) {
            let seconds = self.planes.seconds(start + self.discarded);
            if let Some(missing) = self.clock.tick(nanoseconds, seconds) {
                let lost = format!("{missing:.3} s of sound are lost");
                match self.told.and_then(|told| self.damage.get_mut(told)) {
                    Some((_, detail)) => *detail += &format!(", {lost}"),
                    None => self.damage.push((start, format!("the times of the packets jump, {lost}"))),
                }
            }
            self.told = None;
        }
        let exact = timing.discard.unsigned_abs() as f64 * f64::from(self.planes.rate) / 1e9;
        let mut discard = exact.round() as usize;
        if discard > self.last {
            // More than there is: writers that copy Vorbis from Ogg count its first packet, which gives nothing.
            discard = if opus { self.last } else { 0 };
        }
        self.discarded += discard;
        let end = self.frames();
        for channel in &mut self.planes.channels {
            if timing.discard < 0 {
                channel.drain(start..start + discard);
            } else {
                channel.truncate(end - discard);
            }
        }
    }

    /// Puts silence in the place of packets that were lost.
    fn flush(&mut self, limits: &DecodeLimits) -> Result<(), DecodeError> {
        let Some((packets, frames, why)) = self.run.take() else { return Ok(()) };
        let start = self.frames();
        if self.planes.rate > 0 {
            self.planes.silence(frames, limits)?;
        }
        if packets == 0 {
            return Ok(());
        }
        let lost = if packets == 1 { "a packet".to_owned() } else { format!("{packets} packets") };
        let at = self.damage.partition_point(|&(frame, _)| frame <= start);
        self.told = self.told.map(|told| if at <= told { told + 1 } else { told });
        self.damage.insert(at, (start, format!("{lost} could not be decoded and became silence: {why}")));
        Ok(())
    }

    fn play(
        self,
        timescale: Option<u32>,
        pieces: &[Range<u64>],
        limits: &DecodeLimits,
    ) -> Result<Pcm, DecodeError> {
        let frames = self.frames();
        if frames == 0 {
            return Err(DecodeError::Empty);
        }
        let rate = self.planes.rate;
        let frame = |ticks: u64| -> usize {
            let Some(scale) = timescale.filter(|&s| s > 0 && s != rate) else {
                return usize::try_from(ticks).unwrap_or(usize::MAX).min(frames);
            };
            let exact = u128::from(ticks) * u128::from(rate) + u128::from(scale / 2);
            usize::try_from(exact / u128::from(scale)).unwrap_or(usize::MAX).min(frames)
        };
        let pieces: Vec<Range<usize>> =
            pieces.iter().map(|p| frame(p.start)..frame(p.end)).filter(|p| !p.is_empty()).collect();
        if pieces.is_empty() || (pieces.len() == 1 && pieces[0] == (0..frames)) {
            let damage = self.damage.into_iter().map(|(at, detail)| place(at, rate, detail)).collect();
            return Ok(Pcm { sample_rate: rate, channels: self.planes.channels, damage });
        }
        let total: u64 = pieces.iter().map(|p| p.len() as u64).sum();
        check_length(total, rate, self.planes.channels.len(), limits)?;
        let damage = self
            .damage
            .into_iter()
            .map(|(at, detail)| {
                let (mut played, mut here) = (0, 0);
                for piece in &pieces {
                    if at >= piece.start {
                        here = played + at.min(piece.end) - piece.start;
                    }
                    played += piece.len();
                }
                place(here, rate, detail)
            })
            .collect();
        let channels = self
            .planes
            .channels
            .into_iter()
            .map(|mut channel| {
                if let [only] = &pieces[..] {
                    channel.truncate(only.end);
                    channel.drain(..only.start);
                    return channel;
                }
                pieces.iter().flat_map(|p| channel[p.clone()].iter().copied()).collect()
            })
            .collect();
        Ok(Pcm { sample_rate: rate, channels, damage })
    }
}

fn place(frame: usize, rate: u32, detail: String) -> Damage {
    Damage { seconds: frame as f64 / f64::from(rate), detail }
}

/// Why a packet could not be decoded, in words.
fn reason(error: &Error) -> String {
    match error {
        Error::IoError(_) => "its data ends early".to_owned(),
        Error::DecodeError(what) => (*what).to_owned(),
        other => other.to_string(),
    }
}
