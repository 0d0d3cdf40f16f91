//! The decoders of packets: symphonia's, and others where symphonia's are missing or wrong.

mod aac;
mod framed;
mod mpeg;
mod opus;
mod vorbis;
mod vorbis_setup;

use std::sync::LazyLock;

use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::common::Tier;
use symphonia::core::errors::{Error, Result};

use super::decode::DecodeError;

/// Returns the decoders that are built in.
pub(super) fn codecs() -> &'static CodecRegistry {
    static REGISTRY: LazyLock<CodecRegistry> = LazyLock::new(|| {
        let mut registry = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut registry);
        registry.register_audio_decoder_at_tier::<framed::Framed<aac::Aac>>(Tier::Preferred);
        registry.register_audio_decoder_at_tier::<mpeg::Mpeg>(Tier::Preferred);
        registry.register_audio_decoder_at_tier::<framed::Framed<vorbis::Vorbis>>(Tier::Preferred);
        registry.register_audio_decoder_at_tier::<framed::Framed<opus::Opus>>(Tier::Preferred);
        registry
    });
    &REGISTRY
}

/// Returns a decoder for `codec`.
///
/// # Errors
/// That of symphonia, where there is none or the parameters are wrong.
pub(super) fn decoder(
    codec: &AudioCodecParameters,
    options: &AudioDecoderOptions,
) -> Result<Box<dyn AudioDecoder>> {
    codecs().make_audio_decoder(codec, options)
}

/// Frames of sound at 48 kHz in a packet of Opus; 0 if it is damaged.
pub(super) fn opus_frames(packet: &[u8]) -> u64 {
    opus_pure::packet::samples_48k(packet).map_or(0, |n| n as u64)
}

/// What an error of a decoder means, after `seconds` of sound.
pub(super) fn failed(error: &Error, seconds: f64) -> DecodeError {
    match error {
        Error::Unsupported(what) => DecodeError::Unsupported { detail: (*what).into() },
        other => DecodeError::Corrupt { seconds, detail: other.to_string() },
    }
}
