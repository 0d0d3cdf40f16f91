//! The stages of sndpipe.

pub mod audio;
pub mod spectrogram;
