//! Frames that follow one another without a container: each says how long it is, and the next must start where it ends.

use std::ops::Range;

use super::super::stream::Mark;
use super::tags;

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Length of the frame in bytes, header included.
    pub size: usize,
    /// What is the same in every frame of a stream: codec, sample rate, channels.
    pub shape: u32,
}

/// Bytes between frames that belong to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// How many frames come before it.
    pub frame: usize,
    /// The bytes.
    pub bytes: Range<usize>,
    /// Whether a frame starts there whose end is missing.
    pub cut: bool,
}

/// The frames of a stream and what lies between them.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub frames: Vec<Range<usize>>,
    pub gaps: Vec<Gap>,
    /// The shape of a later run of frames that do not belong to the stream, and where it starts.
    pub other: Option<(usize, u32)>,
}

impl Chain {
    /// Says what lies between the frames of a codec.
    pub fn marks(&self, codec: &str) -> Vec<Mark> {
        let last = self.frames.len();
        let mark = |gap: &Gap| {
            let n = gap.bytes.len();
            let detail = match (gap.cut, gap.frame >= last) {
                (true, true) => format!("the last frame is cut off after {n} bytes and was left out"),
                (true, false) => format!("a frame is cut short to {n} bytes and was left out"),
                (false, true) => format!("{n} bytes behind the last frame are not {codec} and were left out"),
                (false, false) => format!("{n} bytes between two frames are not {codec} and were left out"),
            };
            Mark { packet: gap.frame, detail }
        };
        self.gaps.iter().map(mark).collect()
    }
}

/// How many frames must follow one another to be believed after bytes that are none.
const RUN: usize = 3;

/// Returns where in `starts` frames begin: `run` of one shape that follow one another, or as many as there are up to `end`.
pub(super) fn find(
    bytes: &[u8],
    starts: Range<usize>,
    end: usize,
    run: usize,
    shape: Option<u32>,
    read: &impl Fn(&[u8], usize) -> Option<Header>,
) -> Option<(usize, Header)> {
    let begins = |at: usize| {
        let first = read(bytes, at).filter(|h| shape.is_none_or(|s| s == h.shape))?;
        let mut next = at;
        for _ in 0..run {
            match read(bytes, next) {
                Some(h) if h.shape == first.shape && next + h.size <= end => next += h.size,
                _ if next > at && tags::is_padding(&bytes[next..end]) => break,
                _ => return None,
            }
            if next == end {
                break;
            }
        }
        Some((at, first))
    };
    // Every frame of the kinds in use starts with eleven or twelve ones.
    let bytes_of = starts.start..starts.end.min(bytes.len());
    bytes_of.filter(|&at| bytes[at] == 0xff).find_map(begins)
}

/// Follows the frames from the first at `range.start` to the end of the range.
pub(super) fn walk(
    bytes: &[u8],
    range: Range<usize>,
    shape: u32,
    read: &impl Fn(&[u8], usize) -> Option<Header>,
) -> Chain {
    let mut chain = Chain::default();
    let end = range.end;
    let of_stream = |at: usize| read(&bytes[..end], at).filter(|h| h.shape == shape);
    let mut at = range.start;
    while at < end {
        let here = of_stream(at);
        if let Some(header) = here {
            let next = at + header.size;
            if next == end || (next < end && of_stream(next).is_some()) {
                chain.frames.push(at..next);
                at = next;
                continue;
            }
        }
        // Either this frame is the last one, or bytes are missing in it, or bytes that belong to none come next.
        let inside = here.map_or(end, |h| (at + h.size).min(end));
        let first = (at + usize::from(here.is_some())).min(end);
        let lost = here.and_then(|_| find(bytes, first..inside, end, RUN, Some(shape), read));
        if let Some((found, _)) = lost {
            chain.gaps.push(Gap { frame: chain.frames.len(), bytes: at..found, cut: true });
            at = found;
            continue;
        }
        let mut from = at;
        if let Some(header) = here {
            if at + header.size > end {
                chain.gaps.push(Gap { frame: chain.frames.len(), bytes: at..end, cut: true });
                return chain;
            }
            chain.frames.push(at..at + header.size);
            from = at + header.size;
        }
        // Tags also stand between frames where files were put behind one another.
        let after_tag = tags::skip_front(&bytes[..end], from);
        if after_tag > from {
            at = after_tag;
            continue;
        }
        let next = find(bytes, from..end, end, RUN, Some(shape), read).map_or(end, |f| f.0);
        if chain.other.is_none() {
            chain.other =
                find(bytes, from..next, next, RUN, None, read).map(|f| (chain.frames.len(), f.1.shape));
        }
        if !tags::is_padding(&bytes[from..next]) {
            let cut = next == end && of_stream(from).is_some();
            chain.gaps.push(Gap { frame: chain.frames.len(), bytes: from..next, cut });
        }
        at = next;
    }
    chain
}
