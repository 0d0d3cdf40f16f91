//! Audio files to samples: decoding, channels, sample rate, level and length.

mod adpcm;
pub mod augment;
mod codecs;
mod container;
mod damage;
mod decode;
mod ffmpeg;
mod length;
mod planes;
mod prepare;
mod resample;
mod sound;
pub mod spectrogram;
mod stage;
mod stream;
mod timing;

pub use damage::Damage;
pub use decode::{DecodeError, MAX_CHANNELS, Pcm, decode};
pub use ffmpeg::Ffmpeg;
pub use length::fit;
pub use prepare::{Prepared, normalise, prepare};
pub use resample::{resample, resampled_len};
pub use stage::Decode;

use sndpipe_engine::Registry;

/// Adds the stages of this crate.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry.with_map::<Decode>().with_map::<spectrogram::SpectrogramStage>()
}
