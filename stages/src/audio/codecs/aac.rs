//! AAC of every kind short of USAC, by `rusty_aac`: LC, HE-AAC v1 and v2, Main, LTP, LD, ELD.

use rusty_aac::config::{self, StreamConfig};
use rusty_aac::decode::Decoder;
use symphonia::core::audio::{
    AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::well_known::profiles::CODEC_PROFILE_AAC_HE;
use symphonia::core::codecs::audio::{
    AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult,
};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Error, Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;

/// Decodes packets of AAC; channels stand left, right, centre, LFE, … from three channels on, as in WAV.
pub(super) struct Aac {
    params: AudioCodecParameters,
    config: StreamConfig,
    decoder: Decoder,
    buffer: AudioBuffer<f32>,
}

impl Aac {
    /// Returns a decoder for the AudioSpecificConfig in the parameters; the HE profile adds spectral band replication that it
    /// does not mention.
    fn new(params: &AudioCodecParameters) -> Result<Self> {
        let Some(Ok(mut config)) = params.extra_data.as_deref().map(config::parse) else {
            return decode_error("the configuration of AAC is incomplete");
        };
        let sbr = params.profile == Some(CODEC_PROFILE_AAC_HE);
        if sbr && !config.sbr {
            config.sbr = true;
            if !config.ext_rate_signalled {
                config.ext_sample_rate = 2 * config.sample_rate;
            }
        }
        // What the first packets do not carry does not begin later.
        config.sbr_explicitly_absent = !config.sbr;
        let decoder = Decoder::with_stream_config(config.clone()).map_err(|e| failed(&e))?;
        Ok(Self { params: params.clone(), config, decoder, buffer: AudioBuffer::default() })
    }
}

fn failed(error: &rusty_aac::Error) -> Error {
    match error {
        rusty_aac::Error::Unsupported(_) | rusty_aac::Error::Unimplemented(_) => {
            Error::Unsupported("a tool of AAC that is not decoded here; decode it with `decoder: ffmpeg`")
        }
        _ => Error::DecodeError("an invalid packet of AAC"),
    }
}

impl AudioDecoder for Aac {
    fn codec_info(&self) -> &CodecInfo {
        &CODECS[0].info
    }

    fn reset(&mut self) {
        // Fails for no configuration with which there was a decoder.
        if let Ok(fresh) = Decoder::with_stream_config(self.config.clone()) {
            self.decoder = fresh;
        }
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        let sound = self.decoder.decode(packet.data, None).map_err(|e| failed(&e))?;
        if sound.channels == 0 {
            return unsupported_error("AAC without channels");
        }
        let spec = AudioSpec::new(sound.sample_rate, Channels::Discrete(sound.channels));
        let frames = sound.frames();
        if self.buffer.spec() != &spec || self.buffer.capacity() < frames {
            self.buffer = AudioBuffer::new(spec, frames);
        }
        self.buffer.render_uninit(Some(frames));
        self.buffer.copy_from_slice_interleaved(&sound.samples);
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

static CODECS: [SupportedAudioCodec; 1] = [SupportedAudioCodec {
    id: CODEC_ID_AAC,
    info: CodecInfo { short_name: "aac", long_name: "Advanced Audio Coding", profiles: &[] },
}];

impl RegisterableAudioDecoder for Aac {
    fn try_registry_new(
        params: &AudioCodecParameters,
        _: &AudioDecoderOptions,
    ) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::new(params)?))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        &CODECS
    }
}
