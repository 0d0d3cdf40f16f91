//! HE-AAC through the decoder of Fraunhofer IIS.

use fdk_aac::dec::{Decoder, Transport};
use symphonia::core::audio::{
    AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, GenericAudioBufferRef, layouts,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Error, Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;

/// The most that a packet decodes to: eight channels of 2048 samples.
const MOST: usize = 8 * 2048;

/// Decodes AAC with spectral band replication and parametric stereo.
pub(super) struct HeAac {
    params: AudioCodecParameters,
    decoder: Decoder,
    pcm: Vec<i16>,
    buffer: AudioBuffer<i16>,
}

impl HeAac {
    /// Returns a decoder for a stream.
    ///
    /// # Errors
    /// [`Error::DecodeError`] if its configuration is wrong.
    pub fn new(params: &AudioCodecParameters) -> Result<Self> {
        let mut decoder = Decoder::new(Transport::Raw);
        let Some(config) = params.extra_data.as_deref() else {
            return unsupported_error("aac: no configuration");
        };
        decoder.config_raw(config).map_err(|e| Error::DecodeError(e.message()))?;
        Ok(Self { params: params.clone(), decoder, pcm: vec![0; MOST], buffer: AudioBuffer::default() })
    }

    /// By how many frames the decoder of a stream gives samples late, beyond the delay of the filter banks of spectral band replication,
    /// which is part of what encoders declare: the limiter looks ahead.
    pub fn delay(params: &AudioCodecParameters, first: &[u8]) -> usize {
        let Ok(mut probe) = Self::new(params) else { return 0 };
        if probe.decoder.fill(first).is_err() || probe.decoder.decode_frame(&mut probe.pcm).is_err() {
            return 0;
        }
        /// Of the filter banks, in samples of the core (ISO/IEC 14496-3, 4.6.18).
        const FILTER_BANKS: i32 = 481;
        let info = probe.decoder.stream_info();
        let declared = FILTER_BANKS * (info.sampleRate / info.aacSampleRate.max(1));
        usize::try_from(i64::from(info.outputDelay) - i64::from(declared)).unwrap_or(0)
    }
}

impl AudioDecoder for HeAac {
    fn reset(&mut self) {
        if let Ok(fresh) = Self::new(&self.params) {
            *self = fresh;
        }
    }

    fn codec_info(&self) -> &CodecInfo {
        const INFO: &CodecInfo =
            &CodecInfo { short_name: "he-aac", long_name: "High Efficiency AAC", profiles: &[] };
        INFO
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        let taken = self.decoder.fill(packet.data).map_err(|e| Error::DecodeError(e.message()))?;
        if taken != packet.data.len() {
            return decode_error("aac: the packet is too long");
        }
        self.decoder.decode_frame(&mut self.pcm).map_err(|e| Error::DecodeError(e.message()))?;
        let info = self.decoder.stream_info();
        let (rate, channels) = (info.sampleRate, info.numChannels);
        let frames = usize::try_from(info.frameSize).unwrap_or(0);
        let layout = match channels {
            1 => layouts::CHANNEL_LAYOUT_MONO,
            2 => layouts::CHANNEL_LAYOUT_STEREO,
            6 => layouts::CHANNEL_LAYOUT_AAC_5P1,
            _ => return unsupported_error("aac: this number of channels"),
        };
        let Some(samples) = self.pcm.get(..frames * channels as usize) else {
            return decode_error("aac: a packet of too many samples");
        };
        let spec = AudioSpec::new(u32::try_from(rate).unwrap_or(0), layout);
        if self.buffer.spec() != &spec || self.buffer.capacity() < frames {
            self.buffer = AudioBuffer::new(spec, frames);
        }
        self.buffer.render_uninit(Some(frames));
        self.buffer.copy_from_slice_interleaved(&samples);
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}
