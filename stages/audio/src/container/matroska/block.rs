//! Blocks: frames of one track with their time (RFC 9559, section 10).

use super::ebml::{Element, signed, unsigned, vint};

/// The most elements of a group that are read: more are damage, which must not be searched for ever.
const MAX_ELEMENTS: usize = 256;

/// The longest frame that is laced, in bytes.
const MAX_LACED: usize = 1 << 20;

/// The frames of one track that a block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The number of its track.
    pub(super) track: u64,
    /// Which block of the file it is, from 0.
    pub(super) place: usize,
    /// Which cluster it stands in, from 0.
    pub(super) cluster: usize,
    /// When its first frame starts: read counted from its cluster in ticks, found counted from the segment in nanoseconds.
    pub(super) time: i64,
    /// How long it lasts, where that is said, in the same unit.
    pub(super) duration: Option<u64>,
    /// How much of its end is not to be heard, in nanoseconds; negative for its start.
    pub(super) discard: i64,
    /// The coded frames.
    pub(super) frames: Vec<&'a [u8]>,
}

impl<'a> Block<'a> {
    /// Reads the data of a `SimpleBlock`, or of the `Block` in a group.
    pub(super) fn simple(data: &'a [u8]) -> Option<Self> {
        let (track, width) = vint(data)?;
        let &[high, low, flags, ref rest @ ..] = data.get(width..)? else { return None };
        if flags & 0x70 != 0 {
            return None;
        }
        let time = i16::from_be_bytes([high, low]).into();
        Some(Self {
            track,
            place: 0,
            cluster: 0,
            time,
            duration: None,
            discard: 0,
            frames: unlace(flags >> 1 & 3, rest)?,
        })
    }

    /// Reads the data of a `BlockGroup`, whose elements come in any order.
    pub(super) fn group(data: &'a [u8]) -> Option<Self> {
        let (mut block, mut duration, mut discard, mut at) = (None, None, 0, 0);
        let mut elements = 0;
        while at < data.len() {
            elements += 1;
            if elements > MAX_ELEMENTS {
                return None;
            }
            let element = Element::read(data, at)?;
            let body = data.get(element.body..element.end?)?;
            at = element.body + body.len();
            match element.id {
                0xa1 => block = Some(Self::simple(body)?),
                0x9b => duration = Some(unsigned(body)),
                0x75a2 => discard = signed(body),
                _ => {}
            }
        }
        Some(Self { duration, discard, ..block? })
    }
}

/// Takes the frames of a block apart.
fn unlace(lacing: u8, data: &[u8]) -> Option<Vec<&[u8]>> {
    if lacing == 0 {
        return Some(vec![data]);
    }
    let (&more, mut rest) = data.split_first()?;
    let more = usize::from(more);
    if lacing == 2 {
        let size = rest.len() / (more + 1);
        let even = size > 0 && rest.len().is_multiple_of(more + 1);
        return even.then(|| rest.chunks_exact(size).collect());
    }
    let mut sizes: Vec<usize> = Vec::with_capacity(more);
    for _ in 0..more {
        let size = if lacing == 1 {
            let long = rest.iter().take(MAX_LACED / 255).take_while(|&&b| b == 255).count();
            let last = usize::from(*rest.get(long)?);
            rest = &rest[long + 1..];
            255 * long + last
        } else {
            let (value, width) = vint(rest)?;
            rest = &rest[width..];
            match sizes.last() {
                None => usize::try_from(value).ok()?,
                // The difference to the one before, from -(2^(7·width - 1) - 1) on.
                Some(&before) => {
                    let change = i64::try_from(value).ok()? - ((1 << (7 * width - 1)) - 1);
                    usize::try_from(i64::try_from(before).ok()? + change).ok()?
                }
            }
        };
        sizes.push(size);
    }
    let mut frames = Vec::with_capacity(more + 1);
    for size in sizes {
        let (frame, others) = rest.split_at_checked(size)?;
        frames.push(frame);
        rest = others;
    }
    frames.push(rest);
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_lacing_are_taken_apart() {
        let long = [7; 300];
        let frames = |flags: u8, sizes: &[u8], lengths: &[usize]| {
            let mut data = vec![0x81, 0, 5, flags];
            data.extend(sizes);
            data.extend(std::iter::repeat_n(7, lengths.iter().sum()));
            let block = Block::simple(&data).expect("a whole block");
            assert_eq!((block.track, block.time), (1, 5));
            assert_eq!(block.frames, lengths.iter().map(|&n| &long[..n]).collect::<Vec<_>>());
        };
        frames(0x80, &[], &[40]);
        frames(0x82, &[2, 255, 45, 9], &[300, 9, 20]);
        frames(0x84, &[2], &[30, 30, 30]);
        // 300 in two bytes; 291 less, as 8191 - 291; the rest.
        frames(0x86, &[2, 0x41, 0x2c, 0x5e, 0xdc], &[300, 9, 20]);
        // Sizes beyond the end, an uneven division, flags that no writer sets.
        for wrong in [&[0x81, 0, 0, 0x82, 1, 9, 1][..], &[0x81, 0, 0, 4, 1, 1, 2, 3], &[0x81, 0, 0, 0x40, 1]]
        {
            assert_eq!(Block::simple(wrong), None);
        }
    }
}
