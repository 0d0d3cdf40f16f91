//! MP4, M4A and QuickTime movies: the first audio track, whole or in fragments.

mod boxes;
mod edits;
mod entry;
mod samples;

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_OPUS};

use self::boxes::{atoms, first, path, u32_at};
use self::entry::{Coding, Entry};

pub(super) use self::entry::{descriptor, discrete};
use sndpipe_artefacts::audio::DecodeLimits;

use self::samples::{Fragments, Sample};
use super::super::codecs;
use super::super::decode::{DecodeError, check_length};
use super::super::stream::{Mark, Packet, Stream};
use super::{aac, mpeg};

/// Returns whether bytes begin as such a file does.
pub(super) fn is_movie(bytes: &[u8]) -> bool {
    const FIRST: [&[u8; 4]; 9] =
        [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot", b"moof"];
    bytes.get(4..8).is_some_and(|kind| FIRST.iter().any(|first| kind == *first))
        && atoms(bytes).any(|atom| matches!(&atom.kind, b"ftyp" | b"moov" | b"mdat" | b"moof"))
}

/// Finds the packets of the first audio track that is switched on, and the parts of it that are played.
///
/// # Errors
/// [`DecodeError`] if there is no such track, if its codec is not decoded here (named), or if the file is cut off.
pub(in super::super) fn open<'a>(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Stream<'a>, DecodeError> {
    let truncated = |detail: &str| DecodeError::Truncated { seconds: 0.0, detail: detail.to_owned() };
    let Some(moov) = first(bytes, b"moov") else {
        return Err(truncated("no `moov` box: the recording was not finished, or the file lacks its end"));
    };
    if moov.missing > 0 {
        return Err(truncated("the file ends inside its `moov` box"));
    }
    let moov = moov.body;
    let quicktime = first(bytes, b"ftyp").is_none_or(|atom| atom.body.starts_with(b"qt  "));
    let handler = |trak: &[u8]| {
        path(trak, &[b"mdia", b"hdlr"]).and_then(|b| b.get(8..12)).map(<[u8]>::to_vec).unwrap_or_default()
    };
    let traks: Vec<&[u8]> = atoms(moov).filter(|a| a.kind == *b"trak").map(|a| a.body).collect();
    let enabled = |trak: &[u8]| path(trak, &[b"tkhd"]).and_then(|b| b.get(3)).is_some_and(|f| f & 1 == 1);
    let mut sound = traks.iter().copied().filter(|trak| handler(trak) == b"soun");
    let trak = sound.clone().find(|trak| enabled(trak)).or_else(|| sound.next());
    let Some(trak) = trak else {
        let video = traks.iter().any(|trak| handler(trak) == b"vide");
        let detail = if video { "a movie without an audio track" } else { "MP4 without an audio track" };
        return Err(DecodeError::Unsupported { detail: detail.into() });
    };
    let stbl = path(trak, &[b"mdia", b"minf", b"stbl"]);
    let description = stbl.and_then(|b| path(b, &[b"stsd"]));
    let (Some(stbl), Some(stsd)) = (stbl, description) else {
        return Err(DecodeError::Corrupt {
            seconds: 0.0,
            detail: "the audio track has no description".into(),
        });
    };
    let entry = entry::read(stsd, quicktime)?;
    let timescale = path(trak, &[b"mdia", b"mdhd"])
        .and_then(edits::timescale)
        .filter(|&n| n > 0)
        .unwrap_or(entry.rate.max(1));
    let (samples, fragments) = packets_of(bytes, moov, trak, stbl, &entry)?;
    let declared: u64 = samples.iter().map(|s| s.ticks).fold(0, u64::saturating_add);
    check_length(declared, timescale, 1, limits)?;
    let mut packets = slice(bytes, &samples, timescale, entry.rate)?;
    let codec = parameters(&entry, &packets)?;
    // What the packets decode to, as far as is known: the last one is mostly longer than the tables say.
    let ticks =
        |frames: u64| frames * u64::from(timescale) / u64::from(codec.sample_rate.unwrap_or(1).max(1));
    let decoded = match &entry.coding {
        Coding::Aac(_) => {
            let frames = codec.max_frames_per_packet.unwrap_or(0);
            packets.iter_mut().for_each(|packet| packet.frames = u32::try_from(frames).unwrap_or(u32::MAX));
            ticks(frames) * samples.len() as u64
        }
        Coding::Mpeg => samples.first().map_or(0, |s| s.ticks) * samples.len() as u64,
        Coding::Other(CODEC_ID_OPUS, _) => ticks(packets.iter().map(|p| codecs::opus_frames(p.data)).sum()),
        _ => declared,
    };
    let track = edits::Track {
        moov,
        trak,
        timescale,
        declared,
        decoded,
        codec_delay: entry.delay * u64::from(timescale) / u64::from(entry.rate.max(1)),
    };
    let mut stream = Stream::new(codec, packets);
    stream.timescale = Some(timescale);
    stream.pieces = edits::pieces(&track);
    let holes = fragments.holes.iter().map(|&(packet, ticks)| Mark {
        packet,
        detail: format!("{:.3} s are missing between two fragments", ticks as f64 / f64::from(timescale)),
    });
    stream.marks = holes.chain(empty(&stream.packets)).collect();
    stream.marks.sort_by_key(|mark| mark.packet);
    Ok(stream)
}

/// Says where packets hold no bytes.
fn empty<'p>(packets: &'p [Packet<'_>]) -> impl Iterator<Item = Mark> + 'p {
    let mut at = 0;
    packets.chunk_by(|a, b| a.data.is_empty() == b.data.is_empty()).filter_map(move |run| {
        let packet = at;
        at += run.len();
        let detail = match run.len() {
            _ if !run[0].data.is_empty() => return None,
            1 => "a packet holds no bytes and became silence".to_owned(),
            n => format!("{n} packets hold no bytes and became silence"),
        };
        Some(Mark { packet, detail })
    })
}

/// Where the packets of the track lie: those of its tables, then those of fragments.
fn packets_of(
    bytes: &[u8],
    moov: &[u8],
    trak: &[u8],
    stbl: &[u8],
    entry: &Entry,
) -> Result<(Vec<Sample>, Fragments), DecodeError> {
    let fixed = match entry.coding {
        Coding::Pcm(_, bytes) => Some((u64::from(bytes) * u64::from(entry.channels), 1)),
        _ => None,
    };
    let mut samples = samples::of_tables(stbl, fixed, bytes.len() as u64)?;
    if first(moov, b"mvex").is_none() {
        return Ok((samples, Fragments::default()));
    }
    let header = path(trak, &[b"tkhd"]).unwrap_or_default();
    let id = u32_at(header, if header.first() == Some(&1) { 20 } else { 12 }).unwrap_or(0);
    let mut fragments = samples::of_fragments(bytes, moov, id)?;
    fragments.holes.iter_mut().for_each(|hole| hole.0 += samples.len());
    samples.append(&mut fragments.samples);
    let cut = atoms(bytes).find(|atom| atom.kind == *b"moof" && atom.missing > 0);
    if cut.is_some() {
        let detail = "the file ends inside a fragment".to_owned();
        return Err(DecodeError::Truncated { seconds: 0.0, detail });
    }
    Ok((samples, fragments))
}

/// The bytes of every packet.
fn slice<'a>(
    bytes: &'a [u8],
    samples: &[Sample],
    timescale: u32,
    rate: u32,
) -> Result<Vec<Packet<'a>>, DecodeError> {
    let mut ticks = 0u64;
    let total: u64 = samples.iter().map(|s| s.size).fold(0, u64::saturating_add);
    let packet = |sample: &Sample| {
        let start = usize::try_from(sample.offset).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(sample.size).ok()?)?)
    };
    samples
        .iter()
        .map(|sample| {
            let data = packet(sample).ok_or_else(|| DecodeError::Truncated {
                seconds: ticks as f64 / f64::from(timescale),
                detail: format!(
                    "a packet of {} bytes at byte {} is beyond the end of the file of {} bytes",
                    sample.size,
                    sample.offset,
                    bytes.len()
                ),
            })?;
            ticks = ticks.saturating_add(sample.ticks);
            let frames = u128::from(sample.ticks) * u128::from(rate) / u128::from(timescale.max(1));
            Ok(Packet { data, frames: u32::try_from(frames).unwrap_or(u32::MAX) })
        })
        .collect::<Result<Vec<_>, _>>()
        .and_then(|packets| {
            if total <= bytes.len() as u64 {
                return Ok(packets);
            }
            let detail = "the packets of the MP4 tables overlap".to_owned();
            Err(DecodeError::Corrupt { seconds: 0.0, detail })
        })
}

