//! `table`: metrics of the cells of a matrix as one table.

mod aggregate;
mod cells;
mod params;
mod stage;

pub use params::{OneOrMany, PaperValue, TableParams};
pub use stage::Table;
