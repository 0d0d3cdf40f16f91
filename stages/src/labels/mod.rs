//! Labels: which classes a clip has, and how sure that is.

mod table;

pub use table::{Labels, State, table};
