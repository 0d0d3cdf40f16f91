//! Views: what a patch of features could have been as well, made of it by steps that a pipeline file lists.
//!
//! Steps work on features as they are stored, before anything is standardised; those in `waveform` work on samples, of which the
//! features are then made anew. Everything random is a function of the seed, the epoch, the item, its view and the place of the
//! step in the list.

mod blur;
mod clips;
mod crop;
mod level;
mod mask;
mod mix;
mod params;
mod shift;
mod views;
pub mod waveform;

pub use clips::Clips;
pub use mix::other_clip;
pub use params::mistakes;
pub use params::{Edge, NoiseForm, StepParams};
pub use views::{At, Views, check_steps};
pub use waveform::WaveformParams;
