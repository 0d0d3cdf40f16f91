//! Text for people: aligned columns and tables in every form that `sndpipe table` prints.

mod batch;
mod cell;
mod grid;
mod schema;
mod time;

pub use batch::{csv, json_lines, latex, markdown, text};
pub use cell::{Cell, cell};
pub use grid::{Grid, Side};
pub use schema::{ParamDoc, params_of};
