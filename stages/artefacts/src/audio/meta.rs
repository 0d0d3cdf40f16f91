//! What the metadata of audio says.

use serde_json::{Value, json};
use sndpipe_cache::{Meta, RowRef};
use sndpipe_engine::StageError;

use super::params::{DecodeParams, OnDamage, OnError};

/// What the metadata of an artefact of kind `audio` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioMeta {
    /// Samples per second and channel, Hz.
    pub sample_rate: u32,
    /// Channels of every clip; a row holds one after the other.
    pub channels: usize,
}

impl AudioMeta {
    /// Reads it.
    ///
    /// # Errors
    /// [`StageError::Failed`] if one of the two is missing.
    pub fn read(meta: &Meta) -> Result<Self, StageError> {
        let number = |name: &str| {
            meta.get(name).and_then(Value::as_u64).filter(|&n| n > 0).ok_or_else(|| {
                StageError::failed(format!("the audio does not say its `{name}` in its metadata"))
            })
        };
        let sample_rate = number("sample_rate")?;
        let sample_rate = u32::try_from(sample_rate)
            .map_err(|_| StageError::failed(format!("the audio claims {sample_rate} Hz")))?;
        Ok(Self { sample_rate, channels: usize::try_from(number("channels")?).unwrap_or(usize::MAX) })
    }

    /// Refuses audio of which no spectrogram is made.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it has more than one channel.
    pub fn check_mono(self) -> Result<(), StageError> {
        if self.channels == 1 {
            return Ok(());
        }
        let message = format!("the audio has {} channels, a spectrogram is of one", self.channels);
        Err(StageError::failed(message).help("decode with `channels: mono` or `channels: first`"))
    }

    /// The metadata of audio that `decode` gives with these parameters: rate, channels and the recipe that gives it from a file.
    ///
    /// # Errors
    /// Never in practice; [`StageError::Failed`] if the parameters are no JSON.
    pub fn of(params: &DecodeParams) -> Result<Meta, StageError> {
        // The recipe says what a sample is; what becomes of broken and damaged files is no part of it.
        let decode = serde_json::to_value(DecodeParams {
            on_error: OnError::default(),
            damage: OnDamage::default(),
            ..params.clone()
        })
        .map_err(|error| StageError::failed(error.to_string()))?;
        Ok(Meta::from([
            ("sample_rate".to_owned(), params.sample_rate.into()),
            ("channels".to_owned(), params.channels.count().into()),
            ("recipe".to_owned(), json!({ "decode": decode })),
        ]))
    }

    /// The channels of a row.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the row does not divide into channels.
    pub fn channels_of(self, row: &RowRef<'_>) -> Result<Vec<Vec<f32>>, StageError> {
        let samples = row.to_f32();
        let frames = samples.len() / self.channels;
        if frames * self.channels != samples.len() || frames != row.frames as usize {
            let message =
                format!("{} samples are not {} channels of {}", samples.len(), self.channels, row.frames);
            return Err(StageError::failed(message));
        }
        if frames == 0 {
            return Ok(vec![Vec::new(); self.channels]);
        }
        Ok(samples.chunks(frames).map(<[f32]>::to_vec).collect())
    }
}
