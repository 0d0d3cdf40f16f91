//! The stages of sndpipe: everything that a pipeline file can name.
#![deny(unsafe_code)]

pub mod audio;
pub mod columns;
pub mod labels;
pub mod spectrogram;
pub mod split;
pub mod synth;
