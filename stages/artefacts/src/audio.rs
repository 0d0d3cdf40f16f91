//! Audio: which files hold it, how it is decoded, and what its metadata says.

mod files;
mod length;
mod meta;
mod params;

pub use files::{AudioFiles, EXTENSIONS, Unused, has_extension, is_companion};
pub use length::{Length, LengthMode};
pub use meta::AudioMeta;
pub use params::{
    Channels, DecodeLimits, DecodeParams, Decoder, MAX_SAMPLE_RATE, Normalise, OnDamage, OnError,
};
