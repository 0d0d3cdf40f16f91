//! The decoders of packets: symphonia's, and others where symphonia's are missing or wrong.

mod opus;
mod vorbis;
mod vorbis_setup;

use std::sync::LazyLock;

#[cfg(feature = "fdk-aac")]
use symphonia::core::codecs::audio::well_known::profiles::{CODEC_PROFILE_AAC_HE, CODEC_PROFILE_AAC_HE_V2};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::common::Tier;
use symphonia::core::errors::{Error, Result};

use super::decode::DecodeError;

/// Whether HE-AAC is decoded by this build.
pub(super) const HE_AAC: bool = cfg!(feature = "fdk-aac");

/// Returns the decoders that are built in.
pub(super) fn codecs() -> &'static CodecRegistry {
    static REGISTRY: LazyLock<CodecRegistry> = LazyLock::new(|| {
        let mut registry = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut registry);
        registry.register_audio_decoder_at_tier::<vorbis::Vorbis>(Tier::Preferred);
        registry.register_audio_decoder_at_tier::<opus::Opus>(Tier::Preferred);
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
    #[cfg(feature = "fdk-aac")]
    if is_he_aac(codec) {
        return super::fdk::HeAac::new(codec).map(|decoder| Box::new(decoder) as Box<dyn AudioDecoder>);
    }
    codecs().make_audio_decoder(codec, options)
}

#[cfg(feature = "fdk-aac")]
fn is_he_aac(codec: &AudioCodecParameters) -> bool {
    codec.profile == Some(CODEC_PROFILE_AAC_HE) || codec.profile == Some(CODEC_PROFILE_AAC_HE_V2)
}

/// By how many frames the decoder of a stream gives samples late, beyond what its container declares; told by its first packet.
#[cfg(feature = "fdk-aac")]
pub(super) fn delay(codec: &AudioCodecParameters, first: &[u8]) -> usize {
    if is_he_aac(codec) { super::fdk::HeAac::delay(codec, first) } else { 0 }
}

/// By how many frames the decoder of a stream gives samples late: no decoder of this build does.
#[cfg(not(feature = "fdk-aac"))]
pub(super) fn delay(_: &AudioCodecParameters, _: &[u8]) -> usize {
    0
}

/// What an error of a decoder means, after `seconds` of sound.
pub(super) fn failed(error: &Error, seconds: f64) -> DecodeError {
    match error {
        Error::Unsupported(what) => DecodeError::Unsupported { detail: (*what).into() },
        other => DecodeError::Corrupt { seconds, detail: other.to_string() },
    }
}
