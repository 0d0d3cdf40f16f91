//! Labels: which classes a clip has, and how sure that is.

mod enhance;
mod table;

pub use enhance::{EnhanceParams, LabelsEnhance};
pub use table::{Labels, State, table};
