//! Text for people: aligned columns and tables in every form that `sndpipe table` prints.

mod batch;
mod grid;
mod schema;

pub use batch::{csv, json_lines, latex, markdown, text};
pub use grid::{Grid, Side};
pub use schema::{ParamDoc, params_of};
