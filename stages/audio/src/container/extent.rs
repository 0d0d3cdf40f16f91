//! What a header promises and what the file holds.

use super::super::decode::DecodeError;
use super::super::sound::Sound;

/// The error of a codec that is not decoded in a container of samples.
pub(super) fn unsupported(container: &str, what: &str) -> DecodeError {
    DecodeError::Unsupported {
        detail: format!("{container} with {what}: convert it to PCM WAV or FLAC, or set `decoder: ffmpeg`"),
    }
}

/// How many bytes of samples a header promises, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// By the header.
    pub promised: u64,
    /// By the file.
    pub held: usize,
}

impl Extent {
    /// An extent of `promised` bytes, or of all that is `held` where the promise is a placeholder: the number that a
    /// writer puts down first and cannot replace when its output is a pipe. Those are the largest numbers of 31, 32 and
    /// 63 bits or a little less, for a header's or a block's sake (GStreamer: 0x7fff0000, SoX: 0x7ffff000 and 0x7f000000).
    pub(super) fn new(promised: u64, held: usize) -> Self {
        let placeholder = matches!(
            promised,
            0x7eff_f000..=0x7f00_1000 | 0x7ffe_f000..=0x8000_1000 | 0xfffe_f000..=0xffff_ffff | 0x4000_0000_0000_0000..
        );
        if placeholder && promised > held as u64 { Self::unknown(held) } else { Self { promised, held } }
    }

    /// An extent that ends with the file.
    pub(super) fn unknown(held: usize) -> Self {
        Self { promised: held as u64, held }
    }

    /// Whether the file holds what is promised.
    pub(super) fn fits(self) -> bool {
        self.promised <= self.held as u64
    }

    /// The bytes from `at` on, as far as they are there.
    pub(super) fn bytes(self, file: &[u8], at: usize) -> &[u8] {
        let end = at.saturating_add(usize::try_from(self.promised).map_or(self.held, |n| n.min(self.held)));
        file.get(at..end).unwrap_or(&[])
    }

    /// Refuses the `sound` of a file that was cut off.
    pub(super) fn check(self, sound: &Sound<'_>) -> Result<(), DecodeError> {
        if self.fits() {
            return Ok(());
        }
        Err(DecodeError::Truncated {
            seconds: sound.seconds(),
            detail: format!(
                "the header promises {} bytes of samples, the file holds {}",
                self.promised, self.held
            ),
        })
    }
}
