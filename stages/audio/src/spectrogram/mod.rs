//! Samples to time-frequency features: the log-mel front-ends of the published systems, and everything between them.

mod frontend;
mod image;
mod mel;
mod params;
mod recipe;
mod settings;
mod stage;
mod stft;
mod window;

pub use frontend::{Features, Frontend, SpectrogramError};
pub use image::resize_time;
pub use mel::{FilterBank, hz_to_mel, mel_to_hz};
pub use params::{
    FrequencyScale, Kind, LogForm, OffsetPlacement, Padding, SpectrogramParams, Spectrum, Storage,
};
pub use recipe::Recipe;
pub use stage::SpectrogramStage;
pub use window::Window;

pub use stage::params_of;
