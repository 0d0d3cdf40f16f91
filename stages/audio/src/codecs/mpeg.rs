//! MPEG audio: symphonia's decoder, and `nanomp3` for what it refuses: free format, and mono of layer II above 192 kbit/s.

use nanomp3::{DecodeError, Decoder, MAX_SAMPLES_PER_FRAME};
use symphonia::core::audio::{
    AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{
    AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult,
};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Error, Result, unsupported_error};
use symphonia::core::packet::PacketRef;
use symphonia::default::codecs::MpaDecoder;

/// Decodes frames of MPEG audio.
pub(super) struct Mpeg {
    symphonia: MpaDecoder,
    other: Option<Other>,
}

/// The second decoder and its sound.
struct Other {
    decoder: Box<Decoder>,
    pcm: Vec<f32>,
    buffer: AudioBuffer<f32>,
}

/// Whether the frame is one that symphonia refuses; a stream does not change between the two.
fn refused(frame: &[u8]) -> bool {
    let &[0xff, second, third, fourth, ..] = frame else { return false };
    let (version, layer, rate) = (second >> 3 & 3, second >> 1 & 3, third >> 4);
    let mono = fourth >> 6 == 3;
    rate == 0 || (version == 3 && layer == 2 && mono && rate > 10)
}

impl Other {
    fn new() -> Self {
        let pcm = vec![0.0; MAX_SAMPLES_PER_FRAME];
        Self { decoder: Box::new(Decoder::new()), pcm, buffer: AudioBuffer::default() }
    }

    fn decode(&mut self, data: &[u8]) -> Result<()> {
        self.buffer.clear();
        let mut frame = self.decoder.decode(data, &mut self.pcm).1;
        if frame == Err(DecodeError::NoFrame) {
            // The size of frames of free format is learnt from the distance between them.
            frame = self.decoder.decode(&data.repeat(4), &mut self.pcm).1;
        }
        let frame = frame.map_err(|_| Error::DecodeError("an invalid frame of MPEG audio"))?;
        let channels = usize::from(frame.channels.num());
        let spec = AudioSpec::new(frame.sample_rate, Channels::Discrete(frame.channels.num().into()));
        if self.buffer.spec() != &spec {
            self.buffer = AudioBuffer::new(spec, MAX_SAMPLES_PER_FRAME);
        }
        self.buffer.render_uninit(Some(frame.samples_produced));
        let samples = &self.pcm[..frame.samples_produced * channels];
        self.buffer.copy_from_slice_interleaved(&samples);
        Ok(())
    }
}

impl AudioDecoder for Mpeg {
    fn codec_info(&self) -> &CodecInfo {
        self.symphonia.codec_info()
    }

    fn reset(&mut self) {
        self.symphonia.reset();
        self.other = None;
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        self.symphonia.codec_params()
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        if self.other.is_none() && !refused(packet.data) {
            return self.symphonia.decode_ref(packet);
        }
        let other = self.other.get_or_insert_with(Other::new);
        other.decode(packet.data)?;
        Ok(other.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        match &self.other {
            Some(other) => other.buffer.as_generic_audio_buffer_ref(),
            None => self.symphonia.last_decoded(),
        }
    }
}

impl RegisterableAudioDecoder for Mpeg {
    fn try_registry_new(
        params: &AudioCodecParameters,
        options: &AudioDecoderOptions,
    ) -> Result<Box<dyn AudioDecoder>> {
        if !matches!(params.codec, CODEC_ID_MP1 | CODEC_ID_MP2 | CODEC_ID_MP3) {
            return unsupported_error("another codec than MPEG audio");
        }
        Ok(Box::new(Self { symphonia: MpaDecoder::try_new(params, options)?, other: None }))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        MpaDecoder::supported_codecs()
    }
}
