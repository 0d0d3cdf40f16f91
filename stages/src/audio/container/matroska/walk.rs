//! What the elements of a Matroska or WebM file say that its reader does not pass on (RFC 9559).

use std::collections::BTreeMap;

/// A track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TrackFacts {
    /// The number by which blocks name the track.
    pub(super) number: u64,
    /// 2 for sound.
    pub(super) kind: u64,
    /// Such as `A_OPUS`.
    pub(super) codec: String,
    /// What the decoder gives before the sound starts, in nanoseconds.
    pub(super) delay: u64,
    /// The frames are compressed or encrypted once more.
    pub(super) encoded: bool,
}

/// A frame of which a part is not to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Discard {
    pub(super) track: u64,
    /// Which frame of the track, from 0.
    pub(super) frame: u64,
    /// How much of its end, in nanoseconds; negative for its start.
    pub(super) nanoseconds: i64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) tracks: Vec<TrackFacts>,
    pub(super) discards: Vec<Discard>,
    /// The file ends inside an element: what is missing.
    pub(super) cut: Option<String>,
    /// Where the last block starts, in seconds.
    pub(super) seconds: f64,
}

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const BLOCK_GROUP: u32 = 0xa0;
const TRACK_ENTRY: u32 = 0xae;

/// Elements that are entered; all others are stepped over or read.
const MASTERS: [u32; 8] =
    [SEGMENT, CLUSTER, BLOCK_GROUP, TRACK_ENTRY, 0x1549_a966, 0x1654_ae6b, 0x6d80, 0x6240];

/// Reads all elements.
pub(super) fn walk(bytes: &[u8]) -> Facts {
    let mut facts = Facts::default();
    let mut frames: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut scale, mut cluster) = (1_000_000u64, 0u64);
    // Block and padding of the current group, in whichever order they come.
    let (mut block, mut padding) = (None, None);
    let mut at = 0;
    while at < bytes.len() {
        let Some((id, size, body)) = header(bytes, at) else {
            facts.cut = Some(format!("the element at byte {at} is cut off at byte {}", bytes.len()));
            break;
        };
        if let Some(end) = size.map(|size| body.saturating_add(size)).filter(|&end| end > bytes.len()) {
            let missing = end - bytes.len();
            facts.cut.get_or_insert_with(|| format!("the element at byte {at} lacks {missing} bytes"));
        }
        if MASTERS.contains(&id) {
            match id {
                BLOCK_GROUP => (block, padding) = (None, None),
                TRACK_ENTRY => facts.tracks.push(TrackFacts::default()),
                0x6240 => facts.tracks.iter_mut().last().into_iter().for_each(|t| t.encoded = true),
                _ => {}
            }
            at = body;
            continue;
        }
        // Only elements that are entered may leave their size open.
        let Some(data) = size.and_then(|size| bytes.get(body..body.checked_add(size)?)) else { break };
        match (id, facts.tracks.last_mut()) {
            (0xd7, Some(track)) => track.number = unsigned(data),
            (0x83, Some(track)) => track.kind = unsigned(data),
            (0x86, Some(track)) => {
                track.codec = String::from_utf8_lossy(data).trim_end_matches('\0').to_owned();
            }
            (0x56aa, Some(track)) => track.delay = unsigned(data),
            (0x2ad7b1, _) => scale = unsigned(data).max(1),
            (0xe7, _) => cluster = unsigned(data),
            (0xa1 | 0xa3, _) => {
                if let Some((track, time, count)) = frames_of(data) {
                    let before = frames.entry(track).or_default();
                    *before += count;
                    block = Some((track, *before - 1));
                    facts.seconds = (cluster as f64 + f64::from(time)) * scale as f64 / 1e9;
                }
            }
            (0x75a2, _) => padding = Some(signed(data)),
            _ => {}
        }
        if let (Some((track, frame)), Some(nanoseconds)) = (block, padding) {
            facts.discards.push(Discard { track, frame, nanoseconds });
            (block, padding) = (None, None);
        }
        at = body + data.len();
    }
    facts
}

/// Id, size and body of the element at `at`; the size is open where all its bits are set.
fn header(bytes: &[u8], at: usize) -> Option<(u32, Option<usize>, usize)> {
    let length = bytes.get(at)?.leading_zeros() as usize + 1;
    if length > 4 {
        return None;
    }
    let id = bytes.get(at..at + length)?.iter().fold(0, |id, &b| id << 8 | u32::from(b));
    let (size, width) = vint(bytes.get(at + length..)?)?;
    let open = size == (1 << (7 * width)) - 1;
    let size = if open { None } else { Some(usize::try_from(size).unwrap_or(usize::MAX)) };
    Some((id, size, at + length + width))
}

/// An integer of variable length, and how many bytes it takes.
fn vint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return None;
    }
    let start = u64::from(first) & ((1 << (8 - width)) - 1);
    let value = bytes.get(1..width)?.iter().fold(start, |value, &b| value << 8 | u64::from(b));
    Some((value, width))
}

fn unsigned(data: &[u8]) -> u64 {
    data.iter().fold(0, |value, &b| value << 8 | u64::from(b))
}

fn signed(data: &[u8]) -> i64 {
    let start = if data.first().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
    data.iter().fold(start, |value, &b| value << 8 | i64::from(b))
}

/// Track, time relative to the cluster, and number of frames of a block.
fn frames_of(block: &[u8]) -> Option<(u64, i16, u64)> {
    let (track, width) = vint(block)?;
    let &[high, low, flags, ref rest @ ..] = block.get(width..)? else { return None };
    let laced = flags & 6 != 0;
    let count = if laced { u64::from(*rest.first()?) + 1 } else { 1 };
    Some((track, i16::from_be_bytes([high, low]), count))
}