/// What the decoder of the track needs.
fn parameters(entry: &Entry, packets: &[Packet<'_>]) -> Result<AudioCodecParameters, DecodeError> {
    let mut codec = AudioCodecParameters::new();
    codec.with_sample_rate(entry.rate).with_channels(entry::discrete(entry.channels));
    match &entry.coding {
        Coding::Aac(config) => {
            let packets: Vec<&[u8]> = packets.iter().map(|packet| packet.data).collect();
            return aac::codec(config, &packets);
        }
        Coding::Mpeg => {
            codec.for_codec(
                packets.first().map_or(mpeg::codec_of_packet(&[]), |p| mpeg::codec_of_packet(p.data)),
            );
            codec.channels = None;
        }
        Coding::Other(id, extra) => {
            codec.for_codec(*id).with_extra_data(extra.clone().into());
            if matches!(*id, CODEC_ID_ALAC | CODEC_ID_FLAC) {
                codec.channels = None;
            }
        }
        Coding::Pcm(id, bytes) => {
            let longest = packets.iter().map(|p| p.data.len()).max().unwrap_or(0) as u64;
            let frames = longest / (u64::from(*bytes) * u64::from(entry.channels));
            codec.for_codec(*id).with_max_frames_per_packet(frames.max(1));
        }
    }
    Ok(codec)
}
