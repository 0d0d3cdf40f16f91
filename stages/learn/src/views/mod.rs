//! `views`: what steps make of patches, as a picture.

mod params;
mod picture;
mod stage;

pub use params::ViewsParams;
pub use stage::ViewsStage;
