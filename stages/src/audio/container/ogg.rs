//! Ogg pages (RFC 3533).

use super::super::decode::{DecodeError, DecodeLimits, check_length};
use super::{End, u32_at};

/// Refuses an Ogg file that is cut off or damaged, or that promises more than `limits` allow.
pub(super) fn check(bytes: &[u8], limits: &DecodeLimits) -> Result<End, DecodeError> {
    let table = crc_table();
    let mut at = 0usize;
    let mut rate = 0u32;
    let mut granule = 0i64;
    // A stream that was cut out of a longer one does not begin at 0.
    let mut first = None;
    let mut ended = false;
    let seconds =
        |granule: i64, rate: u32| if rate == 0 { 0.0 } else { granule.max(0) as f64 / f64::from(rate) };
    while at < bytes.len() {
        let cut = |granule: i64, rate: u32| DecodeError::Truncated {
            seconds: seconds(granule, rate),
            detail: format!("the Ogg page at byte {at} is cut off at byte {}", bytes.len()),
        };
        let rest = &bytes[at..];
        if !rest.starts_with(b"OggS") {
            if ended {
                return Ok(End::Declared); // Tags or padding after the last page belong to nobody.
            }
            if rest.len() < 4 && b"OggS".starts_with(rest) {
                return Err(cut(granule, rate));
            }
            return Err(DecodeError::Corrupt {
                seconds: seconds(granule, rate),
                detail: format!("no Ogg page where one must start, at byte {at}"),
            });
        }
        let Some(segments) = rest.get(26).copied() else { return Err(cut(granule, rate)) };
        let header = 27 + usize::from(segments);
        let Some(lacing) = rest.get(27..header) else { return Err(cut(granule, rate)) };
        let length = header + lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
        let Some(page) = rest.get(..length) else { return Err(cut(granule, rate)) };
        let wanted = u32_at(page, 22).unwrap_or(0);
        if page_crc(&table, page) != wanted {
            return Err(DecodeError::Corrupt {
                seconds: seconds(granule, rate),
                detail: format!("the checksum of the Ogg page at byte {at} is wrong"),
            });
        }
        let body = &page[header..];
        // The Vorbis identification header: type 1, "vorbis", version, channels, rate.
        if rate == 0 && body.starts_with(b"\x01vorbis") {
            rate = u32_at(body, 12).unwrap_or(0);
        }
        let position = page.get(6..14).and_then(|b| b.try_into().ok()).map_or(-1, i64::from_le_bytes);
        if position != -1 {
            granule = position;
            if position > 0 && rate > 0 {
                let length = granule.saturating_sub(*first.get_or_insert(granule));
                let length = u64::try_from(length).unwrap_or(0);
                check_length(length, rate, 1, limits)?;
            }
        }
        ended = page[5] & 4 != 0;
        at += length;
    }
    if ended {
        return Ok(End::Declared);
    }
    Err(DecodeError::Truncated {
        seconds: seconds(granule, rate),
        detail: "the file stops before the last Ogg page of its stream".into(),
    })
}

/// Table of the CRC-32 that Ogg uses: polynomial 0x04c11db7, no reflection, start 0.
fn crc_table() -> [u32; 256] {
    let mut table = [0u32; 256];
    for (i, entry) in (0u32..).zip(table.iter_mut()) {
        *entry = (0..8).fold(i << 24, |r, _| if r >> 31 == 1 { (r << 1) ^ 0x04c1_1db7 } else { r << 1 });
    }
    table
}

/// Checksum of a page, with its own checksum field taken as zero.
fn page_crc(table: &[u32; 256], page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0u32, |crc, (i, &byte)| {
        let byte = if (22..26).contains(&i) { 0 } else { byte };
        (crc << 8) ^ table[(((crc >> 24) as u8) ^ byte) as usize]
    })
}
