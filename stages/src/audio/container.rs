//! Checks of a container's own promises, made on the bytes before anything is decoded.
//!
//! Decoders are forgiving: they skip a damaged page and stop quietly where the bytes stop. A data set must not be:
//! half a clip under a whole clip's label is a wrong example. So the two containers whose length is written down
//! outside the codec are walked here: RIFF chunks and Ogg pages (RFC 3533).

use super::decode::{DecodeError, DecodeLimits, check_length};

/// What the container says about the end of its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The sound ends where the container or its codec says.
    Declared,
    /// The sound ends with the bytes: its writer could not go back to fill in a length.
    WithTheBytes,
}

/// Refuses a container that is cut off or damaged, or that promises more than `limits` allow; a format that is neither RIFF/WAVE nor Ogg passes.
pub(super) fn check(bytes: &[u8], limits: &DecodeLimits) -> Result<End, DecodeError> {
    if bytes.len() >= 12 && bytes.starts_with(b"RIFF") && bytes[8..12] == *b"WAVE" {
        check_wave(bytes, limits)
    } else if bytes.starts_with(b"OggS") {
        check_ogg(bytes, limits)
    } else {
        Ok(End::Declared)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

fn check_wave(bytes: &[u8], limits: &DecodeLimits) -> Result<End, DecodeError> {
    let mut at = 12usize;
    let mut bytes_per_second = 0.0f64;
    while let Some(length) = u32_at(bytes, at + 4) {
        let body = at + 8;
        let length_or_rest = length as usize;
        match &bytes[at..at + 4] {
            b"fmt " => {
                let channels = u16_at(bytes, body + 2).unwrap_or(0);
                let rate = u32_at(bytes, body + 4).unwrap_or(0);
                super::decode::check_shape(rate, usize::from(channels))?;
                let align = u16_at(bytes, body + 12).unwrap_or(0);
                bytes_per_second = f64::from(rate) * f64::from(align);
            }
            b"data" => {
                let held = bytes.len() - body;
                // A writer that could not seek back leaves 2^32 - 1 here.
                if length == u32::MAX {
                    return Ok(End::WithTheBytes);
                }
                let seconds =
                    |n: usize| if bytes_per_second > 0.0 { n as f64 / bytes_per_second } else { 0.0 };
                if length == 0 {
                    return Err(DecodeError::Empty);
                }
                if length_or_rest > held {
                    return Err(DecodeError::Truncated {
                        seconds: seconds(held),
                        detail: format!(
                            "the header promises {length} bytes of samples, the file holds {held}"
                        ),
                    });
                }
                if seconds(length_or_rest) > limits.max_seconds {
                    return Err(DecodeError::TooLong { max_seconds: limits.max_seconds });
                }
                return Ok(End::Declared);
            }
            _ => {}
        }
        // Chunks are padded to an even length.
        at = body.saturating_add(length_or_rest).saturating_add(length_or_rest & 1);
        if at > bytes.len() {
            break;
        }
    }
    Err(DecodeError::Truncated { seconds: 0.0, detail: "the file ends before its `data` chunk".into() })
}

fn check_ogg(bytes: &[u8], limits: &DecodeLimits) -> Result<End, DecodeError> {
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
