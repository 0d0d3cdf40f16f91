//! Audio files to samples: decoding, channels, sample rate, level and length.

mod adpcm;
mod codecs;
mod container;
mod damage;
mod decode;
mod ffmpeg;
mod files;
mod length;
mod params;
mod planes;
mod prepare;
mod resample;
mod sound;
mod stage;
mod stream;
mod timing;

pub use damage::Damage;
pub use decode::{DecodeError, DecodeLimits, MAX_CHANNELS, MAX_SAMPLE_RATE, Pcm, decode};
pub use ffmpeg::Ffmpeg;
pub use files::{AudioFiles, EXTENSIONS, Unused, has_extension, is_companion};
pub use length::{Length, LengthMode, fit};
pub use params::{Channels, DecodeParams, Decoder, Normalise, OnDamage, OnError};
pub use prepare::{Prepared, normalise, prepare};
pub use resample::{resample, resampled_len};
pub use stage::{AudioMeta, Decode};
