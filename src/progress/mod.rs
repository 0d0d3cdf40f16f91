//! What people and programs see of a run while it runs.

mod bars;
mod hashing;
mod json;
mod lines;
mod wording;

pub use bars::Bars;
pub use hashing::hashing;
pub use json::Json;
pub use lines::Lines;
pub use wording::{Wording, failure, rows_text, summary};
