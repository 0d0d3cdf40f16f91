//! Tags that other programs put in front of and behind a sound: ID3v1, ID3v2, APE and Lyrics3.

/// Returns where the bytes begin that follow all ID3v2 tags at `start`.
///
/// # Source
/// *ID3 tag version 2.4.0 - Main Structure*, 3.1 and 3.4: ten bytes of header, a size of four times seven bits, a footer if its flag is set.
pub(super) fn skip_front(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(tag) = bytes.get(at..at + 10).filter(|t| t.starts_with(b"ID3")) {
        if tag[6..10].iter().any(|&b| b >= 0x80) || tag[3] == 0xff || tag[4] == 0xff {
            break;
        }
        let size = tag[6..10].iter().fold(0usize, |n, &b| n << 7 | usize::from(b));
        let footer = if tag[5] & 0x10 == 0 { 0 } else { 10 };
        at = at.saturating_add(10 + size + footer).min(bytes.len());
    }
    at
}

/// Returns where the tags behind the sound begin, or the number of bytes where there are none.
pub(super) fn strip_back(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    while let Some(start) = last_tag(&bytes[..end]).filter(|&start| start < end) {
        end = start;
    }
    end
}

fn last_tag(bytes: &[u8]) -> Option<usize> {
    let n = bytes.len();
    let from_end = |back: usize| n.checked_sub(back).map(|at| (at, &bytes[at..]));
    if let Some((at, _)) = from_end(128).filter(|(_, tag)| tag.starts_with(b"TAG")) {
        // The enhanced tag stands before the usual one.
        let enhanced = at.checked_sub(227).filter(|&a| bytes[a..].starts_with(b"TAG+"));
        return Some(enhanced.unwrap_or(at));
    }
    // APE: a footer of 32 bytes whose size counts the items and itself, and a header where its flag says so.
    if let Some((at, foot)) = from_end(32).filter(|(_, tag)| tag.starts_with(b"APETAGEX")) {
        let size = super::u32_at(foot, 12)? as usize;
        let header = if super::u32_at(foot, 20)? & 1 << 31 == 0 { 0 } else { 32 };
        return Some(n.checked_sub(size.max(32) + header).unwrap_or(at));
    }
    // Lyrics3 v2: six digits of size before the mark; the size counts from "LYRICSBEGIN" to itself.
    if let Some((at, foot)) = from_end(15).filter(|(_, tag)| tag.ends_with(b"LYRICS200")) {
        let size: usize = std::str::from_utf8(&foot[..6]).ok()?.parse().ok()?;
        return at.checked_sub(size).filter(|&a| bytes[a..].starts_with(b"LYRICSBEGIN"));
    }
    // Lyrics3 v1 has no size and is at most 5,100 bytes long.
    if let Some((at, _)) = from_end(9).filter(|(_, tag)| *tag == b"LYRICSEND") {
        let reach = at.saturating_sub(5100 + 11);
        return bytes[reach..at].windows(11).position(|w| w == b"LYRICSBEGIN").map(|i| reach + i);
    }
    // ID3v2.4 at the end has its footer last.
    if let Some((at, foot)) = from_end(10).filter(|(_, tag)| tag.starts_with(b"3DI")) {
        let size = foot[6..10].iter().fold(0usize, |n, &b| n << 7 | usize::from(b & 0x7f));
        return at.checked_sub(size + 10).filter(|&a| bytes[a..].starts_with(b"ID3"));
    }
    None
}

/// Returns whether bytes carry nothing: zeros, or none at all.
pub(super) fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == 0)
}
