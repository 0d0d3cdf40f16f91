//! AAC: what its configuration and its first packets say, and its frames in ADTS.
//!
//! # Source
//! ISO/IEC 14496-3, 1.6.2.1 (AudioSpecificConfig), 1.A.2 (ADTS).

use rusty_aac::config::{self, StreamConfig, aot};
use rusty_aac::decode::Decoder;
use rusty_aac::{AdtsHeader, AudioSpecificConfig, adts_raw_blocks, parse_adts, write_audio_specific_config};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::well_known::profiles::CODEC_PROFILE_AAC_HE;

use super::super::decode::DecodeError;
use super::super::stream::{Packet, Stream};
use super::chain;
use super::tags;

/// Packets that are searched for spectral band replication where the configuration does not mention it.
const SEARCHED: usize = 16;

/// Says what a decoder needs for these packets, with the sample rate and the frames a packet of what it gives.
///
/// # Errors
/// [`DecodeError::Corrupt`] if the AudioSpecificConfig is incomplete, [`DecodeError::Unsupported`] that names the codec and
/// the way out.
pub(super) fn codec(config: &[u8], packets: &[&[u8]]) -> Result<AudioCodecParameters, DecodeError> {
    // Others have configurations of their own.
    if let Some(name) = object(config).and_then(other) {
        return Err(refused(name));
    }
    let parsed = config::parse(config).map_err(|e| DecodeError::Corrupt {
        seconds: 0.0,
        detail: format!("the configuration of AAC: {e}"),
    })?;
    if parsed.eld.as_ref().is_some_and(|eld| eld.ld_sbr) {
        return Err(refused("AAC-ELD with spectral band replication"));
    }
    let mut codec = AudioCodecParameters::new();
    codec.for_codec(CODEC_ID_AAC).with_extra_data(config.into());
    let high_efficiency = parsed.sbr || holds_sbr(&parsed, packets);
    if high_efficiency {
        codec.with_profile(CODEC_PROFILE_AAC_HE);
    }
    let rate = match high_efficiency {
        true if parsed.sbr || parsed.ext_rate_signalled => parsed.ext_sample_rate,
        true => 2 * parsed.sample_rate,
        false => parsed.sample_rate,
    };
    let frames = parsed.frame_length as u64 * u64::from(rate) / u64::from(parsed.sample_rate.max(1));
    codec.with_sample_rate(rate).with_max_frames_per_packet(frames);
    Ok(codec)
}

/// The audio object type at the start of an AudioSpecificConfig.
fn object(config: &[u8]) -> Option<u8> {
    let (&first, &second) = (config.first()?, config.get(1)?);
    Some(if first >> 3 == 31 { 32 + ((first & 7) << 3 | second >> 5) } else { first >> 3 })
}

/// The name of a codec that is not decoded here.
fn other(object: u8) -> Option<&'static str> {
    match object {
        aot::AAC_SSR => Some("AAC SSR"),
        aot::AAC_SCALABLE | aot::ER_AAC_SCALABLE => Some("scalable AAC"),
        aot::ER_BSAC => Some("BSAC"),
        aot::USAC => Some("xHE-AAC (USAC)"),
        36 => Some("MPEG-4 ALS"),
        aot::AAC_MAIN
        | aot::AAC_LC
        | aot::AAC_LTP
        | aot::SBR
        | aot::ER_AAC_LC
        | aot::ER_AAC_LTP
        | aot::ER_AAC_LD
        | aot::PS
        | aot::ER_AAC_ELD => None,
        _ => Some("MPEG-4 audio of another object type"),
    }
}

fn refused(name: &str) -> DecodeError {
    DecodeError::Unsupported {
        detail: format!("{name} is not decoded here; decode it with `decoder: ffmpeg`"),
    }
}

/// Returns whether the first packets carry spectral band replication that the configuration leaves open.
fn holds_sbr(config: &StreamConfig, packets: &[&[u8]]) -> bool {
    if config.sbr_explicitly_absent {
        return false;
    }
    let Ok(mut decoder) = Decoder::with_stream_config(config.clone()) else { return false };
    packets.iter().take(SEARCHED).any(|packet| {
        // A packet that cannot be decoded is told when all are.
        let _ = decoder.decode(packet, None);
        decoder.saw_sbr()
    })
}

/// Finds the frames of AAC in ADTS that begins at `start`, or, if `anywhere`, later; `None` where there are none.
///
/// # Errors
/// [`DecodeError::Unsupported`] for what no decoder here decodes.
pub(in super::super) fn open(
    bytes: &[u8],
    start: usize,
    anywhere: bool,
) -> Result<Option<Stream<'_>>, DecodeError> {
    let end = tags::strip_back(bytes);
    let header = |bytes: &[u8], at: usize| -> Option<AdtsHeader> {
        parse_adts(bytes.get(at..)?).ok().filter(|header| header.frame_length > header.header_len)
    };
    let read = |bytes: &[u8], at: usize| {
        let h = header(bytes, at)?;
        let shape = u32::from(h.object_type) << 24 | h.sample_rate << 4 | u32::from(h.channels);
        Some(chain::Header { size: h.frame_length, shape })
    };
    let start = start.min(end);
    let (starts, run) = if anywhere { (start..end, 4) } else { (start..end.min(start + 1), 2) };
    let Some((first, head)) = chain::find(bytes, starts, end, run, None, &read) else { return Ok(None) };
    let Some(AdtsHeader { object_type, sample_rate, channels, .. }) = header(bytes, first) else {
        return Ok(None);
    };
    let chain = chain::walk(bytes, first..end, head.shape, &read);
    let mut packets = Vec::with_capacity(chain.frames.len());
    for range in &chain.frames {
        let Some(AdtsHeader { header_len, .. }) = header(bytes, range.start) else { continue };
        if adts_raw_blocks(&bytes[range.clone()]) > 0 {
            return Err(refused("ADTS with several AAC blocks a frame"));
        }
        packets.push(&bytes[range.start + header_len..range.end]);
    }
    let config = write_audio_specific_config(&AudioSpecificConfig { object_type, sample_rate, channels });
    let codec = codec(&config, &packets)?;
    let frames = codec.max_frames_per_packet.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let packets = packets.into_iter().map(|data| Packet { data, frames }).collect();
    let mut stream = Stream::new(codec, packets);
    stream.marks = chain.marks("AAC");
    Ok(Some(stream.behind(first - start, "AAC")))
}
