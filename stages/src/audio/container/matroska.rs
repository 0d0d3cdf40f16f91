//! Matroska and WebM (RFC 9559), read by symphonia; delays and paddings of the codecs are removed here.

mod walk;

use std::io::{Cursor, ErrorKind};

use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::default::formats::MkvReader;

use self::walk::{Facts, walk};
use super::super::codecs;
use super::super::decode::{DecodeError, DecodeLimits, Pcm, check_length, check_shape};
use super::super::stream::{Packet, Stream};
use super::aac;

/// Nanoseconds to samples.
fn samples(nanoseconds: u64, rate: u32) -> usize {
    let exact = nanoseconds as f64 * f64::from(rate) / 1e9;
    exact.round() as usize
}

/// Decodes the first track of sound.
pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
    let facts = walk(bytes);
    if let Some(detail) = facts.cut {
        return Err(DecodeError::Truncated { seconds: facts.seconds, detail });
    }
    let mut format = open(bytes)?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| unsupported(&facts, None))?;
    let id = track.id;
    let told = facts.tracks.iter().find(|t| t.number == u64::from(id)).cloned().unwrap_or_default();
    if told.encoded {
        let detail = format!(
            "the frames of {} in Matroska are compressed once more; `decoder: ffmpeg` reads them",
            told.codec
        );
        return Err(DecodeError::Unsupported { detail });
    }
    let params =
        track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| unsupported(&facts, Some(id)))?;
    if let (Some(rate), Some(channels)) = (params.sample_rate, &params.channels) {
        check_shape(rate, channels.count())?;
    }
    if params.codec == CODEC_ID_AAC {
        return aac_track(bytes, id, params, told.delay, limits);
    }
    // The first packet of Vorbis gives no samples, and this is all that its delay means.
    let codec = params.codec;
    let delay = match codec {
        CODEC_ID_VORBIS => 0,
        // Some writers count the delay of the track at the rate of what they encoded; the header of Opus is in samples at 48 kHz.
        CODEC_ID_OPUS => {
            let skip = params.extra_data.as_deref().and_then(|head| Some([*head.get(10)?, *head.get(11)?]));
            skip.map_or(told.delay, |skip| u64::from(u16::from_le_bytes(skip)) * 1_000_000_000 / 48_000)
        }
        _ => told.delay,
    };
    let mut decoder = codecs::decoder(params, &AudioDecoderOptions::default()).map_err(|e| match e {
        Error::Unsupported(_) => unsupported(&facts, Some(id)),
        other => codecs::failed(&other, 0.0),
    })?;
    let mut discards = facts.discards.iter().filter(|d| d.track == u64::from(id)).peekable();
    let (mut rate, mut channels): (u32, Vec<Vec<f32>>) = (0, Vec::new());
    let mut block: Vec<Vec<f32>> = Vec::new();
    let mut frame = 0u64;
    loop {
        let frames = channels.first().map_or(0, Vec::len);
        let seconds = if rate == 0 { 0.0 } else { frames as f64 / f64::from(rate) };
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Where sizes are left open the sound ends with the bytes; that no element is cut was seen before.
            Err(Error::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(codecs::failed(&e, seconds)),
        };
        if packet.track_id != id {
            continue;
        }
        let discard = discards.next_if(|d| d.frame <= frame).map_or(0, |d| d.nanoseconds);
        frame += 1;
        let buffer = decoder.decode(&packet).map_err(|e| codecs::failed(&e, seconds))?;
        let (new_rate, count) = (buffer.spec().rate(), buffer.num_planes());
        if channels.is_empty() {
            check_shape(new_rate, count)?;
            rate = new_rate;
            channels = vec![Vec::new(); count];
        } else if new_rate != rate || count != channels.len() {
            let detail = format!(
                "the stream changes from {} channels at {rate} Hz to {count} at {new_rate} Hz",
                channels.len()
            );
            return Err(DecodeError::Corrupt { seconds, detail });
        }
        buffer.copy_to_vecs_planar(&mut block);
        let mut padding = samples(discard.unsigned_abs(), rate);
        let frames = block.first().map_or(0, Vec::len);
        if padding > frames {
            // More than the frame holds: writers that copy Vorbis from Ogg count its first packet, which gives nothing.
            padding = if codec == CODEC_ID_OPUS { frames } else { 0 };
        }
        let kept = if discard < 0 { padding..frames } else { 0..frames - padding };
        for (channel, samples) in channels.iter_mut().zip(&block) {
            channel.extend_from_slice(&samples[kept.clone()]);
        }
        check_length(channels[0].len() as u64, rate, count, limits)?;
    }
    let delay = samples(delay, rate);
    for channel in &mut channels {
        channel.drain(..delay.min(channel.len()));
    }
    if channels.first().is_none_or(Vec::is_empty) {
        return Err(DecodeError::Empty);
    }
    Ok(Pcm { sample_rate: rate, channels, damage: Vec::new() })
}

/// Decodes a track of AAC; `delay` in ns.
fn aac_track(
    bytes: &[u8],
    id: u32,
    params: &AudioCodecParameters,
    delay: u64,
    limits: &DecodeLimits,
) -> Result<Pcm, DecodeError> {
    let mut format = open(bytes)?;
    let mut data = Vec::new();
    while let Ok(Some(packet)) = format.next_packet() {
        if packet.track_id == id {
            data.push(packet.data);
        }
    }
    let packets: Vec<&[u8]> = data.iter().map(|data| &data[..]).collect();
    let codec = aac::codec(params.extra_data.as_deref().unwrap_or_default(), &packets)?;
    let frames = codec.max_frames_per_packet.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let packets = packets.into_iter().map(|data| Packet { data, frames }).collect();
    let mut stream = Stream::new(codec, packets);
    stream.timescale = Some(1_000_000_000);
    stream.pieces = std::iter::once(delay..u64::MAX).collect();
    stream.decode(limits)
}

/// Opens the container.
fn open(bytes: &[u8]) -> Result<MkvReader<'_>, DecodeError> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), MediaSourceStreamOptions::default());
    MkvReader::try_new(source, FormatOptions::default()).map_err(|e| codecs::failed(&e, 0.0))
}

/// Names the codec that is not decoded, or says that there is no sound.
fn unsupported(facts: &Facts, id: Option<u32>) -> DecodeError {
    let track = facts.tracks.iter().find(|t| t.kind == 2 && id.is_none_or(|id| t.number == u64::from(id)));
    let detail = match track {
        Some(track) => format!(
            "{} in Matroska is not decoded here; `decoder: ffmpeg` reads it, or convert it to FLAC",
            track.codec.trim_start_matches("A_")
        ),
        None => "the Matroska file has no track of sound".into(),
    };
    DecodeError::Unsupported { detail }
}
