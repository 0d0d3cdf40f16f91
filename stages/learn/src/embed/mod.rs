//! `embed`: what a model's encoder makes of clips, and `embed.raw`: what features are without one.

mod params;
mod raw;
mod stage;

pub use params::{EmbedParams, Of, Per};
pub use raw::{EmbedRaw, Form, RawParams};
pub use stage::Embed;
