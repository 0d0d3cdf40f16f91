//! Bytes of an audio file to samples.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sndpipe_artefacts::audio::{DecodeLimits, MAX_SAMPLE_RATE};
use thiserror::Error as ThisError;

use super::container;
pub(super) use super::damage::Damage;

/// The largest number of channels that is believed.
pub const MAX_CHANNELS: usize = 64;

/// The most samples that a file may hold, all channels together: 4 GiB in memory, an hour of stereo at 144 kHz.
pub const MAX_SAMPLES: u64 = 1 << 30;

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
/// Encoder delay and padding that the stream declares are removed. The result depends on nothing but the arguments.
///
/// Channels stand in the order of the stream: of Vorbis and Opus left, centre, right, … from three channels on, as in
/// libsndfile; of AAC left, right, centre, … as in WAV. Opus is at 48 kHz. Where an Ogg page or a block of Matroska is missing or damaged nothing is put in its place: the sound
/// goes on with the next one, and Vorbis with the second block after it, as in libsndfile; a remark says what is lost.
///
/// # Errors
/// [`DecodeError`], for anything that is not one whole sound with finite samples. No bytes make this function panic.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
    // The decoders are not ours: should one of them panic on damaged bytes, that is one more way to be corrupt.
    let pcm = catch_unwind(AssertUnwindSafe(|| {
        if let Some(decoded) = container::decode(bytes, limits)? {
            return Ok(decoded);
        }
        match container::open(bytes, limits)? {
            Some(stream) => stream.decode(limits),
            None if bytes.is_empty() => Err(DecodeError::NotAudio { detail: "the file is empty".into() }),
            None => Err(DecodeError::NotAudio { detail: "no header of one was found".into() }),
        }
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
