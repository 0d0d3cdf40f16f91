//! `model.import`: a model that was trained elsewhere.

mod params;
mod stage;

pub use params::{ImportParams, Partial, Rename};
pub use stage::ModelImport;
