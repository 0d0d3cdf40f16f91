//! The clips that patches are cut from.

use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::PatchShape;
use sndpipe_artefacts::Standardisation;
use sndpipe_artefacts::patch::{self};
use sndpipe_cache::Rows;
use sndpipe_engine::StageError;
use sndpipe_random::Rng;

use super::views::At;
use super::waveform::{Sounds, WaveformParams};

/// Some clips of features, counted from 0.
pub struct Clips<'a> {
    /// The features.
    pub rows: &'a Rows,
    /// Where the features of each stand.
    pub positions: &'a [usize],
    /// The shape of a patch.
    pub input: PatchShape,
    /// What they are made of, where that is changed first.
    pub sounds: Option<Sounds<'a>>,
}

impl Clips<'_> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    const fn shape(&self) -> FrameShape {
        FrameShape { channels: self.input.channels, bands: self.input.bands }
    }

    /// Frames of a clip.
    ///
    /// # Errors
    /// [`StageError`] if its row cannot be read or has another shape.
    pub fn frames(&self, clip: usize) -> Result<usize, StageError> {
        let position = self.positions[clip];
        let frames = self.shape().frames(self.rows.row(position)?);
        frames.map_err(|message| {
            StageError::failed(format!("clip `{}`: {message}", &self.rows.ids()[position]))
        })
    }

    /// Cuts the patch of a view, as features are stored: of the clip's features, or of those of its waveform after the first
    /// `taken` steps for it. `start` chooses the frame where it starts, given the last one where it can; that frame is returned.
    ///
    /// # Errors
    /// As [`Clips::frames`], and as [`Sounds::patch`].
    pub fn patch(
        &self,
        at: At,
        taken: usize,
        start: impl FnOnce(usize) -> usize,
        out: &mut [f32],
    ) -> Result<usize, StageError> {
        if let Some(sounds) = &self.sounds {
            return sounds.patch(at, taken, self.input, start, out);
        }
        let start = start(self.room(at.clip)?);
        self.cut(at.clip, start, out)?;
        Ok(start)
    }

    /// The steps for waveforms.
    pub fn waveform(&self) -> &[WaveformParams] {
        self.sounds.as_ref().map_or(&[], Sounds::steps)
    }

    /// A frame where a patch of a clip can start, each with the same probability.
    ///
    /// # Errors
    /// As [`Clips::frames`].
    pub fn start(&self, clip: usize, rng: &mut Rng) -> Result<usize, StageError> {
        Ok(rng.index(self.room(clip)? + 1))
    }

    /// The last frame where a patch of a clip can start.
    ///
    /// # Errors
    /// As [`Clips::frames`].
    pub fn room(&self, clip: usize) -> Result<usize, StageError> {
        Ok(self.frames(clip)?.saturating_sub(self.input.frames))
    }

    /// Copies the patch that starts at a frame, as it is stored.
    ///
    /// # Errors
    /// As [`Clips::frames`].
    pub fn cut(&self, clip: usize, start: usize, out: &mut [f32]) -> Result<(), StageError> {
        self.frames(clip)?;
        patch::cut(self.rows.row(self.positions[clip])?, self.shape(), start, &Standardisation::none(), out);
        Ok(())
    }
}
