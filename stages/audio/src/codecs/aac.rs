//! AAC of every kind short of USAC, by `rusty_aac`: LC, HE-AAC v1 and v2, Main, LTP, LD, ELD.

use rusty_aac::config::{self, StreamConfig};
use rusty_aac::decode::Decoder;
use symphonia::core::audio::{Audio, AudioBuffer, AudioMut, AudioSpec, Channels};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::well_known::profiles::CODEC_PROFILE_AAC_HE;
use symphonia::core::codecs::registry::SupportedAudioCodec;
use symphonia::core::errors::{Error, Result, decode_error, unsupported_error};

use super::framed::Packets;

/// Decodes packets of AAC; channels stand left, right, centre, LFE, … from three channels on, as in WAV.
pub(super) struct Aac {
    config: StreamConfig,
    decoder: Decoder,
}

impl Packets for Aac {
    const CODEC: &'static [SupportedAudioCodec; 1] = &[SupportedAudioCodec {
        id: CODEC_ID_AAC,
        info: CodecInfo { short_name: "aac", long_name: "Advanced Audio Coding", profiles: &[] },
    }];

    /// Returns a decoder for the AudioSpecificConfig in the parameters; the HE profile adds spectral band replication that it
    /// does not mention.
    fn new(params: &AudioCodecParameters) -> Result<(Self, AudioBuffer<f32>)> {
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
        Ok((Self { config, decoder }, AudioBuffer::default()))
    }

    fn decode(&mut self, packet: &[u8], buffer: &mut AudioBuffer<f32>) -> Result<()> {
        let sound = self.decoder.decode(packet, None).map_err(|e| failed(&e))?;
        if sound.channels == 0 {
            return unsupported_error("AAC without channels");
        }
        let spec = AudioSpec::new(sound.sample_rate, Channels::Discrete(sound.channels));
        let frames = sound.frames();
        if buffer.spec() != &spec || buffer.capacity() < frames {
            *buffer = AudioBuffer::new(spec, frames);
        }
        buffer.render_uninit(Some(frames));
        buffer.copy_from_slice_interleaved(&sound.samples);
        Ok(())
    }

    fn reset(&mut self) {
        // Fails for no configuration with which there was a decoder.
        if let Ok(fresh) = Decoder::with_stream_config(self.config.clone()) {
            self.decoder = fresh;
        }
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
