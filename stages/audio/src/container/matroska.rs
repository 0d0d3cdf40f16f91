//! Matroska and WebM (RFC 9559), around the codecs that are decoded here.
//!
//! The elements are read here, because a data set needs to know what a player passes over in silence: damaged and missing clusters, blocks
//! that no decoder takes. As in Ogg nothing is put in the place of sound that the file does not hold; the times of the blocks tell how much
//! that is.

mod block;
mod ebml;
mod times;
mod track;
mod walk;

use self::block::Block;
use self::track::Track;
use self::walk::{Found, walk};
use super::super::codecs;
use super::super::decode::DecodeError;
use super::super::stream::{Mark, Packet, Stream};
use super::super::timing::Timing;
use super::flac;

/// Seconds by which the last block may start before the end that the header declares: blocks are shorter, and headers round.
const SLACK: f64 = 0.5;

/// Lays out the packets of the first track of sound that is meant to be played.
///
/// # Errors
/// [`DecodeError`] for a codec that is not decoded here and for a file that is cut off.
pub(super) fn open(bytes: &[u8]) -> Result<Stream<'_>, DecodeError> {
    let mut found = walk(bytes);
    let last = found.blocks.last().map_or(0, |block| block.time) as f64 / 1e9;
    let reached = found.duration.is_some_and(|duration| last + SLACK >= duration) && !found.blocks.is_empty();
    let cut = found.cut.take();
    if let Some(cut) = cut.as_ref().filter(|cut| !(cut.behind || reached)) {
        return Err(DecodeError::Truncated { seconds: last.max(0.0), detail: cut.detail.clone() });
    }
    let track = Track::choose(&found.tracks).ok_or_else(|| DecodeError::Unsupported {
        detail: "the Matroska file has no track of sound".into(),
    })?;
    let mut laid = lay_out(&found, track);
    let data: Vec<&[u8]> = laid.packets.iter().map(|packet| packet.data).collect();
    let codec = track.codec(&data)?;
    if let Some(frames) = codec.max_frames_per_packet.and_then(|n| u32::try_from(n).ok()) {
        laid.packets.iter_mut().for_each(|packet| packet.frames = frames);
    }
    let mut stream = Stream::new(codec, laid.packets);
    (stream.marks, stream.timing) = (laid.marks, laid.timing);
    let missing =
        found.duration.filter(|duration| !reached && found.tracks.len() == 1 && last + SLACK < *duration);
    let told = cut.map(|cut| cut.detail).or_else(|| {
        missing.map(|duration| {
            format!("the header declares {duration:.3} s, the last block starts at {last:.3} s")
        })
    });
    stream.marks.extend(told.map(|detail| Mark { packet: stream.packets.len(), detail }));
    if track.delay() > 0 {
        stream.timescale = Some(1_000_000_000);
        stream.pieces = std::iter::once(track.delay()..u64::MAX).collect();
    }
    Ok(stream)
}

/// The packets of a track, and what is known of them.
#[derive(Default)]
struct Laid<'a> {
    packets: Vec<Packet<'a>>,
    timing: Vec<Timing>,
    marks: Vec<Mark>,
}

fn lay_out<'a>(found: &Found<'a>, track: &Track<'_>) -> Laid<'a> {
    let mut laid = Laid::default();
    let mut holes = found.holes.iter().peekable();
    let own: Vec<&Block<'_>> = found.blocks.iter().filter(|block| block.track == track.number).collect();
    let damaged = times::damaged(&own, &found.clusters);
    let mut cluster = None;
    for (nth, block) in own.iter().enumerate() {
        let mut loss = false;
        while let Some(hole) = holes.next_if(|hole| hole.blocks <= block.place) {
            laid.marks.push(Mark { packet: laid.packets.len(), detail: hole.detail.clone() });
            loss |= hole.lossy;
        }
        let believed = !damaged.contains(&block.cluster);
        let time = found.clusters.get(block.cluster).filter(|time| time.ticks.is_some() && !believed);
        if let Some(time) = time.filter(|_| cluster.replace(block.cluster) != Some(block.cluster)) {
            let detail = format!("the time of the cluster at byte {} is damaged", time.at);
            laid.marks.push(Mark { packet: laid.packets.len(), detail });
        }
        let count = block.frames.len() as u64;
        let until =
            own.get(nth + 1).and_then(|next| u64::try_from(next.time.saturating_sub(block.time)).ok());
        let lasts = track.frame.map(|frame| frame.get().saturating_mul(count));
        // The time to the next block, unless something is missing in between.
        let lasts = lasts.or(block.duration).or(until.filter(|&time| time < 1_000_000_000)).unwrap_or(0);
        let frames = track.frames(lasts / count.max(1));
        for (place, &data) in block.frames.iter().enumerate() {
            let (first, last) = (place == 0, place + 1 == block.frames.len());
            let mut packet = Packet { data, frames };
            if track.is_opus() {
                packet.frames =
                    u32::try_from(codecs::opus_frames(data)).ok().filter(|&n| n > 0).unwrap_or(frames);
            } else if track.is_flac() && !flac::is_whole(data) {
                let detail = "the checksum of a frame is wrong; it became silence".to_owned();
                laid.marks.push(Mark { packet: laid.packets.len(), detail });
                packet.data = &[];
            }
            laid.packets.push(packet);
            laid.timing.push(Timing {
                nanoseconds: (first && believed).then_some(block.time),
                discard: if (block.discard < 0 && first) || (block.discard > 0 && last) {
                    block.discard
                } else {
                    0
                },
                loss: loss && first,
            });
        }
    }
    laid.marks.extend(holes.map(|hole| Mark { packet: laid.packets.len(), detail: hole.detail.clone() }));
    laid
}
