//! The decoders in use.

#[cfg(feature = "fdk-aac")]
use symphonia::core::codecs::audio::well_known::profiles::{CODEC_PROFILE_AAC_HE, CODEC_PROFILE_AAC_HE_V2};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Result;

/// Whether HE-AAC is decoded by this build.
pub(super) const HE_AAC: bool = cfg!(feature = "fdk-aac");

/// Returns the decoders that are built in.
pub(super) fn codecs() -> &'static CodecRegistry {
    symphonia::default::get_codecs()
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
    if codec.profile == Some(CODEC_PROFILE_AAC_HE) || codec.profile == Some(CODEC_PROFILE_AAC_HE_V2) {
        return super::fdk::HeAac::new(codec).map(|decoder| Box::new(decoder) as Box<dyn AudioDecoder>);
    }
    codecs().make_audio_decoder(codec, options)
}
