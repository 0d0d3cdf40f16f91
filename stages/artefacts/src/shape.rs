//! What frames and patches of features hold.

use sndpipe_cache::{Meta, RowRef};
use sndpipe_engine::StageError;

/// What a frame of features holds. A row is stored as `[channels, frames, bands]`, bands innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameShape {
    /// Channels; 1 where the metadata names none.
    pub channels: usize,
    /// Bands of a channel.
    pub bands: usize,
}

impl FrameShape {
    /// The shape that the metadata of features give (`channels`, `bands`); bands that are not named are found from a row.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the metadata and the row do not agree.
    pub fn of(meta: &Meta, row: RowRef<'_>) -> Result<Self, StageError> {
        let number = |name: &str| {
            meta.get(name).and_then(serde_json::Value::as_u64).and_then(|n| usize::try_from(n).ok())
        };
        let channels = number("channels").unwrap_or(1).max(1);
        let frames = row.frames as usize;
        let bands = number("bands").unwrap_or_else(|| row.values.len() / (channels * frames).max(1));
        let shape = Self { channels, bands };
        shape.frames(row).map_err(StageError::failed)?;
        Ok(shape)
    }

    /// Numbers of a frame, over all channels.
    #[must_use]
    pub const fn len(self) -> usize {
        self.channels * self.bands
    }

    /// Whether a frame holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The number of frames of a row.
    ///
    /// # Errors
    /// What is wrong, if the row is empty or has another shape.
    pub fn frames(self, row: RowRef<'_>) -> Result<usize, String> {
        let frames = row.frames as usize;
        if frames == 0 || self.is_empty() {
            return Err("the features have no frames".to_owned());
        }
        if row.values.len() == frames * self.len() {
            return Ok(frames);
        }
        let (channels, bands) = (self.channels, self.bands);
        Err(format!(
            "the features hold {} numbers, not {channels} x {frames} x {bands} (channels, frames, bands)",
            row.values.len()
        ))
    }
}

/// What a patch holds: `[channels, frames, bands]`, bands innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchShape {
    /// Channels.
    pub channels: usize,
    /// Frames.
    pub frames: usize,
    /// Bands of a channel.
    pub bands: usize,
}

impl PatchShape {
    /// Numbers of a patch.
    #[must_use]
    pub const fn len(self) -> usize {
        self.channels * self.frames * self.bands
    }

    /// Whether a patch holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}
