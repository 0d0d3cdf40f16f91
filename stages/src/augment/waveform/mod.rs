//! Steps that work on waveforms, before the spectrogram.

mod change;
mod params;
mod sounds;

pub use params::WaveformParams;
pub(crate) use params::{PORT, mistakes, miswired, port};
pub(crate) use sounds::Sounds;
