//! The stages of sndpipe: everything that a pipeline file can name.
#![deny(unsafe_code)]

pub mod audio;
pub mod augment;
pub mod columns;
pub mod command;
pub mod dataset;
mod declared;
pub mod embed;
pub mod evaluate;
pub mod import;
pub mod labels;
pub mod losses;
pub mod metrics;
pub mod model;
mod named;
pub mod neighbours;
pub mod patch;
pub mod plot;
pub mod predict;
pub mod pretrain;
mod program;
mod quantity;
#[cfg(test)]
#[path = "../tests/real/mod.rs"]
mod real;
mod registry;
pub mod scenes;
pub mod score;
pub mod spectrogram;
pub mod split;
pub mod synth;
pub mod table;
pub mod train;
pub mod tsne;
pub mod views;
mod written;

pub use registry::registry;
pub use written::Written;
