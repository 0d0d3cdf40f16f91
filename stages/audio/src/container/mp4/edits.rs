//! Which part of a track is played: edit lists, and the comment that iTunes writes beside them.

use std::ops::Range;

use super::boxes::{atoms, path, u32_at, u64_at};

/// What a file says about the start and end of a track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Track<'a> {
    pub moov: &'a [u8],
    pub trak: &'a [u8],
    /// Ticks of the track in a second.
    pub timescale: u32,
    /// Ticks that the tables give all packets together.
    pub declared: u64,
    /// Ticks that the packets decode to, as far as is known.
    pub decoded: u64,
    /// Ticks that the codec's own header puts before the sound.
    pub codec_delay: u64,
}

/// Returns the parts of the track that are played, in order and in ticks.
///
/// Empty edits, which delay a track against others, are no silence: ffmpeg adds none either. A length is counted in ticks of
/// the movie, mostly milliseconds; where the tables end less than one of them away, they are exact.
///
/// # Source
/// ISO/IEC 14496-12, 8.6.6; *QuickTime File Format*, "Edit Lists".
pub(super) fn pieces(track: &Track<'_>) -> Vec<Range<u64>> {
    let movie =
        path(track.moov, &[b"mvhd"]).and_then(timescale).filter(|&n| n > 0).unwrap_or(track.timescale);
    // A tick of the movie in ticks of the track, rounded up.
    let tick = u64::from(track.timescale.div_ceil(movie));
    let scaled = |n: u64| {
        let exact = u128::from(n) * u128::from(track.timescale) + u128::from(movie / 2);
        u64::try_from(exact / u128::from(movie)).unwrap_or(u64::MAX)
    };
    let edits: Vec<(u64, u64)> = path(track.trak, &[b"edts", b"elst"]).map(edits).unwrap_or_default();
    let mut pieces: Vec<Range<u64>> = edits
        .iter()
        .map(|&(length, start)| {
            let end = if length == 0 { u64::MAX } else { start.saturating_add(scaled(length)) };
            start..end
        })
        .collect();
    let comment = comment(track.moov).map(|(delay, samples)| delay..delay.saturating_add(samples));
    let all = |p: &Range<u64>| p.start == 0 && p.end.saturating_add(tick) >= track.declared;
    match (&mut pieces[..], comment) {
        ([], Some(comment)) => pieces.push(comment),
        ([one], Some(comment)) if all(one) => *one = comment,
        ([one], Some(comment)) if one.start == comment.start && one.end.abs_diff(comment.end) <= tick => {
            *one = comment;
        }
        ([], None) if track.codec_delay > 0 => pieces.push(track.codec_delay..u64::MAX),
        _ => {}
    }
    if pieces.is_empty() {
        pieces.push(0..u64::MAX);
    }
    if let Some(last) = pieces.last_mut() {
        // The last packet is mostly longer than its part of the sound.
        let padded = track.declared < track.decoded && track.declared > last.start;
        if padded && (last.end == u64::MAX || last.end.abs_diff(track.declared) <= tick) {
            last.end = track.declared;
        } else if last.end.abs_diff(track.decoded) <= tick {
            last.end = u64::MAX;
        }
    }
    pieces
}

/// The ticks a second of a movie or track header.
pub(super) fn timescale(header: &[u8]) -> Option<u32> {
    u32_at(header, if header.first() == Some(&1) { 20 } else { 12 })
}

/// Length in ticks of the movie and start in ticks of the track of every edit that is not empty.
fn edits(elst: &[u8]) -> Vec<(u64, u64)> {
    let wide = elst.first() == Some(&1);
    let count = u32_at(elst, 4).unwrap_or(0) as usize;
    let entries = elst.get(8..).unwrap_or_default().chunks_exact(if wide { 20 } else { 12 }).take(count);
    entries
        .filter_map(|entry| {
            let (length, start) = if wide {
                (u64_at(entry, 0)?, u64_at(entry, 8)? as i64)
            } else {
                (u64::from(u32_at(entry, 0)?), i64::from(u32_at(entry, 4)? as i32))
            };
            Some((length, u64::try_from(start).ok()?))
        })
        .collect()
}

/// Delay and length in samples of an `iTunSMPB` comment: hexadecimal numbers, the second the delay, the third the padding, the fourth the length.
fn comment(moov: &[u8]) -> Option<(u64, u64)> {
    let meta = path(moov, &[b"udta", b"meta"])?;
    // QuickTime's `meta` has no version.
    let list = path(meta.get(4..)?, &[b"ilst"]).or_else(|| path(meta, &[b"ilst"]))?;
    let text = atoms(list).filter(|atom| atom.kind == *b"----").find_map(|atom| {
        let name = path(atom.body, &[b"name"])?.get(4..)?;
        let data = path(atom.body, &[b"data"])?.get(8..)?;
        (name == b"iTunSMPB").then(|| std::str::from_utf8(data).ok()).flatten()
    })?;
    let numbers: Vec<u64> =
        text.split_whitespace().take(4).map_while(|n| u64::from_str_radix(n, 16).ok()).collect();
    match numbers[..] {
        [_, delay, _, samples] if samples > 0 => Some((delay, samples)),
        _ => None,
    }
}
