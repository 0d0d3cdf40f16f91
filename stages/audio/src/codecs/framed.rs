//! What symphonia asks of a decoder, around decoders that are not its own.

use symphonia::core::audio::{AsGenericAudioBufferRef, AudioBuffer, GenericAudioBufferRef};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{
    AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult,
};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::Result;
use symphonia::core::packet::PacketRef;

/// A decoder of packets of one codec.
pub(super) trait Packets: Send + Sync + Sized + 'static {
    /// The codec.
    const CODEC: &'static [SupportedAudioCodec; 1];

    /// Returns a decoder, and a buffer for what it decodes.
    ///
    /// # Errors
    /// [`symphonia::core::errors::Error`] where the parameters are wrong or name what is not decoded.
    fn new(params: &AudioCodecParameters) -> Result<(Self, AudioBuffer<f32>)>;

    /// Decodes a packet into an empty buffer.
    ///
    /// # Errors
    /// [`symphonia::core::errors::Error`] where the packet is damaged; the buffer then counts for nothing.
    fn decode(&mut self, packet: &[u8], buffer: &mut AudioBuffer<f32>) -> Result<()>;

    /// Forgets all packets.
    fn reset(&mut self);

    /// Returns the decoder that the registry gives for the parameters.
    ///
    /// # Errors
    /// As [`Packets::new`].
    fn open(params: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        Framed::<Self>::boxed(params)
    }
}

/// A decoder with what it was made from and what it decoded last.
pub(super) struct Framed<P> {
    params: AudioCodecParameters,
    packets: P,
    buffer: AudioBuffer<f32>,
}

impl<P: Packets> Framed<P> {
    /// Returns a decoder for the parameters.
    ///
    /// # Errors
    /// As [`Packets::new`].
    pub fn boxed(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>> {
        let (packets, buffer) = P::new(params)?;
        Ok(Box::new(Self { params: params.clone(), packets, buffer }))
    }
}

impl<P: Packets> AudioDecoder for Framed<P> {
    fn codec_info(&self) -> &CodecInfo {
        &P::CODEC[0].info
    }

    fn reset(&mut self) {
        self.packets.reset();
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        if let Err(error) = self.packets.decode(packet.data, &mut self.buffer) {
            self.buffer.clear();
            return Err(error);
        }
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

impl<P: Packets> RegisterableAudioDecoder for Framed<P> {
    fn try_registry_new(
        params: &AudioCodecParameters,
        options: &AudioDecoderOptions,
    ) -> Result<Box<dyn AudioDecoder>> {
        P::open(params, options)
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        P::CODEC
    }
}
