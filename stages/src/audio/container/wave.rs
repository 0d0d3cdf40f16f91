//! RIFF chunks of a WAV file.

use super::super::decode::{DecodeError, DecodeLimits, check_shape};
use super::{End, u16_at, u32_at};

/// Refuses a WAV file that is cut off, or that promises more than `limits` allow.
pub(super) fn check(bytes: &[u8], limits: &DecodeLimits) -> Result<End, DecodeError> {
    let mut at = 12usize;
    let mut bytes_per_second = 0.0f64;
    while let Some(length) = u32_at(bytes, at + 4) {
        let body = at + 8;
        let length_or_rest = length as usize;
        match &bytes[at..at + 4] {
            b"fmt " => {
                let channels = u16_at(bytes, body + 2).unwrap_or(0);
                let rate = u32_at(bytes, body + 4).unwrap_or(0);
                check_shape(rate, usize::from(channels))?;
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
