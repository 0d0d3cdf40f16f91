//! Vorbis I: symphonia's decoder where it is right, which is faster than libvorbis, else `lewton`.

use lewton::audio::{PreviousWindowRight, read_audio_packet_generic};
use lewton::header::{IdentHeader, SetupHeader, read_header_ident, read_header_setup};
use symphonia::core::audio::{AudioBuffer, AudioMut, AudioSpec, Channels};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Error, Result, decode_error};
use symphonia::default::codecs::VorbisDecoder;

use super::super::decode::check_shape;
use super::framed::{Framed, Packets};
use super::vorbis_setup::{Block, Setup};

/// Bytes of the identification header.
const IDENT: usize = 30;

/// Decodes packets of Vorbis; channels stand in the order of the stream (L, C, R, … from three channels on).
pub(super) struct Vorbis {
    ident: IdentHeader,
    setup: SetupHeader,
    /// The part of the setup that tells the shape of a block.
    shapes: Setup,
    previous: PreviousWindowRight,
    /// Half the length of the block before, once there is one.
    half: Option<usize>,
    /// Samples behind the middle of that block, which belong to the next packet.
    ahead: Vec<Vec<f32>>,
}

impl Vorbis {
    fn block(&mut self, data: &[u8]) -> Result<Vec<Vec<f32>>> {
        read_audio_packet_generic(&self.ident, &self.setup, data, &mut self.previous)
            .map_err(|_| Error::DecodeError("an invalid packet of Vorbis"))
    }

    /// Half the lengths of short and long blocks.
    fn halves(&self) -> (usize, usize) {
        ((1 << self.ident.blocksize_0) / 2, (1 << self.ident.blocksize_1) / 2)
    }

    /// The first block only starts the overlap. Where a short block follows, `lewton` forgets what lies between the
    /// middle and the overlap; decoding the block after itself shows it.
    fn first(&mut self, data: &[u8], shape: Block) -> Result<()> {
        self.block(data)?;
        if shape.long_before_short {
            let (short, long) = self.halves();
            let block = self.block(data)?;
            for (ahead, samples) in self.ahead.iter_mut().zip(&block) {
                ahead.extend_from_slice(&samples[samples.len().saturating_sub((long - short) / 2)..]);
            }
        }
        Ok(())
    }
}

/// The identification header, the setup header and what it says of blocks.
fn headers(params: &AudioCodecParameters) -> Result<(&[u8], &[u8], Setup)> {
    let extra = params.extra_data.as_deref().unwrap_or_default();
    let (Some(ident), Some(setup)) = (extra.get(..IDENT), extra.get(IDENT..)) else {
        return decode_error("the headers of Vorbis are missing");
    };
    let rate = u32::from_le_bytes([ident[12], ident[13], ident[14], ident[15]]);
    if check_shape(rate, ident[11].into()).is_err() {
        return decode_error("the headers of Vorbis name a rate or channels that are not credible");
    }
    let Some(parsed) = Setup::read(setup, ident[11]) else {
        return decode_error("the setup header of Vorbis is damaged");
    };
    Ok((ident, setup, parsed))
}

impl Packets for Vorbis {
    const CODEC: &'static [SupportedAudioCodec; 1] = &[SupportedAudioCodec {
        id: CODEC_ID_VORBIS,
        info: CodecInfo { short_name: "vorbis", long_name: "Vorbis", profiles: &[] },
    }];

    fn new(params: &AudioCodecParameters) -> Result<(Self, AudioBuffer<f32>)> {
        let (ident, setup, shapes) = headers(params)?;
        let invalid = |_| Error::DecodeError("the headers of Vorbis are damaged");
        let ident = read_header_ident(ident).map_err(invalid)?;
        let sizes = (ident.blocksize_0, ident.blocksize_1);
        let setup = read_header_setup(setup, ident.audio_channels, sizes).map_err(invalid)?;
        let spec = AudioSpec::new(ident.audio_sample_rate, Channels::Discrete(ident.audio_channels.into()));
        let buffer = AudioBuffer::new(spec, 1 << ident.blocksize_1);
        let ahead = vec![Vec::new(); usize::from(ident.audio_channels)];
        let previous = PreviousWindowRight::new();
        Ok((Self { ident, setup, shapes, previous, half: None, ahead }, buffer))
    }

    /// A packet gives the samples from the middle of the block before to the middle of its own, as the granule
    /// positions count; `lewton` gives them up to the next overlap.
    fn decode(&mut self, data: &[u8], buffer: &mut AudioBuffer<f32>) -> Result<()> {
        let Some(shape) = self.shapes.block(data) else {
            return decode_error("an invalid packet of Vorbis");
        };
        let (short, long) = self.halves();
        let half = if shape.long { long } else { short };
        let Some(before) = self.half.replace(half) else {
            return self.first(data, shape);
        };
        let block = self.block(data)?;
        let count = before.midpoint(half);
        buffer.render_silence(Some(count));
        for (channel, (ahead, samples)) in self.ahead.iter_mut().zip(&block).enumerate() {
            ahead.extend_from_slice(samples);
            let plane = buffer.plane_mut(channel).into_iter().flatten();
            plane.zip(ahead.iter()).for_each(|(to, &x)| *to = x);
            ahead.drain(..count.min(ahead.len()));
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.previous = PreviousWindowRight::new();
        self.half = None;
        self.ahead.iter_mut().for_each(Vec::clear);
    }

    fn open(params: &AudioCodecParameters, options: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        if headers(params)?.2.symphonia_is_right() {
            return VorbisDecoder::try_registry_new(params, options);
        }
        Framed::<Self>::boxed(params)
    }
}
