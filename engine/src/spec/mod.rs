//! The pipeline file: YAML text to a checked [`crate::graph::Graph`], with every mistake reported at its place.

mod bind;
mod error;
mod extend;
mod file;
mod form;
mod interpolate;
mod layout;
mod load;
mod matrix;
mod merge;
mod node;
mod overrides;
mod params;
mod plan;
mod problems;
mod reference;
mod remembered;
mod scalar;
mod schema;
mod source;
mod suggest;
mod text;
mod wire;
mod wiring;
mod wording;
mod yaml;

pub use error::{SpecError, SpecErrors};
pub use load::load;
pub use remembered::load_remembered;
pub use schema::schema;
pub use source::{Source, Span};
pub use suggest::did_you_mean;
