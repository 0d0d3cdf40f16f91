//! Decoded samples that grow block by block.

use sndpipe_artefacts::audio::DecodeLimits;
use symphonia::core::audio::GenericAudioBufferRef;

use super::decode::{DecodeError, check_length, check_shape};

/// Samples of every channel; all blocks have the rate and the number of channels of the first.
#[derive(Default)]
pub(super) struct Planes {
    /// Samples per second and channel, Hz; 0 before the first block.
    pub rate: u32,
    /// `[channels][samples]`.
    pub channels: Vec<Vec<f32>>,
    block: Vec<Vec<f32>>,
}

impl Planes {
    /// Samples per channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The time of a sample, in seconds.
    pub fn seconds(&self, frames: usize) -> f64 {
        if self.rate == 0 { 0.0 } else { frames as f64 / f64::from(self.rate) }
    }

    /// Takes the shape of a block over, before it is added.
    ///
    /// # Errors
    /// [`DecodeError`] for a shape that is not credible, and what `changed` makes of the words for a block of another shape than the first.
    pub fn shape(
        &mut self,
        buffer: &GenericAudioBufferRef<'_>,
        changed: impl FnOnce(String) -> DecodeError,
    ) -> Result<(), DecodeError> {
        let (rate, count) = (buffer.spec().rate(), buffer.num_planes());
        if self.channels.is_empty() {
            check_shape(rate, count)?;
            self.rate = rate;
            self.channels = vec![Vec::new(); count];
        } else if rate != self.rate || count != self.channels.len() {
            return Err(changed(format!(
                "from {} channels at {} Hz to {count} at {rate} Hz",
                self.channels.len(),
                self.rate
            )));
        }
        Ok(())
    }

    /// Adds a block of the shape of the others and returns how many samples a channel it has.
    ///
    /// # Errors
    /// [`DecodeError`] for a length beyond `limits`.
    pub fn push(
        &mut self,
        buffer: &GenericAudioBufferRef<'_>,
        limits: &DecodeLimits,
    ) -> Result<usize, DecodeError> {
        let frames = buffer.frames();
        buffer.copy_to_vecs_planar(&mut self.block);
        for (channel, samples) in self.channels.iter_mut().zip(&self.block) {
            channel.extend_from_slice(&samples[..frames.min(samples.len())]);
        }
        check_length(self.frames() as u64, self.rate, self.channels.len(), limits)?;
        Ok(frames)
    }

    /// Adds silence.
    ///
    /// # Errors
    /// [`DecodeError`] for a length beyond `limits`.
    pub fn silence(&mut self, frames: u64, limits: &DecodeLimits) -> Result<(), DecodeError> {
        let total = (self.frames() as u64).saturating_add(frames);
        check_length(total, self.rate, self.channels.len(), limits)?;
        self.channels.iter_mut().for_each(|channel| channel.resize(total as usize, 0.0));
        Ok(())
    }
}
