//! `embed`: what a model's encoder makes of clips.

mod params;
mod stage;

pub use params::{EmbedParams, Per};
pub use stage::Embed;
