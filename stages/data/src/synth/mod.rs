//! The built-in data set: labelled sound events, synthesised from a seed.
//!
//! Classes come in pairs that differ in how a sound develops in time and hardly or not at all in its average spectrum, so that a
//! method has to look at time and frequency together. Centre frequency, pitch, level, onset and duration are random;
//! every uploader has an own gain, noise floor and room. Clip `i` depends on the seed and `i` only.

mod class;
mod clip;
mod params;
mod room;

pub use class::SynthClass;
pub use clip::{SynthClip, SynthEvent, clip_count, synth_clip};
pub use params::{ScenesParams, SynthParams};
