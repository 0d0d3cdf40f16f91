//! Bytes of an audio file to samples, through symphonia.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::audio::{AudioDecoderOptions, well_known};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use thiserror::Error as ThisError;

use super::container;
pub(super) use super::damage::Damage;

/// The highest sample rate that is believed, Hz.
pub const MAX_SAMPLE_RATE: u32 = 768_000;

/// The largest number of channels that is believed.
pub const MAX_CHANNELS: usize = 64;

/// The most samples that a file may hold, all channels together: 4 GiB in memory, an hour of stereo at 144 kHz.
pub const MAX_SAMPLES: u64 = 1 << 30;

/// What a file may cost at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeLimits {
    /// The longest sound that is decoded, in seconds. Decoding stops where it is passed.
    pub max_seconds: f64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_seconds: 3600.0 }
    }
}

/// Decoded audio: one vector of samples per channel, all of one length, full scale at ±1.
#[derive(Debug, Clone, PartialEq)]
pub struct Pcm {
    /// Samples per second and channel, Hz.
    pub sample_rate: u32,
    /// `[channels][samples]`.
    pub channels: Vec<Vec<f32>>,
    /// What is missing or out of place inside the sound, in order; none for a whole file.
    pub damage: Vec<Damage>,
}

/// Why bytes are not a usable sound. Every variant is determined by the bytes and the limits alone.
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
pub enum DecodeError {
    /// No known audio format.
    #[error(
        "not an audio file of a known format (wav, aiff, au, caf, flac, ogg, opus, webm, mkv, mp3, m4a): {detail}"
    )]
    NotAudio {
        /// What was missing.
        detail: String,
    },
    /// A file of another kind that is known.
    #[error("{what}, not audio: {way_out}")]
    Foreign {
        /// What it is.
        what: String,
        /// What to do.
        way_out: String,
    },
    /// A known container around something that is not decoded here.
    #[error("unsupported audio: {detail}")]
    Unsupported {
        /// The codec or feature.
        detail: String,
    },
    /// The bytes stop before the sound does.
    #[error("truncated after {seconds:.3} s: {detail}")]
    Truncated {
        /// How far the sound came, in seconds.
        seconds: f64,
        /// What was promised and what is there.
        detail: String,
    },
    /// The bytes contradict themselves.
    #[error("corrupt after {seconds:.3} s: {detail}")]
    Corrupt {
        /// How far the sound came, in seconds.
        seconds: f64,
        /// What is wrong.
        detail: String,
    },
    /// No samples at all.
    #[error("the file holds no samples")]
    Empty,
    /// A sample that is not a number or infinite.
    #[error("sample {index} of channel {channel} is {value}, not a finite number")]
    NonFinite {
        /// Channel, from 0.
        channel: usize,
        /// Position in the channel, from 0.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A sample rate nobody records at.
    #[error("sample rate: {value} Hz is outside 1..={MAX_SAMPLE_RATE}")]
    SampleRate {
        /// The rate in Hz.
        value: u32,
    },
    /// A channel count that is not credible.
    #[error("channels: {value} is outside 1..={MAX_CHANNELS}")]
    ChannelCount {
        /// The count.
        value: usize,
    },
    /// More samples than memory should be spent on.
    #[error("more than {MAX_SAMPLES} samples in {channels} channels")]
    TooMany {
        /// How many channels there are.
        channels: usize,
    },
    /// Longer than [`DecodeLimits::max_seconds`].
    #[error("longer than the {max_seconds} s that are allowed")]
    TooLong {
        /// The limit.
        max_seconds: f64,
    },
}

/// Refuses sample rates and channel counts that are not credible.
pub(super) fn check_shape(sample_rate: u32, channels: usize) -> Result<(), DecodeError> {
    if !(1..=MAX_SAMPLE_RATE).contains(&sample_rate) {
        return Err(DecodeError::SampleRate { value: sample_rate });
    }
    if !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(DecodeError::ChannelCount { value: channels });
    }
    Ok(())
}

/// Refuses a sound that is too long, by what a header promises or by what was decoded so far.
pub(super) fn check_length(
    frames: u64,
    sample_rate: u32,
    channels: usize,
    limits: &DecodeLimits,
) -> Result<(), DecodeError> {
    if frames as f64 > limits.max_seconds * f64::from(sample_rate) {
        return Err(DecodeError::TooLong { max_seconds: limits.max_seconds });
    }
    if frames.saturating_mul(channels as u64) > MAX_SAMPLES {
        return Err(DecodeError::TooMany { channels });
    }
    Ok(())
}

