//! Steps that work on waveforms, before the spectrogram.

mod change;
mod params;
mod sounds;

pub use params::WaveformParams;
pub use params::{PORT, mistakes, miswired, port};
pub use sounds::Sounds;
