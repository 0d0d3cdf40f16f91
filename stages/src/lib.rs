//! The stages of sndpipe: everything that a pipeline file can name.
#![deny(unsafe_code)]

pub mod audio;
pub mod columns;
pub mod command;
pub mod dataset;
pub mod labels;
mod registry;
pub mod spectrogram;
pub mod split;
pub mod synth;

pub use registry::registry;