/// Decodes a whole file held in memory.
///
/// `extension_hint` (such as `"wav"`) only orders the guesses; the bytes decide. Encoder delay and padding that the
/// stream declares are removed. The result depends on nothing but the arguments.
///
/// Channels stand in the order of the stream: of Vorbis and Opus left, centre, right, … from three channels on, as in
/// libsndfile. Opus is at 48 kHz. Where an Ogg page is missing or damaged nothing is put in its place: the sound goes on
/// with the next page, and Vorbis with the second block after it, as in libsndfile; a remark says what is lost.
///
/// # Errors
/// [`DecodeError`], for anything that is not one whole sound with finite samples. No bytes make this function panic.
pub fn decode(bytes: &[u8], extension_hint: Option<&str>, limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
    // The decoders are not ours: should one of them panic on damaged bytes, that is one more way to be corrupt.
    let pcm = catch_unwind(AssertUnwindSafe(|| {
        if let Some(decoded) = container::decode(bytes, limits)? {
            return Ok(decoded);
        }
        if let Some(stream) = container::open(bytes, limits)? {
            return stream.decode(limits);
        }
        decode_stream(bytes, extension_hint, limits)
    }))
    .unwrap_or_else(|_| {
        Err(DecodeError::Corrupt { seconds: 0.0, detail: "the decoder gave up on these bytes".into() })
    })?;
    for (channel, samples) in pcm.channels.iter().enumerate() {
        if let Some(index) = samples.iter().position(|x| !x.is_finite()) {
            return Err(DecodeError::NonFinite { channel, index, value: samples[index] });
        }
    }
    Ok(pcm)
}

/// How far a decode has come, for messages.
struct Progress {
    sample_rate: u32,
    channels: Vec<Vec<f32>>,
}

impl Progress {
    fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    fn seconds(&self) -> f64 {
        if self.sample_rate == 0 { 0.0 } else { self.frames() as f64 / f64::from(self.sample_rate) }
    }

    fn truncated(&self, detail: impl Into<String>) -> DecodeError {
        DecodeError::Truncated { seconds: self.seconds(), detail: detail.into() }
    }

    fn corrupt(&self, detail: impl Into<String>) -> DecodeError {
        DecodeError::Corrupt { seconds: self.seconds(), detail: detail.into() }
    }

    /// What symphonia's error means in the middle of a stream.
    fn failed(&self, error: &Error) -> DecodeError {
        match error {
            Error::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
                self.truncated("the bytes end in the middle of a packet")
            }
            Error::Unsupported(what) => DecodeError::Unsupported { detail: (*what).into() },
            other => self.corrupt(other.to_string()),
        }
    }
}

fn decode_stream(bytes: &[u8], hint_text: Option<&str>, limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
    let mut hint = Hint::new();
    if let Some(extension) = hint_text {
        hint.with_extension(extension);
    }
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), MediaSourceStreamOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&hint, source, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| opening_error(&e))?;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| DecodeError::Unsupported { detail: "no audio track in the file".into() })?;
    let track_id = track.id;
    let promised = track.num_frames;
    let codec =
        track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| DecodeError::Unsupported {
            detail: "the codec is not named in the file".into(),
        })?;
    if let Some(rate) = codec.sample_rate {
        let channels = codec.channels.as_ref().map_or(1, |c| c.count());
        check_shape(rate, channels)?;
        // Others count in units of their own.
        let counts_samples = matches!(codec.codec, well_known::CODEC_ID_FLAC | well_known::CODEC_ID_MP3);
        check_length(promised.filter(|_| counts_samples).unwrap_or(0), rate, channels, limits)?;
    }
    // flac counts every sample; an mp3 with an encoder's header frame counts its frames of at most 1152.
    let slack = match codec.codec {
        well_known::CODEC_ID_FLAC => Some(0),
        well_known::CODEC_ID_MP3 if track.delay.is_some() => Some(1152),
        _ => None,
    };
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(codec, &AudioDecoderOptions::default().gapless(true))
        .map_err(|e| match e {
            Error::Unsupported(what) => DecodeError::Unsupported { detail: what.into() },
            other => DecodeError::Corrupt { seconds: 0.0, detail: other.to_string() },
        })?;
    let mut done = Progress { sample_rate: 0, channels: Vec::new() };
    let mut block: Vec<Vec<f32>> = Vec::new();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(e) => return Err(done.failed(&e)),
        };
        if packet.track_id != track_id {
            continue;
        }
        let buffer = decoder.decode(&packet).map_err(|e| done.failed(&e))?;
        let (rate, count) = (buffer.spec().rate(), buffer.num_planes());
        if done.channels.is_empty() {
            check_shape(rate, count)?;
            done.sample_rate = rate;
            done.channels = vec![Vec::new(); count];
        } else if rate != done.sample_rate || count != done.channels.len() {
            return Err(done.corrupt(format!(
                "the stream changes from {} channels at {} Hz to {count} at {rate} Hz",
                done.channels.len(),
                done.sample_rate
            )));
        }
        buffer.copy_to_vecs_planar(&mut block);
        for (channel, samples) in done.channels.iter_mut().zip(&block) {
            channel.extend_from_slice(samples);
        }
        check_length(done.frames() as u64, done.sample_rate, done.channels.len(), limits)?;
    }
    let missing = promised.zip(slack).filter(|&(n, slack)| n > done.frames() as u64 + slack);
    if let Some((promised, _)) = missing {
        return Err(
            done.truncated(format!("the header promises {promised} samples, {} are there", done.frames()))
        );
    }
    if done.frames() == 0 {
        return Err(DecodeError::Empty);
    }
    Ok(Pcm { sample_rate: done.sample_rate, channels: done.channels, damage: Vec::new() })
}

/// What symphonia's error means while the format is guessed.
fn opening_error(error: &Error) -> DecodeError {
    match error {
        Error::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::NotAudio { detail: "no header of one before the end of the file".into() }
        }
        Error::Unsupported(what) => DecodeError::NotAudio { detail: (*what).into() },
        other => DecodeError::Corrupt { seconds: 0.0, detail: other.to_string() },
    }
}
