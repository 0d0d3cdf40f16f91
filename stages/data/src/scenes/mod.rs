//! `scenes`: real clips mixed into scenes whose truth is known.

mod mix;
mod params;
mod sources;
mod stage;

pub use params::MixParams;
pub use stage::Scenes;
