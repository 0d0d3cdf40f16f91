//! ADPCM blocks through symphonia's decoders.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoderOptions, well_known};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::decode::DecodeError;

/// Which ADPCM, and in which blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    /// The variant.
    pub kind: Adpcm,
    /// Bytes of a block, all channels together.
    pub bytes: usize,
}

/// The variants that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adpcm {
    /// Microsoft's, format 0x0002 of WAV.
    Microsoft,
    /// IMA/DVI as WAV stores it, format 0x0011.
    ImaWav,
    /// IMA as QuickTime stores it: `ima4` of AIFF-C and CAF, 34 bytes a channel for 64 samples.
    ImaQuickTime,
}

impl Adpcm {
    /// Bytes that a block spends on each channel's start.
    fn header(self) -> usize {
        match self {
            Self::Microsoft => 7,
            Self::ImaWav => 4,
            Self::ImaQuickTime => 2,
        }
    }

    fn codec(self) -> AudioCodecId {
        match self {
            Self::Microsoft => well_known::CODEC_ID_ADPCM_MS,
            Self::ImaWav => well_known::CODEC_ID_ADPCM_IMA_WAV,
            Self::ImaQuickTime => well_known::CODEC_ID_ADPCM_IMA_QT,
        }
    }
}

impl Blocks {
    /// Samples per channel in a block of `bytes` bytes, which the last one may lack some of.
    fn frames_of(self, bytes: usize, channels: usize) -> usize {
        let Some(rest) = bytes.checked_sub(self.kind.header() * channels) else { return 0 };
        match self.kind {
            Adpcm::Microsoft => 2 + rest * 2 / channels,
            // Channels take turns by 4 bytes.
            Adpcm::ImaWav if channels > 1 => 1 + rest / (4 * channels) * 8,
            Adpcm::ImaWav => 1 + rest * 2,
            // A channel's packet is whole or is none.
            Adpcm::ImaQuickTime => bytes / (34 * channels) * 64,
        }
    }

    /// Samples per channel in `length` bytes.
    pub(super) fn frames(self, length: usize, channels: usize) -> u64 {
        if self.bytes == 0 || channels == 0 {
            return 0;
        }
        let whole = (length / self.bytes) as u64 * self.frames_of(self.bytes, channels) as u64;
        whole + self.frames_of(length % self.bytes, channels) as u64
    }
}

/// Decodes blocks of one or two channels.
///
/// # Errors
/// [`DecodeError::Corrupt`] for a block whose header is out of range, [`DecodeError::Unsupported`] for more channels.
pub(super) fn decode(
    data: &[u8],
    sample_rate: u32,
    channels: usize,
    blocks: Blocks,
) -> Result<Vec<Vec<f32>>, DecodeError> {
    let frames = blocks.frames_of(blocks.bytes, channels);
    let unsupported = |detail: String| DecodeError::Unsupported { detail };
    let count = u16::try_from(channels).ok().filter(|n| (1..=2).contains(n));
    let Some(count) = count else {
        return Err(unsupported(format!("ADPCM of {channels} channels; 1 or 2 are decoded")));
    };
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(blocks.kind.codec())
        .with_sample_rate(sample_rate)
        .with_channels(Channels::Discrete(count))
        .with_max_frames_per_packet(frames as u64)
        .with_frames_per_block(frames as u64);
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&params, &AudioDecoderOptions::default())
        .map_err(|e| unsupported(e.to_string()))?;
    let mut planes: Vec<Vec<f32>> = vec![Vec::new(); channels];
    let mut plane = Vec::new();
    for block in data.chunks(blocks.bytes) {
        let held = blocks.frames_of(block.len(), channels);
        // The last block may be shorter than the others; the decoder wants all of the same size.
        let mut filled = block.to_vec();
        filled.resize(blocks.bytes, 0);
        let packet = PacketRef::new(0, Timestamp::from(0u32), Duration::from(frames as u64), &filled);
        let buffer = decoder.decode_ref(&packet).map_err(|e| DecodeError::Corrupt {
            seconds: planes[0].len() as f64 / f64::from(sample_rate),
            detail: e.to_string(),
        })?;
        buffer.copy_to_vecs_planar(&mut plane);
        for (all, new) in planes.iter_mut().zip(&plane) {
            all.extend_from_slice(new.get(..held).unwrap_or(new));
        }
    }
    Ok(planes)
}
