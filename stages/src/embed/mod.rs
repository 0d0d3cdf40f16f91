//! `embed`: what a model's encoder makes of clips.

mod params;
mod stage;

pub use params::{EmbedParams, Of, Per};
pub use stage::Embed;
