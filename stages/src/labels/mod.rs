//! Labels: which classes a clip has, and how sure that is.

mod corrupt;
mod hide;
mod noise;
mod table;
mod touched;

pub use corrupt::LabelsCorrupt;
pub use hide::{HideParams, LabelsHide};
pub use noise::{CorruptParams, Noise};
pub use table::{Labels, State, table};
